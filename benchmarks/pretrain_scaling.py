"""Loss against compute: three sizes on the same tokens, by our recipe, without Muon, without QK-norm too.

`python -m benchmarks.pretrain_scaling docs --data SHARDS` trains nine models, in minutes on two cores,
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
    "Muon, QK-norm": ("--optimiser", "muon"),
    "AdamW, QK-norm": ("--optimiser", "adamw"),
    "plain AdamW, no QK-norm": ("--optimiser", "adamw", "--qk-norm", "none"),
}
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


def measured(data: Path, tokens: int, rates: dict[str, str]) -> list[Point]:
    """Train all of them, one after the other."""
    vocabulary = read_manifest(data).vocab_size
    points = []
    for recipe, flags in RECIPES.items():
        for layers, width in SIZES:
            shape = [
                "--n-layer", str(layers), "--n-embd", str(width), "--n-head", str(width // HEAD_SIZE),
                "--n-kv-head", str(width // HEAD_SIZE // 2), "--context", str(CONTEXT),
            ]  # fmt: skip
            config = model_config(parse(Arguments, "", "", ["--data", str(data), *shape], None), vocabulary)
            with tempfile.TemporaryDirectory(prefix="akane-scaling-") as out:
                _train(data, Path(out), tokens, rates[recipe], shape, flags)
                with (Path(out) / "log.csv").open(encoding="utf-8", newline="") as file:
                    last = list(csv.DictReader(file))[-1]
            point = Point(
                recipe,
                config.parameter_count,
                flops_per_token(config, CONTEXT) * int(last["tokens"]),
                float(last["heldout_loss"]),
                float(last["bits_per_byte"]),
            )
            print(f"{recipe}, {point.parameters:,}: loss {point.loss:.4f}")
            points.append(point)
    return points


def _train(data: Path, out: Path, tokens: int, rate: str, shape: list[str], flags: Sequence[str]) -> None:
    steps = tokens // STEP_TOKENS
    arguments = {
        "--data": data, "--out": out, "--batch": 8, "--step-tokens": STEP_TOKENS,
        "--steps": steps, "--lr": rate, "--samples": 0, "--save-every": steps, "--evaluate-every": steps,
        "--evaluate-tokens": 131_072,
    }  # fmt: skip
    given = [str(part) for pair in arguments.items() for part in pair]
    subprocess.run([sys.executable, "-m", "training.pretrain", *given, *shape, *flags], cwd=ROOT, check=True)


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
    figure, axis = pyplot.subplots(figsize=(6, 3.6), layout="constrained")
    for recipe, colour in zip(RECIPES, ("#c0313a", "#c9a227", "#555566"), strict=True):
        own = [one for one in points if one.recipe == recipe]
        label = f"{recipe} (slope {slope(own):.3f})"
        axis.loglog(
            [one.flops for one in own], [one.loss for one in own], marker="o", color=colour, label=label
        )
    axis.set(xlabel="compute, floating-point operations", ylabel="held-out loss, nats a token")
    axis.grid(alpha=0.25, which="both")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Measure and draw."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pretrain_scaling", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--data", type=Path, help="folder of shards; without it, the pretraining.json that is there"
    )
    parser.add_argument("--tokens", type=int, default=1_000_000, help="of each model")
    parser.add_argument("--lr", default="4e-3", help="of Muon")
    parser.add_argument("--adamw-lr", default="4e-3", help="of AdamW: give it the best that it can use")
    asked = parser.parse_args()
    record = asked.folder / "pretraining.json"
    if asked.data:
        rates = {recipe: asked.lr if "muon" in flags else asked.adamw_lr for recipe, flags in RECIPES.items()}
        points = measured(asked.data, asked.tokens, rates)
        record.write_text(json.dumps([asdict(one) for one in points], indent=1) + "\n", encoding="utf-8")
    points = [Point(**one) for one in json.loads(record.read_text(encoding="utf-8"))]
    print(table(points))
    draw(points, asked.folder / "pretraining.svg")


if __name__ == "__main__":
    main()
