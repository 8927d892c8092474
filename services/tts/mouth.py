"""Mouth shapes from phonemes, letters or loudness."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from services.tts.audio import SAMPLE_RATE_HZ, Floats
from services.tts.rendering import TimedMouth

MOUTH_RATE_HZ = 30

_SHAPES: dict[str, tuple[str, float]] = {
    **dict.fromkeys("ɑaæʌɐɒ", ("A", 1.0)),
    **dict.fromkeys("iɪᵻɨj", ("I", 0.4)),
    **dict.fromkeys("uʊwɯɹʃʒʧʤɸβ", ("U", 0.35)),
    **dict.fromkeys("ɛeəɜɚᵊ", ("E", 0.6)),
    **dict.fromkeys("ɔo", ("O", 0.7)),
    **dict.fromkeys("nŋltTdszθðkɡghɾɲɴɕʥʨʣʦçʔ", ("N", 0.25)),
    **dict.fromkeys("mbp", ("closed", 0.0)),
    **dict.fromkeys("fv", ("closed", 0.1)),
    **dict.fromkeys('.,!?;:—…"“”()', ("closed", 0.0)),
}
"""Phoneme (Kokoro's alphabet, hibari's too) -> shape and openness. Signs that are absent (length, a short
space) hold the shape before them."""
_STRESS = "ˈˌ"
"""In the time of these the vowel behind them sounds already."""

_GLIDES = {"A": "eɪ", "I": "aɪ", "O": "oʊ", "Q": "əʊ", "W": "aʊ", "Y": "ɔɪ"}
"""Diphthongs that the alphabet writes as one sign: from one shape into another."""
_GLIDE_AT = 0.6

_LETTERS: dict[str, tuple[str, float]] = {
    "a": ("A", 1.0), "e": ("E", 0.6), "i": ("I", 0.4), "y": ("I", 0.4), "o": ("O", 0.7), "u": ("U", 0.35),
    "w": ("U", 0.35), "m": ("closed", 0.0), "b": ("closed", 0.0), "p": ("closed", 0.0), "f": ("closed", 0.1),
    "v": ("closed", 0.1),
}  # fmt: skip


def from_phonemes(timed: Iterable[tuple[str, float, float]]) -> list[TimedMouth]:
    """(phoneme, start, duration in seconds) -> shapes; neighbours that look alike are one."""
    mouths: list[TimedMouth] = []
    stress_s = 0.0
    for phoneme, start_s, length_s in timed:
        if phoneme in _STRESS:
            stress_s += length_s
            continue
        start_s, length_s, stress_s = start_s - stress_s, length_s + stress_s, 0.0
        if glide := _GLIDES.get(phoneme):
            _append(mouths, _SHAPES[glide[0]], start_s)
            _append(mouths, _SHAPES[glide[1]], start_s + _GLIDE_AT * length_s)
        elif shape := _SHAPES.get(phoneme):
            _append(mouths, shape, start_s)
    return mouths


def from_letters(word: str, start_s: float, end_s: float) -> list[TimedMouth]:
    """A guess from spelling alone, letters spread evenly over the word."""
    letters = [letter for letter in word.casefold() if letter.isalnum()]
    mouths: list[TimedMouth] = []
    for index, letter in enumerate(letters):
        shape = _LETTERS.get(letter, ("N", 0.25) if letter.isascii() else ("A", 0.6))
        _append(mouths, shape, start_s + (end_s - start_s) * index / len(letters))
    return mouths


def from_loudness(samples: Floats) -> list[TimedMouth]:
    """For voices that tell no phonemes: the louder, the wider, one step every 33 ms."""
    window = SAMPLE_RATE_HZ // MOUTH_RATE_HZ
    count = len(samples) // window
    if not count:
        return []
    rms = np.sqrt(np.square(samples[: count * window].reshape(count, window)).mean(axis=1))
    full = float(np.percentile(rms, 95)) or 1.0
    mouths: list[TimedMouth] = []
    for index, value in enumerate(np.clip(rms / full, 0.0, 1.0)):
        openness = round(float(value), 1)
        _append(mouths, ("A", openness) if openness >= 0.2 else ("closed", 0.0), index / MOUTH_RATE_HZ)
    return mouths


def _append(mouths: list[TimedMouth], shape: tuple[str, float], start_s: float) -> None:
    if not mouths or (mouths[-1].shape, mouths[-1].openness) != shape:
        mouths.append(TimedMouth(shape[0], round(start_s, 4), shape[1]))
