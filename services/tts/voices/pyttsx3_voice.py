"""The system's own voice through pyttsx3 (espeak-ng, SAPI 5, NSSpeech): plain, but always there."""

from __future__ import annotations

import contextlib
import ctypes
import os
import tempfile
import time
import wave
from pathlib import Path
from typing import Any

import numpy as np

from services.tts.audio import SAMPLE_RATE_HZ, Floats, resample, sounding_span
from services.tts.mouth import from_loudness
from services.tts.rendering import Part
from services.tts.timing import estimate, fit
from services.tts.voices import VoiceError

WORDS_PER_MINUTE = 170
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
        self._completed = False
        self._engine.connect("finished-utterance", self._finished)

    def synthesize(self, text: str, rate: float) -> list[Part]:
        """One part for the whole text."""
        self._engine.setProperty("rate", round(WORDS_PER_MINUTE * rate))
        with tempfile.TemporaryDirectory(prefix="akane-tts-", ignore_cleanup_errors=True) as folder:
            path = Path(folder) / "utterance.wav"
            self._completed = False
            self._engine.save_to_file(text, str(path))
            self._engine.runAndWait()
            samples = resample(*self._read(path))
        first, last = sounding_span(samples)
        if last == first:
            return []
        words = fit(estimate(text.split()), first / SAMPLE_RATE_HZ, last / SAMPLE_RATE_HZ)
        return [Part(text, samples, words, from_loudness(samples))]

    def _finished(self, **_: Any) -> None:
        self._completed = True

    def _read(self, path: Path) -> tuple[Floats, int]:
        """Samples and rate of the file: `runAndWait` may return before a long one is written."""
        deadline = time.monotonic() + FILE_S
        while time.monotonic() < deadline:
            if self._completed:
                with contextlib.suppress(OSError, wave.Error, EOFError), wave.open(str(path)) as file:
                    if file.getnframes():
                        pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2")
                        mono = pcm.reshape(-1, file.getnchannels()).mean(axis=1)
                        return (mono / 32768).astype(np.float32), file.getframerate()
            time.sleep(0.005)
        raise VoiceError("pyttsx3 wrote no sound")


def _find_espeak() -> None:
    """Make the espeak-ng of `espeakng-loader` known when the system has none (Linux, macOS)."""
    if os.name == "nt":
        return
    with contextlib.suppress(OSError):
        ctypes.CDLL("libespeak-ng.so.1")
        return
    import espeakng_loader

    os.environ.setdefault("ESPEAK_DATA_PATH", espeakng_loader.get_data_path())
    ctypes.CDLL(espeakng_loader.get_library_path(), mode=ctypes.RTLD_GLOBAL)
