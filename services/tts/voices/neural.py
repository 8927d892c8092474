"""The default voice: hibari, a small neural English voice, 100 times faster than real time on a CPU."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from services.tts.audio import SAMPLE_RATE_HZ
from services.tts.bending import factor
from services.tts.rendering import Part
from services.tts.voices import SpeakerError, VoiceError
from services.tts.voices.phonemes import Phonemes, english, stretches, timed_part, with_output
from shared.model.progress import Progress

DURATIONS = "/Clip_output_0"
"""Inner value of hibari 0.2.1's graph: the length of each phoneme at any rate."""
HUB = "maureesewilliams/hibari"
"""Where the speakers lie that the package does not bring (8 MB each)."""


class NeuralVoice:
    """One of hibari's speakers at 24 kHz, with the time of each phoneme; `heart` comes with the package."""

    def __init__(self, speaker: str, report: Progress) -> None:
        try:
            self._load(speaker, report)
        except VoiceError:
            raise
        except Exception as error:  # no network, a full disk, a broken install
            reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
            raise VoiceError(f"the neural voice cannot be loaded ({reason})") from error

    def _load(self, speaker: str, report: Progress) -> None:
        import hibari
        from hibari.voices import DEFAULT, VOICES

        if hibari.SAMPLE_RATE != SAMPLE_RATE_HZ:
            raise VoiceError(f"hibari-tts {hibari.__version__} speaks at another rate than 0.2.1")
        speaker = speaker or DEFAULT
        if speaker not in VOICES:
            raise SpeakerError(speaker, VOICES)
        model = with_output(_file(speaker, VOICES[speaker], report).read_bytes(), DURATIONS)
        self._hibari = hibari.Hibari(speaker, model=model, threads=1)  # the name: British words or American
        self._hibari.g2p("Akane warms up.")  # loads the dictionaries

    def synthesize(self, text: str, rate: float, semitones: float = 0.0) -> Iterator[Part]:
        """One part a sentence."""
        for sentence in self._hibari.split_sentences(text):
            for stretch in stretches(english(self._hibari.g2p, sentence), frozenset(self._hibari.vocab)):
                if any(sign.isalpha() for sign in stretch.signs):
                    yield self._say(stretch, rate, semitones)

    def _say(self, stretch: Phonemes, rate: float, semitones: float) -> Part:
        from hibari import dsp

        ids = np.asarray([self._hibari.ids(stretch.signs)], np.int64)
        feeds = {"ids": ids, "speed": np.asarray([rate], np.float32)}
        *spectra, f0, durations = self._hibari.sess.run(None, feeds)
        pitch = f0[0] * np.float32(factor(semitones))  # the spectrum stays: another pitch, the same person
        samples = dsp.synth(*(value[0] for value in spectra), pitch, np.random.default_rng(0))
        return timed_part(stretch, samples, durations)


def _file(speaker: str, entry: dict[str, Any], report: Progress) -> Path:
    """The speaker's model: in the package, in hibari's cache, or fetched. Raises ModelError, OSError."""
    from hibari.voices import voice_path

    if entry.get("bundled"):
        return Path(voice_path(speaker))
    with contextlib.suppress(FileNotFoundError):
        return Path(voice_path(speaker, download_missing=False))
    from shared.model.hub_fetch import ensure_hub  # heavy, and the first speaker needs none of it
    from shared.model.hub_name import HubName

    return ensure_hub(HubName(HUB, f"voices/{entry['file']}"), sha256=entry["sha256"], progress=report)
