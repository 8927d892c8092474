"""Which dialogues a step learns from, and under which head: a function of seed and step."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from training.dialogues import Dialogue
from training.packing import Row, plan_rows
from training.rendering import Sample

Renderer = Callable[[Dialogue, bool, bool], list[Sample]]
"""Samples of a dialogue; whether the persona heads it, and whether its worked examples do."""


@dataclass(frozen=True)
class Mixture:
    """Persona dialogues, in a new order each epoch, with general chat that makes `replay_share` of all."""

    dialogues: Sequence[Dialogue]
    replay: Sequence[Dialogue]
    render: Renderer
    examples_share: float
    """Of the dialogues, drawn anew each epoch, that are learned with the worked examples in the prompt."""
    replay_share: float
    batch: int
    """Dialogues a step."""
    row_tokens: int
    seed: int

    @property
    def n_replayed(self) -> int:
        """Of general chat, in each epoch."""
        return round(len(self.dialogues) * self.replay_share / (1 - self.replay_share)) if self.replay else 0

    @property
    def steps(self) -> int:
        """Of one epoch; the last may be smaller than the others."""
        return -(-(len(self.dialogues) + self.n_replayed) // self.batch)

    def rows(self, step: int) -> list[Row]:
        """The rows of a step, longest first."""
        epoch, place = divmod(step, self.steps)
        draw = random.Random(f"{self.seed}/{epoch}")
        chosen = [(dialogue, True, draw.random() < self.examples_share) for dialogue in self.dialogues]
        chosen += [(draw.choice(self.replay), False, False) for _ in range(self.n_replayed)]
        draw.shuffle(chosen)
        return packed(chosen[place * self.batch : (place + 1) * self.batch], self.render, self.row_tokens)

    def heldout_rows(self, heldout: Sequence[Dialogue]) -> list[Row]:
        """Rows of dialogues that are never learned, under heads that are drawn once for all."""
        draw = random.Random(f"{self.seed}/heldout")
        chosen = [(dialogue, True, draw.random() < self.examples_share) for dialogue in heldout]
        return packed(chosen, self.render, self.row_tokens)


def packed(chosen: Sequence[tuple[Dialogue, bool, bool]], render: Renderer, row_tokens: int) -> list[Row]:
    """Rows of dialogues under their heads, longest first; only those with equal heads share a row."""
    groups: dict[tuple[bool, ...], list[Sample]] = {}
    for dialogue, persona, examples in chosen:
        kind = (persona, examples, dialogue.tagged, bool(dialogue.memory))
        groups.setdefault(kind, []).extend(render(dialogue, persona, examples))
    rows = [row for samples in groups.values() for row in plan_rows(samples, row_tokens)]
    return sorted(rows, key=lambda row: -len(row.ids))
