"""A mood is heard: pace and pitch of the real voices, and times that stay those of the sound."""

from __future__ import annotations

from functools import cache
from typing import get_args

import numpy as np
import pytest

from services.tts.audio import SAMPLE_RATE_HZ
from services.tts.bending import factor, repitched
from services.tts.manners import MANNERS
from services.tts.rendering import Part, Rendering, TimedMouth, TimedWord, assemble
from services.tts.voices import Voice, load_voice
from shared.events import MoodName

SENTENCE = "Well, we are all here now, and I am among them."
"""Voiced almost throughout, so that the pitch shows."""

loaded = cache(load_voice)


def said(voice: Voice, mood: MoodName) -> Rendering:
    manner = MANNERS[mood]
    return assemble(list(voice.synthesize(SENTENCE, manner.pace, manner.semitones)), 1.0)


def pitch_hz(samples: np.ndarray) -> float:
    """Median over 40 ms windows of the strongest period between 70 and 400 Hz, voiced windows only."""
    window, found = SAMPLE_RATE_HZ // 25, []
    shortest, longest = SAMPLE_RATE_HZ // 400, SAMPLE_RATE_HZ // 70
    for start in range(0, len(samples) - window, window // 2):
        frame = samples[start : start + window].astype(float)
        frame -= frame.mean()
        likeness = np.correlate(frame, frame, "full")[window - 1 :]
        period = shortest + int(likeness[shortest:longest].argmax())
        if likeness[0] > 1e7 and likeness[period] > 0.5 * likeness[0]:
            found.append(SAMPLE_RATE_HZ / period)
    return float(np.median(found))


@pytest.mark.parametrize("name", ["neural", "pyttsx3"])
def test_sad_is_slower_and_lower_than_excited(name: str) -> None:
    sad, excited = said(loaded(name), "sad"), said(loaded(name), "excited")
    assert sad.duration_s > 1.1 * excited.duration_s
    assert pitch_hz(sad.pcm) < 0.92 * pitch_hz(excited.pcm)


@pytest.mark.parametrize("name", ["neural", "pyttsx3"])
@pytest.mark.parametrize("mood", ["sad", "excited"])
def test_times_are_those_of_the_bent_sound(name: str, mood: MoodName) -> None:
    made = said(loaded(name), mood)
    plain = said(loaded(name), "neutral")
    assert made.duration_s == pytest.approx(plain.duration_s / MANNERS[mood].pace, rel=0.08)
    assert made.words[-1].end_s == pytest.approx(made.duration_s, abs=0.15)
    assert made.mouths[-1].start_s == pytest.approx(made.duration_s, abs=0.001)
    assert [mouth.start_s for mouth in made.mouths] == sorted(mouth.start_s for mouth in made.mouths)


def test_every_mood_has_a_gentle_manner() -> None:
    assert set(MANNERS) == set(get_args(MoodName))
    assert (MANNERS["neutral"].pace, MANNERS["neutral"].semitones) == (1.0, 0.0)
    for manner in MANNERS.values():
        assert 0.85 <= manner.pace <= 1.15
        assert abs(manner.semitones) <= 1.5


@pytest.mark.parametrize("semitones", [-2.0, 1.0, 12.0])
def test_repitching_moves_a_tone_and_all_times_alike(semitones: float) -> None:
    seconds = np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    tone = Part(
        "la", np.sin(2 * np.pi * 200 * seconds), [TimedWord("la", 0.2, 0.8)], [TimedMouth("A", 0.4, 1.0)]
    )
    made = repitched(tone, semitones)
    spectrum = np.abs(np.fft.rfft(made.samples))
    found_hz = spectrum.argmax() * SAMPLE_RATE_HZ / len(made.samples)
    assert found_hz == pytest.approx(200 * factor(semitones), rel=0.01)
    length_s = len(made.samples) / SAMPLE_RATE_HZ
    assert length_s == pytest.approx(1 / factor(semitones), rel=0.002)
    assert made.words[0].end_s / length_s == pytest.approx(0.8, rel=0.002)
    assert made.mouths[0].start_s / length_s == pytest.approx(0.4, rel=0.002)


def test_no_pitch_leaves_the_samples_alone() -> None:
    part = Part("la", np.ones(100, np.float32), [], [])
    assert repitched(part, 0.0) is part
