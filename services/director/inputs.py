"""What can happen to the conversation, beside the bus events that it reads as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shared.commands import Command
from shared.events import (
    ChatMessage,
    ChatRetracted,
    Event,
    Finished,
    MoodName,
    SpeechFinished,
    Token,
    TurnState,
)
from shared.events import Progress as ProgressEvent

Presence = Literal["absent", "starting", "ready"]
AWAY = ("no_such_service", "silent", "unreachable", "timeout", "unavailable")
"""Codes of a command that nobody was there to obey."""


@dataclass(frozen=True)
class Arrived:
    """A viewer's line. `at` is when it was typed, in seconds of the machine's clock; `cause` its bus id."""

    message: ChatMessage
    at: float
    cause: str | None = None


@dataclass(frozen=True)
class SayAsked:
    """The operator wants her to say exactly this, next in line."""

    turn: str
    text: str
    mood: MoodName


@dataclass(frozen=True)
class InterruptAsked:
    """The present turn is to end now."""


@dataclass(frozen=True)
class MuteAsked:
    """Silence until it is lifted."""

    muted: bool


@dataclass(frozen=True)
class MoodAsked:
    """The operator puts a face on her."""

    mood: MoodName


@dataclass(frozen=True)
class Answered:
    """What became of a command that was sent: `code` is empty when it was obeyed."""

    command: Command
    code: str = ""
    sentence: str = ""


@dataclass(frozen=True)
class Replayed:
    """Pieces of a generation that had been lost on the way."""

    generation: str
    from_index: int
    pieces: tuple[str, ...]


@dataclass(frozen=True)
class Heard:
    """Progress of the voice; `sound_at` is when the chunk's first sample sounded, in the clock's seconds."""

    progress: ProgressEvent
    sound_at: float | None = None


@dataclass(frozen=True)
class PresenceChanged:
    """The model or the voice came, went, or is on its way."""

    service: Literal["llm", "tts"]
    presence: Presence


@dataclass(frozen=True)
class AdapterChanged:
    """The model runs with an adapter, or without one again."""

    has_adapter: bool


@dataclass(frozen=True)
class Died:
    """The session of the model or the voice that had our work is gone."""

    service: Literal["llm", "tts"]


@dataclass(frozen=True)
class Resumed:
    """At start: the turns that an earlier director published, oldest first, and how it left the show."""

    states: tuple[TurnState, ...]
    epoch: int = 0
    """Of its last panic, which may lie above those of all turns."""
    muted: bool = False


@dataclass(frozen=True)
class Tick:
    """Time has passed."""


Input = (
    Arrived
    | ChatRetracted
    | SayAsked
    | InterruptAsked
    | MuteAsked
    | MoodAsked
    | Token
    | Finished
    | SpeechFinished
    | Heard
    | Answered
    | Replayed
    | PresenceChanged
    | AdapterChanged
    | Died
    | Resumed
    | Tick
)


@dataclass(frozen=True)
class Effect:
    """An event to publish or a command to send, and the id of the message that caused it."""

    payload: Event | Command
    cause: str | None = None
