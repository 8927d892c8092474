"""Sampling as pure functions: filters, penalty, seeds, and ids that no token stands behind."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.model.sampling import GREEDY, Sampler, SamplingParams, candidates, penalise, sample

LOGITS = torch.tensor([0.0, 3.0, 1.0, 2.0, -1.0])
"""From best to worst: 1, 3, 2, 0, 4."""


def drawn(params: SamplingParams, draws: int = 400) -> set[int]:
    return {sample(LOGITS, params, index / draws) for index in range(draws)}


def test_greedy_takes_the_best() -> None:
    assert sample(LOGITS, GREEDY, 0.99) == 1


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        (SamplingParams(), {0, 1, 2, 3, 4}),
        (SamplingParams(top_k=1), {1}),
        (SamplingParams(top_k=3), {1, 3, 2}),
        (SamplingParams(top_k=99), {0, 1, 2, 3, 4}),
        (SamplingParams(top_p=0.5), {1}),
        (SamplingParams(top_p=0.8), {1, 3}),
        (SamplingParams(min_p=0.3), {1, 3}),
        (SamplingParams(min_p=1.0), {1}),
        (SamplingParams(top_k=3, top_p=0.95), {1, 3, 2}),
        (SamplingParams(top_k=4, top_p=0.99, min_p=0.1), {1, 3, 2}),
        (SamplingParams(temperature=0.01), {1}),
    ],
)
def test_filters_leave_exactly_these(params: SamplingParams, expected: set[int]) -> None:
    assert drawn(params) == expected


def test_draws_follow_the_distribution_at_a_temperature() -> None:
    draws = 5000
    params = SamplingParams(temperature=0.7)
    counts = [0] * 5
    for index in range(draws):
        counts[sample(LOGITS, params, (index + 0.5) / draws)] += 1
    expected = (LOGITS / 0.7).softmax(0)
    for count, probability in zip(counts, expected.tolist(), strict=True):
        assert count / draws == pytest.approx(probability, abs=2 / draws)


def test_penalty_divides_positive_multiplies_negative_and_leaves_the_rest() -> None:
    row = penalise(torch.tensor([2.0, -2.0, 2.0, -2.0]), [0, 1], 1.5)
    assert row.tolist() == pytest.approx([2 / 1.5, -3.0, 2.0, -2.0])


def test_penalty_counts_generated_tokens_only() -> None:
    sampler = Sampler(SamplingParams(temperature=0.0, repetition_penalty=2.0), n_tokens=5)
    assert [sampler.choose(LOGITS) for _ in range(3)] == [1, 3, 1]


def test_nucleus_wider_than_the_first_look_equals_a_full_sort() -> None:
    row = torch.randn(3000, generator=torch.Generator().manual_seed(1)) * 0.1
    ids, _ = candidates(row, SamplingParams(top_p=0.9))
    assert ids is not None
    order = row.softmax(0).sort(descending=True)
    before = order.values.cumsum(0) - order.values
    assert set(ids.tolist()) == set(order.indices[before < 0.9].tolist())
    assert len(ids) > 1024


def test_ids_without_a_token_are_never_chosen() -> None:
    row = torch.zeros(50304)
    row[50257:] = 1000.0
    for params in (GREEDY, SamplingParams(), SamplingParams(top_k=50), SamplingParams(top_p=0.9)):
        sampler = Sampler(params, n_tokens=50257, seed=1)
        assert all(sampler.choose(row) < 50257 for _ in range(20))


def test_one_seed_gives_one_series() -> None:
    def series(seed: int | None) -> list[int]:
        sampler = Sampler(SamplingParams(), n_tokens=5, seed=seed)
        return [sampler.choose(LOGITS) for _ in range(40)]

    assert series(7) == series(7)
    assert series(7) != series(8)
    assert series(None) != series(None)


@settings(max_examples=60, deadline=None)
@given(
    uniform=st.floats(0, 1, exclude_max=True),
    temperature=st.floats(0.05, 5),
    top_k=st.integers(0, 40),
    top_p=st.floats(0.01, 1),
    min_p=st.floats(0, 1),
)
def test_the_choice_is_always_a_candidate(
    uniform: float, temperature: float, top_k: int, top_p: float, min_p: float
) -> None:
    row = torch.randn(30, generator=torch.Generator().manual_seed(3)) * 4
    params = SamplingParams(temperature, top_k, top_p, min_p)
    ids, probabilities = candidates(row, params)
    assert len(probabilities) >= 1
    allowed = range(30) if ids is None else ids.tolist()
    assert sample(row, params, uniform) in allowed
    assert int(row.argmax()) in allowed


@pytest.mark.parametrize(
    "values",
    [
        {"temperature": -1.0},
        {"temperature": math.nan},
        {"top_k": -1},
        {"top_p": 0.0},
        {"min_p": 1.5},
        {"repetition_penalty": 0.0},
    ],
)
def test_bad_values_are_named(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        SamplingParams(**values)  # type: ignore[arg-type]
