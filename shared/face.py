"""Her face as the events tell it, for every body but the stage's page: mood and mouth.

Pure. What belongs to an epoch that is over changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from shared.events import Event, Mood, MoodName, Mouth, MouthShape, SpeechFinished, TurnState


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


def after(face: Face, event: Event) -> Face:
    """The face once `event` is known; the same object when it changes nothing (stale, or of another kind)."""
    if not isinstance(event, (TurnState, Mood, Mouth, SpeechFinished)) or event.epoch < face.epoch:
        return face
    if event.epoch > face.epoch:
        face = replace(silenced(face), epoch=event.epoch)
    if isinstance(event, Mood):
        return replace(face, mood=event.mood, intensity=_unit(event.intensity))
    if isinstance(event, Mouth):
        return replace(face, shape=event.shape, openness=_unit(event.openness))
    if isinstance(event, SpeechFinished):
        return silenced(face)
    if event.phase != "done":
        return replace(face, turn=event.turn)
    # A message that is refused ends with the present epoch, too, while another turn goes on.
    return silenced(face) if event.turn == face.turn else face


def silenced(face: Face) -> Face:
    """The mouth shut: the voice ended, was cut or died."""
    return (
        face if face.shape == "closed" and not face.openness else replace(face, shape="closed", openness=0.0)
    )


def _unit(value: float) -> float:
    return min(1.0, max(0.0, value))
