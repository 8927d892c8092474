"""From a row of logits to a token id: pure functions of logits, parameters and one uniform number."""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from shared.model.native.sampling import NO_CHOICE, native_sample

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


def penalise(logits: Tensor, seen: Sequence[int], penalty: float) -> Tensor:
    """Repetition penalty (https://arxiv.org/abs/1909.05858): divides positive logits of the ids in `seen`,
    multiplies negative ones. The row (V,) itself is left as it is."""
    if penalty == 1.0 or not len(seen):
        return logits
    ids = torch.tensor(list(seen))
    row = logits.clone()
    values = row[ids]
    row[ids] = torch.where(values > 0, values / penalty, values * penalty)
    return row


def sample(logits: Tensor, params: SamplingParams, uniform: float, seen: Sequence[int] = ()) -> int:
    """The id drawn from one row of logits (V,), float32 on the CPU: the cumulative distribution inverted at
    `uniform` in [0, 1).

    Candidates are ordered from the most to the least probable, of equal ones the lowest id first, where top-k
    or top-p cut them, else by id. `seen` are the different ids generated so far, for the repetition penalty.
    Raises ValueError when the logits leave no choice. The native library takes the same steps.
    """
    row = penalise(logits, seen, params.repetition_penalty)
    best = row.max()
    if not math.isfinite(best):
        raise ValueError(NO_CHOICE)
    if params.temperature == 0.0:
        return int(row.argmax())
    ids, weights = candidates(row, params)
    cumulative = weights.cumsum(0)
    index = int(torch.searchsorted(cumulative, uniform * cumulative[-1:], right=True))
    index = min(index, len(cumulative) - 1)
    return index if ids is None else int(ids[index])


def candidates(row: Tensor, params: SamplingParams) -> tuple[Tensor | None, Tensor]:
    """Ids that survive the filters (None = the whole row) and their probabilities as multiples of the best
    one's, in double.

    The best k are taken first: sorting the whole vocabulary for top-p costs forty times as much.
    """
    best = row.max().double()

    def weights_of(logits: Tensor) -> Tensor:
        return power((logits.double() - best) / params.temperature)

    if 0 < params.top_k < len(row):
        ids = best_ids(row, params.top_k)
        weights = weights_of(row[ids])
        return _cut(ids, weights, params, params.top_p * weights.cumsum(0)[-1])
    weights = weights_of(row)
    if params.top_p == 1.0:
        return None, torch.where(weights >= params.min_p, weights, 0.0)
    share = params.top_p * weights.cumsum(0)[-1]
    count = min(FIRST_CANDIDATES, len(row))
    while True:
        ids = best_ids(row, count)
        weights = weights_of(row[ids])
        if count == len(row) or weights.cumsum(0)[-1] >= share:
            return _cut(ids, weights, params, share)
        count = min(4 * count, len(row))


def best_ids(row: Tensor, count: int) -> Tensor:
    """The `count` best ids, best first, of equal ones the lowest."""
    bound = row.topk(count).values[-1]
    ids = (row >= bound).nonzero()[:, 0]
    return ids[row[ids].sort(descending=True, stable=True).indices[:count]]


def power(x: Tensor) -> Tensor:
    """e^x in double for x at most 0, to two units in the last place; 0 below -100, less than any
    difference between two uniform numbers.

    Made of sums and products in a fixed order, because the last bit of `exp` depends on the library: the
    native sampler must have the same. x = n ln 2 + r; a Taylor series of r; 2^n.
    """
    y = x.clamp(min=-100.0)
    n = (y * 1.4426950408889634).round()
    r = (y - n * 0.693145751953125) - n * 1.4286068203094173e-06
    series = torch.full_like(r, 1.0 / math.factorial(13))
    for exponent in range(12, -1, -1):
        series = series * r + 1.0 / math.factorial(exponent)
    scale = ((n.to(torch.int64) + 1023) << 52).view(torch.float64)
    return torch.where(x < -100.0, 0.0, series * scale)


def _cut(ids: Tensor, weights: Tensor, params: SamplingParams, share: Tensor) -> tuple[Tensor, Tensor]:
    """Of the best: the fewest whose weights reach `share`, of these all of at least min-p; at least one."""
    keep = weights >= params.min_p
    keep[0] = True
    if params.top_p < 1.0:
        keep[1:] &= weights.cumsum(0)[:-1] < share
    count = int(keep.cumprod(0).sum())
    return ids[:count], weights[:count]


class Sampler:
    """One generation's choices: its parameters, its own random numbers, and what it has generated so far."""

    __slots__ = ("_different", "_seen", "generated", "n_tokens", "params", "random")

    def __init__(self, params: SamplingParams, n_tokens: int, seed: int | None = None) -> None:
        """`n_tokens`: ids from there on are never chosen. `seed` None: differs every time."""
        self.params = params
        self.n_tokens = n_tokens
        self.random = random.Random(seed)
        self.generated: list[int] = []
        self._seen: set[int] = set()
        self._different = array("i")

    def choose(self, logits: Tensor) -> int:
        """The next id for a row of logits (V,); one uniform number is used for each, also when greedy.

        A row on a GPU is brought to the CPU: it is 0.2 to 0.6 MB, and the id is waited for anyway.
        """
        row = logits if len(logits) <= self.n_tokens else logits[: self.n_tokens]
        if row.dtype != torch.float32 or row.device.type != "cpu":
            row = row.float().cpu()
        choose = native_sample() or sample
        token = choose(row, self.params, self.random.random(), self._different)
        self.generated.append(token)
        if token not in self._seen:
            self._seen.add(token)
            self._different.append(token)
        return token
