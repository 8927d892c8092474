"""Dialogues to learn from and to judge by: nothing held out is a rewording of what is learned."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from training.dialogues import Dialogue
from training.wording import groups, near_duplicates


def split(dialogues: Sequence[Dialogue], share: float) -> tuple[list[Dialogue], list[Dialogue]]:
    """To learn from and to hold out, about `share` of each topic; dialogues that share wording stay together.

    Which is which depends on ids and wording alone: a set that grows hardly changes sides.
    """
    texts = [(number, turn.content) for number, one in enumerate(dialogues) for turn in one.turns]
    pairs = near_duplicates([text for _, text in texts])
    leaders = groups(len(dialogues), [(texts[a][0], texts[b][0]) for a, b, _ in pairs])
    is_held = [place(dialogues[leader].id.encode()) < share for leader in leaders]
    learned = [one for one, held in zip(dialogues, is_held, strict=True) if not held]
    return learned, [one for one, held in zip(dialogues, is_held, strict=True) if held]


def place(data: bytes) -> float:
    """A number of [0, 1) that only the data decides: which side of a split it is on."""
    return int.from_bytes(hashlib.sha256(data).digest()[:8], "big") / 2**64
