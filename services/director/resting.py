"""Her face between turns: what the last words put on goes after a while, what a hand put on stays."""

from __future__ import annotations

from services.director.stage import Stage
from services.director.turn import Turn
from shared.events import Mood, MoodName

REST_S = 4.0
"""A mood outlives its turn by so much."""


def by_hand(stage: Stage, turn: Turn | None, mood: MoodName) -> None:
    """Put on `mood` now; without a cause, by which the bodies know it from the moods of words to come."""
    stage.rest_at = None
    if turn is not None:
        turn.handed_at = _place(turn)
    stage.emit(Mood(turn=turn.id if turn else None, epoch=stage.epoch, mood=mood))


def after(stage: Stage, turn: Turn) -> None:
    """`turn` is done: its face goes soon, unless a hand put it on and no words came after that."""
    if turn.handed_at != _place(turn):
        stage.rest_at = stage.now + REST_S


def tick(stage: Stage) -> None:
    """While no turn is on or waits: neutral when the time has come."""
    if stage.rest_at is not None and stage.now >= stage.rest_at:
        stage.rest_at = None
        stage.emit(Mood(epoch=stage.epoch))


def _place(turn: Turn) -> tuple[int, int]:
    """How far her words have come: chunks that were sent, and the last that sounded."""
    return turn.sent, max(turn.progress, default=-1)
