"""The table of loss against compute, of points worked by hand."""

from __future__ import annotations

import pytest

from benchmarks.pretrain_scaling import Point, slope, table
from benchmarks.pretrain_worker import preset
from shared.model.config import GPTConfig


def points(recipe: str, power: float) -> list[Point]:
    return [Point(recipe, 10**6 * n, 10.0**n, 8 * 10.0 ** (power * n), 1.5) for n in (12, 13, 15)]


def test_the_slope_is_the_power_of_compute() -> None:
    assert slope(points("Muon", -0.05)) == pytest.approx(-0.05)
    noisy = [Point("x", 1, flops, loss, 1.0) for flops, loss in ((1.0, 1.0), (10.0, 2.0), (100.0, 1.0))]
    assert slope(noisy) == pytest.approx(0.0, abs=1e-12)


def test_a_row_a_model_then_the_slopes() -> None:
    lines = table([*points("Muon", -0.05), *points("AdamW", 0.02)]).splitlines()
    assert len(lines) == 2 + 6 + 2
    assert lines[2] == "| Muon | 12.0 M | 1.0e+12 | 2.010 | 1.500 |"
    assert lines[-2:] == ["| Muon | slope | -0.0500 | | |", "| AdamW | slope | 0.0200 | | |"]
    assert {line.count("|") for line in lines} == {6}


def test_workers_have_the_models_of_the_presets() -> None:
    assert preset("akane-124m")[1] == GPTConfig()
    nano = preset("nano")[1]
    assert (nano.vocab_size, nano.block_size, nano.n_layer) == (4096, 1024, 6)
