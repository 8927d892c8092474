"""How speed changes with context and with conversations: the native engine beside llama.cpp, drawn.

`python -m benchmarks.scaling docs` measures (some minutes) and writes `scaling.json` and `scaling.svg` into
that folder; it needs the `plots` extra.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.engine import Worker, our_worker, peer_worker

CONTEXTS = (60, 500, 1000, 2000, 4000, 8000)
CONVERSATIONS = (1, 2, 3, 4, 6, 8)
CONTEXT_OF_MANY = 60
TOKENS = 24
ROUNDS = 3

Curve = dict[int, float]
"""Tokens/s at each place of the axis."""


def measured() -> dict[str, dict[str, Curve]]:
    """Curves by axis (`context`, `conversations`), then by engine; engines take turns at every point."""
    workers = {"Akane, native": our_worker(), "llama.cpp": peer_worker()}
    try:
        return {
            "context": _curves(workers, CONTEXTS, lambda at: {"context": at, "rows": 1}),
            "conversations": _curves(
                workers, CONVERSATIONS, lambda at: {"context": CONTEXT_OF_MANY, "rows": at}
            ),
        }
    finally:
        for worker in workers.values():
            worker.close()


def _curves(workers: dict[str, Worker], places: Sequence[int], task_at: Any) -> dict[str, Curve]:
    curves: dict[str, Curve] = {name: {} for name in workers}
    for at in places:
        task = {**task_at(at), "tokens": TOKENS}
        seconds: dict[str, list[float]] = {name: [] for name in workers}
        for _ in range(ROUNDS):
            for name, worker in workers.items():
                seconds[name].append(worker.seconds(task))
        for name, times in seconds.items():
            curves[name][at] = round(TOKENS * task["rows"] / statistics.median(times), 1)
    return curves


def draw(curves: dict[str, dict[str, Curve]], path: Path) -> None:
    """Both axes side by side, as SVG."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    matplotlib.rcParams.update({"svg.hashsalt": "akane", "svg.fonttype": "none", "font.size": 10})
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    titles = {
        "context": "one conversation, tokens of context",
        "conversations": f"conversations at once, {CONTEXT_OF_MANY} tokens of context each",
    }
    for axis, (name, engines) in zip(axes, curves.items(), strict=True):
        for (engine, curve), colour in zip(engines.items(), ("#c0313a", "#555566"), strict=True):
            axis.plot(list(curve), list(curve.values()), marker="o", color=colour, label=engine)
        axis.set(xlabel=titles[name], ylim=(0, None))
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("tokens/s, all together")
    axes[0].legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Measure and draw."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--draw-only", action="store_true", help="from the scaling.json that is there")
    asked = parser.parse_args()
    record = asked.folder / "scaling.json"
    if not asked.draw_only:
        record.write_text(json.dumps(measured(), indent=1) + "\n", encoding="utf-8")
    curves = json.loads(record.read_text(encoding="utf-8"))
    draw({axis: {name: {int(at): rate for at, rate in curve.items()} for name, curve in engines.items()}
          for axis, engines in curves.items()}, asked.folder / "scaling.svg")  # fmt: skip


if __name__ == "__main__":
    main()
