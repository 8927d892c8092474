"""The system's own voice through pyttsx3 (espeak-ng, SAPI 5, NSSpeech): plain, but always there."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import tempfile
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from services.tts.audio import SAMPLE_RATE_HZ, Floats, resample, sounding_span
from services.tts.bending import factor, repitched
from services.tts.english import as_said
from services.tts.mouth import from_loudness
from services.tts.rendering import Part
from services.tts.timing import estimate, fit
from services.tts.voices import VoiceError

FEMALE_ESPEAK = "en-us+f1"
"""espeak's plain voice is a man's; of its women's, a speech recogniser understands this one best."""
WORDS_PER_MINUTE = 170
TRIES = 3
RATE_TRIES = 20
POLL_S = 0.005
FILE_S = 10.0
"""How long a finished utterance may take to appear on disk."""


class Pyttsx3Voice:
    """One utterance at a time, to a temporary file; its words are spread over the sound by their length."""

    def __init__(self) -> None:
        try:
            _find_espeak()
            import pyttsx3

            self._engine: Any = pyttsx3.init()
        except Exception as error:  # each driver fails in its own way
            raise VoiceError(
                f"pyttsx3 has no voice on this machine ({str(error) or type(error).__name__})"
            ) from error
        if self._engine.driver_name == "espeak":
            with contextlib.suppress(ValueError):  # an espeak without variants keeps its own voice
                self._engine.proxy.setProperty("voice", FEMALE_ESPEAK)
        self._finished: bool | None = None
        self._engine.connect("finished-utterance", self._on_finished)

    def synthesize(self, text: str, rate: float, semitones: float = 0.0) -> Iterator[Part]:
        """One part for the whole text. Not every driver has a pitch to set, so the samples get it."""
        text = as_said(text) if self._engine.driver_name == "espeak" else text  # it reads signs as signs
        self._set_rate(round(WORDS_PER_MINUTE * rate / factor(semitones)))
        for _ in range(TRIES):
            if sound := self._utter(text):
                break
        else:
            raise VoiceError("pyttsx3 wrote no sound")
        samples = resample(*sound)
        first, last = sounding_span(samples)
        if last == first:
            return
        words = fit(estimate(text.split()), first / SAMPLE_RATE_HZ, last / SAMPLE_RATE_HZ)
        yield repitched(Part(text, samples, words, from_loudness(samples)), semitones)

    def _utter(self, text: str) -> tuple[Floats, int] | None:
        """Samples and their rate; None when the driver took the end of the last utterance for this one's."""
        with tempfile.TemporaryDirectory(prefix="akane-tts-", ignore_cleanup_errors=True) as folder:
            path = Path(folder) / "utterance.wav"
            self._finished = None
            self._engine.save_to_file(text, str(path))
            self._engine.runAndWait()
            deadline = time.monotonic() + FILE_S
            # runAndWait may return before a long utterance is written
            while self._finished is not False and time.monotonic() < deadline:
                if self._finished and (sound := _read(path)):
                    return sound
                time.sleep(POLL_S)
        return None

    def _set_rate(self, words_per_minute: int) -> None:
        """The driver loses a change while the thread of the last utterance winds up: ask until it is in."""
        for _ in range(RATE_TRIES):
            if self._engine.getProperty("rate") == words_per_minute:
                return
            self._engine.setProperty("rate", words_per_minute)
            time.sleep(POLL_S)

    def _on_finished(self, completed: bool = True, **_: Any) -> None:
        self._finished = completed


def _read(path: Path) -> tuple[Floats, int] | None:
    """Mono samples and rate of a complete file; None while it is not there."""
    with contextlib.suppress(OSError, wave.Error, EOFError), wave.open(str(path)) as file:
        if file.getnframes():
            pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2")
            mono = pcm.reshape(-1, file.getnchannels()).mean(axis=1)
            return (mono / 32768).astype(np.float32), file.getframerate()
    return None


def _find_espeak() -> None:
    """Make the espeak-ng of `espeakng-loader` known when a Linux has none of its own."""
    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(OSError):
        ctypes.CDLL("libespeak-ng.so.1")
        return
    import espeakng_loader

    os.environ.setdefault("ESPEAK_DATA_PATH", espeakng_loader.get_data_path())
    ctypes.CDLL(espeakng_loader.get_library_path(), mode=ctypes.RTLD_GLOBAL)
