"""Silence is read off the recording: when its last sample left, and whether any came behind the fade."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from benchmarks.interruptions import frames_behind_fade, silent_ns
from benchmarks.sound import Sound, taken_recordings
from services.tts.audio import SAMPLE_RATE_HZ, fade_out
from services.tts.ring import FADE_S
from shared.events import Progress, Timeline

START_NS = 7_000_000_000
FADE = round(FADE_S * SAMPLE_RATE_HZ)


def tone(seconds: float) -> np.ndarray:
    return np.full(round(seconds * SAMPLE_RATE_HZ), 9000, np.int16)


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * SAMPLE_RATE_HZ), np.int16)


def sound() -> Sound:
    """Half a second and its pause of 120 ms, then a second; the device's thread woke late once."""
    made = Sound()
    for chunk, seconds in enumerate((0.5, 1.0)):
        text = "One." if not chunk else "Two."
        plan = Timeline(turn="t", epoch=1, chunk=chunk, text=text, duration_s=seconds, sample_rate_hz=24_000)
        made.note(plan, 0)
    for position_s, late_ns in ((0.01, 0), (0.1, 9_000_000), (0.2, 0), (0.5, 80_000_000)):
        step = Progress(turn="t", epoch=1, chunk=0, position_s=position_s, words_heard=0, heard="")
        made.note(step, START_NS + round(position_s * 1e9) + late_ns)
    return made


def test_silence_begins_behind_the_last_sample_that_is_not_zero() -> None:
    pcm = np.concatenate([tone(0.3), silence(0.05)])
    assert silent_ns(pcm, sound()) == START_NS + 300_000_000


@pytest.mark.parametrize("hole_s", [0.0, 0.2])
@pytest.mark.parametrize(("heard_s", "in_pause"), [(0.3, False), (0.5, True), (0.9, False)])
@pytest.mark.parametrize("stale", [0, 40])
def test_only_what_comes_behind_the_fade_is_stale(
    hole_s: float, heard_s: float, in_pause: bool, stale: int
) -> None:
    first = tone(min(heard_s, 0.5))
    pieces = [first]
    if heard_s >= 0.5:
        pieces.append(silence(0.06 if in_pause else 0.12 + hole_s))
    if heard_s > 0.5:
        pieces.append(tone(heard_s - 0.5))
    if not in_pause:
        pieces.append(fade_out(tone(1)[:FADE]))
    pcm = np.concatenate([*pieces, silence(0.02), tone(1)[:stale]])
    assert frames_behind_fade(pcm, sound(), heard_s) == stale


def test_a_fade_that_does_not_end_in_time_is_stale_too() -> None:
    assert frames_behind_fade(tone(0.3 + 2 * FADE_S), sound(), 0.3) == pytest.approx(FADE, abs=3)


def test_recordings_are_taken_once(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "turn-1-t.wav"), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE_HZ, 0, "NONE", ""))
        file.writeframes(tone(0.1).astype("<i2").tobytes())
    (pcm,) = taken_recordings(tmp_path)
    assert np.array_equal(pcm, tone(0.1))
    assert list(taken_recordings(tmp_path)) == []
