"""Loss against compute: three sizes on the same tokens, by each recipe.

`python -m benchmarks.pretrain_scaling docs --data SHARDS` trains twelve models, in half an hour on two cores,
and writes pretraining.json and pretraining.svg into that folder; it needs the `plots` extra.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from shared.config import ROOT
from training.arguments import parse
from training.device_rate import flops_per_token
from training.pretrain import Arguments, model_config
from training.shards.manifest import read_manifest

SIZES = ((2, 128), (4, 192), (6, 256))
"""Layers and width."""
HEAD_SIZE = 32
RECIPES = {
    "Muon, QK-norm, one rate": ("--optimiser", "muon", "--slow-share", "1", "--lr", "1e-2"),
    "Muon, QK-norm": ("--optimiser", "muon", "--lr", "5e-2"),
    "AdamW, QK-norm": ("--optimiser", "adamw", "--lr", "1e-2"),
    "plain AdamW: one rate, no QK-norm": (
        "--optimiser", "adamw", "--slow-share", "1", "--qk-norm", "none", "--lr", "4e-3",
    ),
}  # fmt: skip
"""Each at the best of the rates that were tried with the middle size (docs/pretraining.md); embedding and
head learn at a tenth of it, but for "one rate"."""
COLOURS = ("#c0313a", "#e08a3c", "#3c7ac0", "#555566")
CONTEXT, STEP_TOKENS = 256, 4096


@dataclass(frozen=True)
class Point:
    """One trained model."""

    recipe: str
    parameters: int
    flops: float
    loss: float
    """Held out, nats a token."""
    bits_per_byte: float


def slope(points: Sequence[Point]) -> float:
    """d log loss / d log compute, by least squares."""
    xs, ys = [math.log(one.flops) for one in points], [math.log(one.loss) for one in points]
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / sum((a - x) ** 2 for a in xs)


def measured(data: Path, tokens: int, jobs: int) -> list[Point]:
    """Train all of them, `jobs` at a time on one core each, or one after the other on all."""
    threads = 0 if jobs == 1 else 1
    kinds = [(recipe, layers, width) for recipe in RECIPES for layers, width in SIZES]
    with ThreadPoolExecutor(jobs) as pool:
        made = {
            kind: pool.submit(_trained, data, tokens, threads, *kind)
            for kind in sorted(kinds, key=lambda kind: -kind[1])  # the longest first
        }
        return [made[kind].result() for kind in kinds]


def _trained(data: Path, tokens: int, threads: int, recipe: str, layers: int, width: int) -> Point:
    heads = width // HEAD_SIZE
    shape = [
        "--n-layer", str(layers), "--n-embd", str(width), "--n-head", str(heads),
        "--n-kv-head", str(heads // 2), "--context", str(CONTEXT),
    ]  # fmt: skip
    arguments = parse(Arguments, "", "", ["--data", str(data), *shape], None)
    config = model_config(arguments, read_manifest(data).vocab_size)
    steps = tokens // STEP_TOKENS
    loop = {
        "--batch": 8, "--step-tokens": STEP_TOKENS, "--steps": steps, "--threads": threads,
        "--samples": 0, "--save-every": steps, "--evaluate-every": steps, "--evaluate-tokens": 131_072,
    }  # fmt: skip
    given = [str(part) for pair in loop.items() for part in pair]
    with tempfile.TemporaryDirectory(prefix="akane-scaling-") as out:
        command = [sys.executable, "-m", "training.pretrain", "--data", str(data), "--out", out]
        subprocess.run([*command, *given, *shape, *RECIPES[recipe]], cwd=ROOT, check=True)
        with (Path(out) / "log.csv").open(encoding="utf-8", newline="") as file:
            last = list(csv.DictReader(file))[-1]
    flops = flops_per_token(config, CONTEXT) * int(last["tokens"])
    loss, bits = float(last["heldout_loss"]), float(last["bits_per_byte"])
    print(f"{recipe}, {config.parameter_count:,}: loss {loss:.4f}", flush=True)
    return Point(recipe, config.parameter_count, flops, loss, bits)


def table(points: Sequence[Point]) -> str:
    """Markdown: a row a model, then the slopes."""
    lines = ["| recipe | parameters | compute | held-out loss | bits a byte |", "|---|---|---|---|---|"]
    for one in points:
        size, compute = f"{one.parameters / 1e6:.1f} M", f"{one.flops:.1e}"
        lines.append(f"| {one.recipe} | {size} | {compute} | {one.loss:.3f} | {one.bits_per_byte:.3f} |")
    for recipe in dict.fromkeys(one.recipe for one in points):
        lines.append(
            f"| {recipe} | slope | {slope([one for one in points if one.recipe == recipe]):.4f} | | |"
        )
    return "\n".join(lines)


def draw(points: Sequence[Point], path: Path) -> None:
    """Loss over compute on logarithmic axes, a line a recipe, as SVG."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    matplotlib.rcParams.update({"svg.hashsalt": "akane", "svg.fonttype": "none", "font.size": 10})
    figure, axis = pyplot.subplots(figsize=(6, 4.6), layout="constrained")
    for recipe, colour in zip(RECIPES, COLOURS, strict=True):
        own = [one for one in points if one.recipe == recipe]
        label = f"{recipe} (slope {slope(own):.3f})"
        axis.loglog(
            [one.flops for one in own], [one.loss for one in own], marker="o", color=colour, label=label
        )
    axis.set(xlabel="compute, floating-point operations", ylabel="held-out loss, nats a token")
    axis.yaxis.set_minor_formatter("{x:.1f}")
    axis.grid(alpha=0.25, which="both")
    axis.spines[["top", "right"]].set_visible(False)
    figure.legend(frameon=False, loc="outside upper left")
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Measure and draw."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pretrain_scaling", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--data", type=Path, help="folder of shards; without it, the pretraining.json that is there"
    )
    parser.add_argument("--tokens", type=int, default=600_000, help="of each model")
    parser.add_argument("--jobs", type=int, default=1, help="models at once, each on one core")
    asked = parser.parse_args()
    record = asked.folder / "pretraining.json"
    if asked.data:
        points = measured(asked.data, asked.tokens, asked.jobs)
        record.write_text(json.dumps([asdict(one) for one in points], indent=1) + "\n", encoding="utf-8")
    points = [Point(**one) for one in json.loads(record.read_text(encoding="utf-8"))]
    print(table(points))
    draw(points, asked.folder / "pretraining.svg")


if __name__ == "__main__":
    main()
