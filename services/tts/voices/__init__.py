"""The voices, best first, and what each must be able to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from services.tts.rendering import Part
from shared.model.progress import Progress as Report

FALLBACKS = {"kokoro": "neural", "neural": "pyttsx3", "pyttsx3": "silent"}
"""What takes over when a voice cannot be loaded."""
SLOWNESS = {"kokoro": 20.0}
"""How many times as long as the others a voice may take for a text before it counts as hung."""


class VoiceError(Exception):
    """One sentence: why this voice cannot speak on this machine."""


class SpeakerError(VoiceError):
    """One sentence: tts.speaker names nobody this voice has, and whom it has."""

    def __init__(self, speaker: str, known: Iterable[str]) -> None:
        super().__init__(f"there is no speaker {speaker!r}: set tts.speaker to one of {', '.join(known)}")


class Voice(Protocol):
    """Turns text into sound. Lives in the engine child alone; one call at a time."""

    def synthesize(self, text: str, rate: float, semitones: float = 0.0) -> Iterator[Part]:
        """Sentences of `text` in order, each when it is asked for; `rate` 1 is the ordinary pace.

        `semitones` moves the pitch; the length is that of `rate`. None come when the voice has no sound for
        the text.
        """


def load_voice(name: str, speaker: str = "", report: Report = lambda stage, done, total: None) -> Voice:
    """Load a voice and warm it; `report` is told of a download. Raises VoiceError."""
    voice = _LOADERS[name](speaker, report)
    for _ in voice.synthesize("Hello, I am ready.", 1.0):
        pass  # the first call of a fresh engine is ten times slower
    return voice


def _neural(speaker: str, report: Report) -> Voice:
    from services.tts.voices.neural import NeuralVoice

    return NeuralVoice(speaker, report)


def _kokoro(speaker: str, report: Report) -> Voice:
    from services.tts.voices.kokoro import KokoroVoice

    return KokoroVoice(speaker, report)


def _pyttsx3(_speaker: str, _report: Report) -> Voice:
    from services.tts.voices.pyttsx3_voice import Pyttsx3Voice

    return Pyttsx3Voice()


def _silent(_speaker: str, _report: Report) -> Voice:
    from services.tts.voices.silent import SilentVoice

    return SilentVoice()


_LOADERS: dict[str, Callable[[str, Report], Voice]] = {
    "neural": _neural,
    "kokoro": _kokoro,
    "pyttsx3": _pyttsx3,
    "silent": _silent,
}
"""Imported only when wanted: each brings its own heavy library."""
