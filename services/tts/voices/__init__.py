"""The voices, best first, and what each must be able to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from services.tts.rendering import Part

FALLBACKS = {"neural": "pyttsx3", "pyttsx3": "silent"}
"""What takes over when a voice cannot be loaded."""


class VoiceError(Exception):
    """One sentence: why this voice cannot speak on this machine."""


class Voice(Protocol):
    """Turns text into sound. Lives in the engine child alone; one call at a time."""

    def synthesize(self, text: str, rate: float) -> Iterator[Part]:
        """Sentences of `text` in order, each when it is asked for; `rate` 1 is the ordinary pace.

        None come when the voice has no sound for the text.
        """


def load_voice(name: str) -> Voice:
    """Load a voice and warm it. Raises VoiceError."""
    voice = _LOADERS[name]()
    for _ in voice.synthesize("Hello, I am ready.", 1.0):
        pass  # the first call of a fresh engine is ten times slower
    return voice


def _neural() -> Voice:
    from services.tts.voices.neural import NeuralVoice

    return NeuralVoice()


def _pyttsx3() -> Voice:
    from services.tts.voices.pyttsx3_voice import Pyttsx3Voice

    return Pyttsx3Voice()


def _silent() -> Voice:
    from services.tts.voices.silent import SilentVoice

    return SilentVoice()


_LOADERS: dict[str, Callable[[], Voice]] = {"neural": _neural, "pyttsx3": _pyttsx3, "silent": _silent}
"""Imported only when wanted: each brings its own heavy library."""
