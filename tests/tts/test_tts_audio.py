"""Arithmetic on samples: silence found, loudness evened, rates changed."""

from __future__ import annotations

import numpy as np
import pytest

from services.tts.audio import (
    PEAK_LIMIT,
    SAMPLE_RATE_HZ,
    TARGET_RMS,
    even_gain,
    fade_out,
    resample,
    sounding_span,
    to_pcm,
)
from services.tts.mouth import from_loudness
from services.tts.rendering import (
    CLAUSE_PAUSE_S,
    SENTENCE_PAUSE_S,
    Part,
    TimedMouth,
    TimedWord,
    assemble,
    planned_pause_s,
)


def sine(hertz: float, seconds: float, rate_hz: int = SAMPLE_RATE_HZ, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate_hz)) / rate_hz)).astype(
        np.float32
    )


def padded(samples: np.ndarray, seconds: float) -> np.ndarray:
    silence = np.zeros(round(seconds * SAMPLE_RATE_HZ), np.float32)
    return np.concatenate([silence, samples, silence])


def test_sounding_span_ignores_faint_noise() -> None:
    samples = padded(sine(300, 0.5), 0.2)
    noise = np.random.default_rng(0).normal(0, 0.0005, len(samples)).astype(np.float32)
    first, last = sounding_span(samples + noise)
    assert first / SAMPLE_RATE_HZ == pytest.approx(0.2, abs=0.002)
    assert last / SAMPLE_RATE_HZ == pytest.approx(0.7, abs=0.002)
    assert sounding_span(np.zeros(1000, np.float32)) == (0, 0)
    assert sounding_span(np.zeros(0, np.float32)) == (0, 0)


@pytest.mark.parametrize("level", [0.02, 0.1, 0.9])
@pytest.mark.parametrize("pause_s", [0.0, 1.0])
def test_loudness_is_the_same_whatever_came_in(level: float, pause_s: float) -> None:
    samples = padded(sine(200, 1.0, level=level), pause_s)
    even = samples * even_gain(samples, 1.0)
    rms = float(np.sqrt(np.square(even[np.abs(samples) > 0]).mean()))
    assert rms == pytest.approx(min(TARGET_RMS, level * 8 / 2**0.5), rel=0.05)


def test_no_volume_clips() -> None:
    samples = sine(200, 0.5, level=0.1)
    samples[5000] = 0.9
    assert np.abs(samples * even_gain(samples, 2.0)).max() <= PEAK_LIMIT + 1e-6
    assert even_gain(samples, 0.0) == 0.0
    assert even_gain(np.zeros(5000, np.float32), 1.0) == 0.0
    assert np.abs(to_pcm(samples, 100.0)).max() == 32767


@pytest.mark.parametrize("rate_hz", [16_000, 22_050, 44_100, 48_000])
def test_resampling_keeps_pitch_level_and_length(rate_hz: int) -> None:
    ramp = np.minimum(1.0, np.arange(rate_hz) / 2000) * np.minimum(1.0, np.arange(rate_hz)[::-1] / 2000)
    samples = sine(440, 1.0, rate_hz) * ramp.astype(np.float32)
    changed = resample(samples, rate_hz)
    assert len(changed) == SAMPLE_RATE_HZ
    middle = slice(4000, 20_000)
    assert np.abs(changed[middle] - sine(440, 1.0)[middle]).max() < 0.01
    assert len(resample(np.zeros(0, np.float32), rate_hz)) == 0


def test_fade_out_ends_in_silence() -> None:
    faded = fade_out(np.full(120, 10_000, np.int16))
    assert (faded[0], faded[-1]) == (10_000, 0)
    assert len(fade_out(np.zeros(0, np.int16))) == 0


def test_planned_pauses() -> None:
    for text in ("Yes.", "No!", 'She said "no."', "Well…", "はい。"):
        assert planned_pause_s(text) == SENTENCE_PAUSE_S
    for text in ("well,", "so;", "ね、"):
        assert planned_pause_s(text) == CLAUSE_PAUSE_S
    assert planned_pause_s("word") == planned_pause_s("") == 0.0


def test_assemble_trims_each_part_and_plans_the_pauses() -> None:
    parts = [
        Part("one.", padded(sine(200, 0.5), 0.3), [TimedWord("one.", 0.3, 0.8)], [TimedMouth("A", 0.3, 1.0)]),
        Part("two", padded(sine(200, 0.4), 0.5), [TimedWord("two", 0.5, 0.9)], [TimedMouth("E", 0.5, 0.6)]),
    ]
    made = assemble(parts, 1.0)
    assert made.duration_s == pytest.approx(0.9 + 4 * 0.01 + SENTENCE_PAUSE_S, abs=0.003)
    assert made.voiced_start_s == pytest.approx(0.01, abs=0.001)
    one, two = made.words
    assert (one.start_s, one.end_s) == pytest.approx((0.01, 0.51), abs=0.002)
    assert two.start_s == pytest.approx(0.51 + 0.01 + SENTENCE_PAUSE_S + 0.01, abs=0.003)
    assert [mouth.shape for mouth in made.mouths] == ["A", "closed", "E", "closed"]
    assert made.mouths[-1].start_s == pytest.approx(made.duration_s, abs=0.001)


def test_assemble_of_silence_keeps_its_time() -> None:
    made = assemble([Part("one", np.zeros(4800, np.float32), [TimedWord("one", 0.0, 0.2)], [])], 1.0)
    assert made.duration_s == 0.2
    assert not made.pcm.any()
    nothing = assemble([], 1.0)
    assert (nothing.duration_s, nothing.words) == (0.0, [])


def test_mouth_from_loudness_opens_with_the_sound() -> None:
    mouths = from_loudness(padded(sine(200, 0.5), 0.5))
    assert mouths[0].shape == "closed"
    opened = next(mouth for mouth in mouths if mouth.openness > 0.5)
    assert opened.start_s == pytest.approx(0.5, abs=0.04)
    assert mouths[-1].shape == "closed"
    assert mouths[-1].start_s == pytest.approx(1.0, abs=0.04)
    assert from_loudness(np.zeros(10, np.float32)) == []
