"""Another pitch for voices that have none to set."""

from __future__ import annotations

from services.tts.audio import SAMPLE_RATE_HZ, resample
from services.tts.rendering import Part, TimedMouth, TimedWord

STEP_HZ = 60
"""Rates that `repitched` uses are multiples of it, which keeps the transform short: at most 2 cents off."""


def factor(semitones: float) -> float:
    """Frequency over frequency."""
    return float(2.0 ** (semitones / 12.0))


def repitched(part: Part, semitones: float) -> Part:
    """The part played faster or slower: its pitch moves by `semitones`, its length by the inverse.

    Ask the voice for a pace divided by `factor(semitones)` before: the length is then the one wanted.
    """
    played_hz = STEP_HZ * round(SAMPLE_RATE_HZ * factor(semitones) / STEP_HZ)
    if played_hz == SAMPLE_RATE_HZ:
        return part
    scale = SAMPLE_RATE_HZ / played_hz
    words = [TimedWord(word.text, word.start_s * scale, word.end_s * scale) for word in part.words]
    mouths = [TimedMouth(mouth.shape, mouth.start_s * scale, mouth.openness) for mouth in part.mouths]
    return Part(part.text, resample(part.samples, played_hz), words, mouths)
