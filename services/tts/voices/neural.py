"""The default voice: hibari, a small neural English voice, 100 times faster than real time on a CPU."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from services.tts.audio import SAMPLE_RATE_HZ
from services.tts.bending import factor
from services.tts.rendering import Part
from services.tts.voices import VoiceError
from services.tts.voices.phonemes import Phonemes, english, stretches, timed_part, with_output

DURATIONS = "/Clip_output_0"
"""Inner value of hibari 0.2.1's graph: the length of each phoneme at any rate."""


class NeuralVoice:
    """hibari's female American voice at 24 kHz, with the time of each phoneme."""

    def __init__(self) -> None:
        try:
            import hibari
            from hibari.voices import DEFAULT, voice_path

            if hibari.SAMPLE_RATE != SAMPLE_RATE_HZ:
                raise VoiceError(f"hibari-tts {hibari.__version__} speaks at another rate than 0.2.1")
            with open(voice_path(DEFAULT), "rb") as file:
                model = with_output(file.read(), DURATIONS)
            self._hibari = hibari.Hibari(model=model, threads=1)
            self._hibari.g2p("Akane warms up.")  # loads the dictionaries
        except VoiceError:
            raise
        except Exception as error:  # a broken install fails in many ways
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise VoiceError(f"the neural voice cannot be loaded ({reason})") from error

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
