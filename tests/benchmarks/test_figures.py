"""How figures are reduced and printed."""

from __future__ import annotations

from pathlib import Path

import pytest

import benchmarks
from benchmarks.__main__ import BENCHMARKS
from benchmarks.figures import Figure, percentile


@pytest.mark.parametrize(
    ("count", "share", "rank"),
    [(100, 0.99, 99), (20, 0.95, 19), (3, 0.5, 2), (4, 0.5, 2), (1, 0.99, 1), (5, 1.0, 5), (5, 0.0, 1)],
)
def test_percentile_is_the_nearest_rank(count: int, share: float, rank: int) -> None:
    assert percentile([float(value) for value in range(count, 0, -1)], share) == rank


def test_a_figure_shows_its_peer_and_the_ratio() -> None:
    figure = Figure("bus.latency_p50", 150.0, "us", "raw", 100.0, "at most 1.5 x raw")
    assert "| raw 100.0 | ratio 1.50 | target at most 1.5 x raw" in figure.line()
    assert figure.record()["ratio"] == 1.5
    assert Figure("x", 1.0, "s").ratio is None
    assert Figure("x", 1.0, "s", "peer", 0.0).line().endswith("| peer 0")


def test_every_benchmark_is_in_the_list_that_make_bench_runs() -> None:
    folder = Path(benchmarks.__path__[0])
    has_run = {path.stem for path in folder.glob("*.py") if "\ndef run(" in path.read_text(encoding="utf-8")}
    assert has_run == set(BENCHMARKS)
