"""What the steps hand to each other; all times are seconds from the start of the stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Drop = Callable[[str, str], None]
"""Told of everything that is left out: the reason, and the text."""


@dataclass(frozen=True, slots=True)
class Cue:
    """One subtitle as it is shown."""

    start_s: float
    end_s: float
    text: str
    """Its lines, joined by line feeds."""
    speaker: str | None = None
    """None when the file does not say who speaks."""


@dataclass(frozen=True, slots=True)
class Message:
    """One line of chat, or what a guest said aloud."""

    at_s: float
    author: str
    text: str
    spoken: bool = False


@dataclass(frozen=True, slots=True)
class Utterance:
    """What one person said between two pauses."""

    start_s: float
    end_s: float
    text: str
    speaker: str | None = None
    whole: bool = True
    """False when it goes on with a sentence that was cut for its length."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """Something that she said and the messages that it answers; without any it is idle talk."""

    messages: tuple[Message, ...]
    said: Utterance
