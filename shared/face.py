"""Her face as the events tell it, for every body but the stage's page: mood, mouth, whether she ponders.

Pure. What belongs to an epoch that is over changes nothing. Chunks are judged long before they sound, so a
mood waits for its words: the face of the third chunk must not be that of the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from shared.events import (
    Event,
    Mood,
    MoodName,
    Mouth,
    MouthShape,
    Progress,
    SpeechFinished,
    Timeline,
    TurnState,
)


@dataclass(frozen=True)
class Face:
    """How she looks now."""

    epoch: int = 0
    """The highest one heard of."""
    turn: str = ""
    mood: MoodName = "neutral"
    intensity: float = 1.0
    """Of the mood, 0 to 1."""
    shape: MouthShape = "closed"
    openness: float = 0.0
    """Of the mouth, 0 to 1."""
    ponders: bool = False
    """An answer is thought of."""
    sounding: str = ""
    """The turn that is being spoken."""
    chunk: int | None = None
    """Of it, the one that sounds."""
    plans: Mapping[int, MoodName] = field(default_factory=dict)
    """Moods of its chunks."""
    later: Mood | None = None
    """The last that came for words which have not sounded yet."""


def after(face: Face, event: Event, *, by_hand: bool = False) -> Face:
    """The face once `event` is known; the same object when it changes nothing (stale, or of another kind).

    `by_hand`: a mood that no chunk of speech brought, shown at once.
    """
    if not isinstance(event, (TurnState, Mood, Mouth, Timeline, Progress, SpeechFinished)):
        return face
    if event.epoch < face.epoch:
        return face
    if event.epoch > face.epoch:
        face = replace(silenced(face), epoch=event.epoch)
    if isinstance(event, Mood):
        waits = face.sounding and event.turn == face.sounding and not by_hand
        return replace(face, later=event) if waits else _put_on(face, event.mood, event.intensity)
    if isinstance(event, Mouth):
        return replace(face, sounding=event.turn, shape=event.shape, openness=_unit(event.openness))
    if isinstance(event, Timeline):
        return replace(face, plans={**face.plans, event.chunk: event.mood})
    if isinstance(event, Progress):
        return _heard(face, event)
    if isinstance(event, SpeechFinished):
        if event.reason == "done" and face.later is not None:
            face = _put_on(face, face.later.mood, face.later.intensity)
        return silenced(face)
    if event.phase != "done":
        return replace(face, turn=event.turn, ponders=event.phase == "thinking")
    # A message that is refused ends with the present epoch, too, while another turn goes on.
    return replace(_shut(face), ponders=False) if event.turn == face.turn else face


def silenced(face: Face) -> Face:
    """The mouth shut and what was planned forgotten: the voice ended, was cut or died."""
    return replace(_shut(face), sounding="", chunk=None, plans={}, later=None)


def _shut(face: Face) -> Face:
    return replace(face, shape="closed", openness=0.0)


def _heard(face: Face, progress: Progress) -> Face:
    face = replace(face, sounding=progress.turn)
    if progress.chunk == face.chunk:
        return face
    face = replace(face, chunk=progress.chunk)
    planned = face.plans.get(progress.chunk)
    return face if planned is None else _put_on(face, planned, 1.0)


def _put_on(face: Face, mood: MoodName, intensity: float) -> Face:
    return replace(face, mood=mood, intensity=_unit(intensity))


def _unit(value: float) -> float:
    return min(1.0, max(0.0, value))
