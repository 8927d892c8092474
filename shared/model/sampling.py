"""From a row of logits to a token id: pure functions of logits, parameters and one uniform number."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

FIRST_CANDIDATES = 256
"""How many of the best tokens nucleus sampling looks at before it tries four times as many."""


@dataclass(frozen=True)
class SamplingParams:
    """How to choose; the defaults choose from the unchanged distribution. Raises ValueError in one sentence.

    `temperature` 0 is greedy; `top_k` 0, `top_p` 1 and `min_p` 0 switch these filters off. They apply in that
    order, after the temperature: the best k, of these the fewest whose share reaches p, of these all that
    have at least `min_p` times the probability of the best.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.temperature <= 100.0:
            raise ValueError(f"temperature must be from 0 to 100, not {self.temperature}")
        if self.top_k < 0:
            raise ValueError(f"top_k must not be negative, not {self.top_k}")
        if not 0.0 < self.top_p <= 1.0:
            raise ValueError(f"top_p must be above 0 and at most 1, not {self.top_p}")
        if not 0.0 <= self.min_p <= 1.0:
            raise ValueError(f"min_p must be from 0 to 1, not {self.min_p}")
        if not 0.0 < self.repetition_penalty <= 100.0:
            raise ValueError(f"repetition_penalty must be above 0, not {self.repetition_penalty}")


GREEDY = SamplingParams(temperature=0.0)


def penalise(logits: Tensor, seen: Iterable[int], penalty: float) -> Tensor:
    """Repetition penalty (https://arxiv.org/abs/1909.05858): divides positive logits of the ids in `seen`,
    multiplies negative ones. The row (V,) itself is left as it is."""
    ids = torch.tensor(sorted(set(seen)), dtype=torch.long, device=logits.device)
    if penalty == 1.0 or not len(ids):
        return logits
    row = logits.clone()
    values = row[ids]
    row[ids] = torch.where(values > 0, values / penalty, values * penalty)
    return row


def sample(logits: Tensor, params: SamplingParams, uniform: float, seen: Collection[int] = ()) -> int:
    """The id drawn from one row of logits (V,): the cumulative distribution inverted at `uniform` in [0, 1).

    Candidates are ordered from the most to the least probable where top-k or top-p cut them, else by id.
    `seen` are the ids generated so far, for the repetition penalty.
    """
    row = penalise(logits.float(), seen, params.repetition_penalty)
    if params.temperature == 0.0:
        return int(row.argmax())
    ids, probabilities = candidates(row, params)
    cumulative = probabilities.cumsum(0)
    index = int(torch.searchsorted(cumulative, uniform * cumulative[-1:], right=True))
    index = min(index, len(cumulative) - 1)
    return index if ids is None else int(ids[index])


def candidates(row: Tensor, params: SamplingParams) -> tuple[Tensor | None, Tensor]:
    """Ids that survive the filters (None = the whole row) and their probabilities, not renormalised.

    The best k are taken first: sorting the whole vocabulary for top-p costs forty times as much.
    """
    scaled = row / params.temperature
    total = scaled.logsumexp(0)
    if 0 < params.top_k < len(row):
        best, ids = scaled.topk(params.top_k)
        return _cut((best - best.logsumexp(0)).exp(), ids, params)
    if params.top_p < 1.0:
        count = min(FIRST_CANDIDATES, len(row))
        while True:
            best, ids = scaled.topk(count)
            probabilities = (best - total).exp()
            if count == len(row) or float(probabilities.sum()) >= params.top_p:
                return _cut(probabilities, ids, params)
            count = min(4 * count, len(row))
    probabilities = (scaled - total).exp()
    if params.min_p > 0.0:
        keep = probabilities >= params.min_p * probabilities.max()
        return keep.nonzero()[:, 0], probabilities[keep]
    return None, probabilities


def _cut(probabilities: Tensor, ids: Tensor, params: SamplingParams) -> tuple[Tensor, Tensor]:
    """Top-p, then min-p, of probabilities sorted downwards; the best always stays."""
    keep = len(ids)
    if params.top_p < 1.0:
        before = probabilities.cumsum(0) - probabilities
        keep = max(1, int((before < params.top_p).sum()))
    if params.min_p > 0.0:
        keep = min(keep, int((probabilities >= params.min_p * probabilities[0]).sum()))
    return ids[:keep], probabilities[:keep]


class Sampler:
    """One generation's choices: its parameters, its own random numbers, and what it has generated so far."""

    __slots__ = ("generated", "n_tokens", "params", "random")

    def __init__(self, params: SamplingParams, n_tokens: int, seed: int | None = None) -> None:
        """`n_tokens`: ids from there on are never chosen. `seed` None: differs every time."""
        self.params = params
        self.n_tokens = n_tokens
        self.random = random.Random(seed)
        self.generated: list[int] = []

    def choose(self, logits: Tensor) -> int:
        """The next id for a row of logits (V,); one uniform number is used for each, also when greedy."""
        token = sample(logits[: self.n_tokens], self.params, self.random.random(), self.generated)
        self.generated.append(token)
        return token
