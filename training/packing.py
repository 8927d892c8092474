"""Many conversations in one row without padding: their common head is computed once, none sees another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from shared.model.gpt import GPT, Step
from shared.model.rotary import RotaryEmbedding
from training.attention import RowAttention
from training.forward import head_inputs
from training.loss import summed_cross_entropy, token_losses
from training.rendering import Sample

Item = TypeVar("Item")


@dataclass(frozen=True)
class Row:
    """One forward pass: the head, then what follows it in each conversation, one behind the other."""

    ids: tuple[int, ...]
    head: int
    """Tokens that all conversations begin with."""
    lengths: tuple[int, ...]
    """Tokens of each conversation behind the head."""
    predictors: tuple[int, ...]
    """Places in the row whose next token is learned …"""
    targets: tuple[int, ...]
    """… and that token."""
    learned: tuple[int, ...]
    """How many of them each conversation has."""


def make_row(samples: Sequence[Sample]) -> Row:
    """Join samples. Their common beginning is shared up to the first token that any of them learns."""
    shared = min(
        _common([sample.ids for sample in samples]),
        # The place before a learned token predicts it, another in each conversation: it is not shared.
        *(sample.learned[0][0] - 1 for sample in samples),
    )
    head = max(0, shared) if len(samples) > 1 else 0
    ids, lengths = list(samples[0].ids[:head]), []
    predictors: list[int] = []
    targets: list[int] = []
    for sample in samples:
        offset = len(ids) - head
        for start, end in sample.learned:
            predictors += range(offset + start - 1, offset + end - 1)
            targets += sample.ids[start:end]
        ids += sample.ids[head:]
        lengths.append(len(sample.ids) - head)
    learned = tuple(sample.n_learned for sample in samples)
    return Row(tuple(ids), head, tuple(lengths), tuple(predictors), tuple(targets), learned)


def _common(texts: Sequence[tuple[int, ...]]) -> int:
    """How many leading tokens all have in common: as many as the first and last in order have."""
    first, last = min(texts), max(texts)
    return next((i for i, (a, b) in enumerate(zip(first, last)) if a != b), min(len(first), len(last)))  # noqa: B905


def plan_rows(samples: Sequence[Sample], max_tokens: int) -> list[Row]:
    """Distribute samples over rows of at most `max_tokens`, those that share the longest heads together.

    A sample longer than that gets a row of its own.
    """
    return [make_row(held) for held in distribute(samples, lambda sample: [sample], max_tokens)]


def distribute(
    items: Sequence[Item], samples_of: Callable[[Item], list[Sample]], max_tokens: int
) -> list[list[Item]]:
    """The items of each row, where an item is some samples that have to share one; else as `plan_rows`."""
    rows: list[list[Item]] = []
    held: list[Sample] = []
    for item in sorted(items, key=lambda one: samples_of(one)[0].ids):
        if not held or len(make_row([*held, *samples_of(item)]).ids) > max_tokens:
            rows.append([])
            held = []
        rows[-1].append(item)
        held += samples_of(item)
    return rows


class RowStep(Step):
    """Rotary rows and attention of one `Row`: positions begin anew behind the head in each conversation."""

    __slots__ = ("hidden", "sizes")

    def __init__(self, rotary: RotaryEmbedding, row: Row) -> None:
        self.cache, self.rows, self.mask = None, (), None
        device = rotary.cos.device
        positions = [torch.arange(row.head)]
        positions += [torch.arange(row.head, row.head + length) for length in row.lengths]
        at = torch.cat(positions).to(device)
        self.cos, self.sin = rotary.cos[at][None, None], rotary.sin[at][None, None]
        self.sizes = [row.head, *row.lengths]
        self.hidden: list[Tensor] = []
        if device.type == "cpu":
            self.hidden = [later(size, size + row.head * (i > 0)) for i, size in enumerate(self.sizes)]
        else:
            # One call of PyTorch's kernel instead of many small ones.
            self.mask = dense_mask(self.sizes).to(device)

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Every conversation sees the head and itself; q and the result are (1, n_head, N, head_size)."""
        if self.mask is not None:
            return super().attend(q, k, v)
        return RowAttention.apply(q, k, v, self.sizes, self.hidden)


def later(size: int, seen: int) -> Tensor:
    """True where one of the last `size` of `seen` tokens would look at a token behind it, (size, seen)."""
    return torch.ones(size, seen, dtype=torch.bool).triu(seen - size + 1)


def dense_mask(sizes: Sequence[int]) -> Tensor:
    """True where a token may look, (N, N); the first size is the head's, which all see."""
    total = sum(sizes)
    mask = torch.zeros(total, total, dtype=torch.bool)
    start = 0
    for size in sizes:
        end = start + size
        mask[start:end, : sizes[0]] = True
        mask[start:end, start:end] = ~later(size, size)
        start = end
    mask[: sizes[0], : sizes[0]] = ~later(sizes[0], sizes[0])
    return mask


def row_loss(model: GPT, row: Row, autocast: bool = False) -> Tensor:
    """Sum over the row's learned tokens of -log p, in nats; logits are computed at their places alone.

    `autocast` computes in bfloat16 with float32 weights.
    """
    return summed_cross_entropy(*_predicted(model, row, autocast))


def row_likelihoods(model: GPT, row: Row) -> Tensor:
    """log p of what is learned of each conversation, in nats, (len(row.lengths),); the head is frozen."""
    losses = token_losses(*_predicted(model, row, False))
    return torch.stack([-part.sum() for part in losses.split(row.learned)])


def _predicted(model: GPT, row: Row, autocast: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Hidden states (N, n_embd) that predict, the head's matrix, and the N tokens that are right."""
    device = model.device
    tokens = torch.tensor(row.ids, device=device)[None]
    at = torch.tensor(row.predictors, device=device)
    hidden, weight = head_inputs(model, tokens, RowStep(model.rotary, row), autocast, at)
    return hidden, weight, torch.tensor(row.targets, device=device)
