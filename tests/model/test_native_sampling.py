"""The native sampler and PyTorch's choose the same id from the same logits and the same uniform number."""

from __future__ import annotations

import math
from array import array

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from native_helpers import TARGETS

from shared.model import sampling
from shared.model.native.sampling import native_sample
from shared.model.sampling import GREEDY, Sampler, SamplingParams, power, sample

VOCABULARY = 49_152
NEAR_ONE = 1 - 2**-53
"""The largest number that `random.random` returns."""

ROWS = {
    "as a model's": lambda random, size: random.normal(0, 3, size),
    "ties": lambda random, size: random.integers(-2, 3, size),
    "all equal": lambda random, size: np.zeros(size),
    "almost certain": lambda random, size: np.where(
        np.arange(size) == size // 2, 900.0, random.normal(0, 3, size)
    ),
    "most forbidden": lambda random, size: np.where(
        random.random(size) < 0.9, -np.inf, random.normal(0, 3, size)
    ),
    "signed zeros": lambda random, size: np.where(random.random(size) < 0.5, 0.0, -0.0),
}

any_params = st.builds(
    SamplingParams,
    temperature=st.sampled_from([0.0, 0.01, 0.6, 1.0]) | st.floats(0, 100),
    top_k=st.sampled_from([0, 1, 40, 100_000]) | st.integers(0, 400),
    top_p=st.sampled_from([1.0, 0.5, 0.25]) | st.floats(0.001, 1),
    min_p=st.sampled_from([0.0, 1.0, 0.1]) | st.floats(0, 1),
    repetition_penalty=st.sampled_from([1.0, 1.1, 2.0]) | st.floats(0.1, 10),
)


def row_of(kind: str, size: int, seed: int) -> torch.Tensor:
    random = np.random.default_rng(seed)
    row = ROWS[kind](random, size).astype(np.float32)
    if not np.isfinite(row).any():
        row[size // 2] = 0.0
    return torch.from_numpy(row)


@settings(max_examples=600, deadline=None)
@given(
    kind=st.sampled_from(sorted(ROWS)),
    size=st.sampled_from([1, 2, 31, 32, 33, 300, 1000]) | st.integers(1, 2000),
    seed=st.integers(0, 2**32),
    params=any_params,
    uniform=st.sampled_from([0.0, 0.25, 0.5, NEAR_ONE]) | st.floats(0, 1, exclude_max=True),
    share_seen=st.sampled_from([0.0, 0.02, 1.0]),
)
def test_both_choose_the_same(
    kind: str, size: int, seed: int, params: SamplingParams, uniform: float, share_seen: float
) -> None:
    native = native_sample()
    assert native is not None
    row = row_of(kind, size, seed)
    before = row.clone()
    seen = array("i", np.flatnonzero(np.random.default_rng(seed).random(size) < share_seen).tolist())
    expected = sample(row, params, uniform, seen)
    assert native(row, params, uniform, seen) == expected
    assert before[expected] > -math.inf
    assert torch.equal(row, before)


@pytest.mark.parametrize(
    "params",
    [
        SamplingParams(0.6, 40, 1.0, 0.1, 1.1),
        SamplingParams(1.0, 3000),
        SamplingParams(0.8, 0, 0.9),
        SamplingParams(3.0, 0, 0.9),
        SamplingParams(1.0, 0, 1.0, 0.05),
        SamplingParams(),
        GREEDY,
    ],
)
@pytest.mark.parametrize("kind", ["as a model's", "ties"])
@pytest.mark.parametrize("target", TARGETS)
def test_both_choose_the_same_from_a_whole_vocabulary(target: str, kind: str, params: SamplingParams) -> None:
    native = native_sample(TARGETS[target])
    assert native is not None
    row = row_of(kind, VOCABULARY, 5)
    seen = array("i", range(0, VOCABULARY, 200))
    for uniform in (0.0, *np.random.default_rng(6).random(3).tolist(), NEAR_ONE):
        assert native(row, params, uniform, seen) == sample(row, params, uniform, seen)


def test_a_uniform_number_on_the_border_between_two_ids_belongs_to_the_second() -> None:
    """The last bit decides here, so both must add up the same numbers in the same order."""
    native = native_sample()
    assert native is not None
    row = row_of("as a model's", 50, 8)
    weights = power((row.double() - row.max().double()) / 1.0)
    cumulative = weights.cumsum(0)
    for index in range(49):
        border = float(cumulative[index] / cumulative[-1])
        for uniform in (math.nextafter(border, 0), border, math.nextafter(border, 1)):
            assert native(row, SamplingParams(), uniform, array("i")) == sample(
                row, SamplingParams(), uniform
            )


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
@pytest.mark.parametrize("place", [0, 37, 99])
def test_logits_that_are_no_numbers_are_refused_by_both(wrong: float, place: int) -> None:
    native = native_sample()
    assert native is not None
    row = torch.zeros(100)
    row[place] = wrong
    for choose in (native, sample):
        with pytest.raises(ValueError, match="leave no choice"):
            choose(row, GREEDY, 0.5, array("i"))
        with pytest.raises(ValueError, match="leave no choice"):
            choose(torch.full((100,), -math.inf), SamplingParams(), 0.5, array("i"))


def test_power_is_the_exponential() -> None:
    x = torch.linspace(-100, 0, 100_001, dtype=torch.float64)
    assert float((power(x) / x.exp() - 1).abs().max()) < 1e-15
    assert power(torch.tensor([0.0, -101.0, -math.inf], dtype=torch.float64)).tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("penalty", [1.0, 1.3])
def test_a_series_is_the_same_without_the_library(monkeypatch: pytest.MonkeyPatch, penalty: float) -> None:
    rows = torch.randn((60, 500), generator=torch.Generator().manual_seed(2)) * 2
    params = SamplingParams(0.9, 30, 0.95, 0.01, penalty)

    def series() -> list[int]:
        sampler = Sampler(params, n_tokens=490, seed=4)
        return [sampler.choose(row) for row in rows]

    assert native_sample() is not None
    native = series()
    monkeypatch.setattr(sampling, "native_sample", lambda: None)
    assert series() == native
