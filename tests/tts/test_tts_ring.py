"""PCM on its way to the device: order, silence when there is nothing, cuts that fade."""

from __future__ import annotations

import numpy as np
from tts_stage import tone

from services.tts.audio import SAMPLE_RATE_HZ
from services.tts.clock import DeviceClock
from services.tts.ring import FADE_S, Ring, Span


def test_chunks_follow_each_other_and_silence_fills_the_rest() -> None:
    ring = Ring()
    first, second = tone(0.01), tone(0.02, 0.1)
    ring.push((1, 0), first)
    ring.push((1, 1), second)
    got = np.concatenate([ring.pull(100, 0.0) for _ in range(10)])
    assert np.array_equal(got[: len(first) + len(second)], np.concatenate([first, second]))
    assert not got[len(first) + len(second) :].any()
    assert ring.span((1, 0)) == Span(0, len(first))
    assert ring.span((1, 1)) == Span(len(first), len(second))
    assert ring.span((1, 2)) is None
    assert ring.delivered == 1000


def test_empty_chunk_counts_as_delivered_in_its_turn() -> None:
    ring = Ring()
    ring.push((1, 0), tone(0.01))
    ring.push((1, 1), np.zeros(0, np.int16))
    ring.pull(100, 0.0)
    assert ring.span((1, 1)) is None
    ring.pull(200, 0.0)
    assert ring.span((1, 1)) == Span(240, 0)


def test_cut_fades_what_sounds_and_forgets_what_waits() -> None:
    ring = Ring()
    for chunk in range(3):
        ring.push((1, chunk), tone(0.1))
    ring.push((2, 0), tone(0.01, 0.1))
    ring.pull(1200, 0.0)
    ring.cut(lambda key: key[0] == 1)
    fade = round(FADE_S * SAMPLE_RATE_HZ)
    rest = ring.pull(600, 0.0)
    steps = np.abs(rest[:fade].astype(int))
    assert steps[0] > 9000
    assert steps[-1] == 0
    assert (np.diff(steps) <= 1).all()
    assert np.array_equal(rest[fade : fade + 240], tone(0.01, 0.1))
    assert not rest[fade + 240 :].any()


def test_take_gives_what_was_delivered_with_the_gaps() -> None:
    ring = Ring(record=True)
    ring.push((1, 0), tone(0.01))
    ring.pull(480, 0.0)
    ring.push((1, 1), tone(0.01))
    ring.push((2, 0), tone(0.01))
    ring.pull(300, 0.0)
    expected = np.concatenate([tone(0.01), np.zeros(240, np.int16), tone(0.01)])
    assert np.array_equal(ring.take([(1, 0), (1, 1)]), expected)
    assert len(ring.take([(1, 0)])) == 0
    assert len(ring.take([(2, 0)])) == 60


def test_device_clock_runs_between_the_pulls_of_the_device() -> None:
    ring = Ring()
    clock = DeviceClock(ring, buffer_ms=40)
    for _ in range(3):
        ring.pull(320, 10.0)
    assert clock.frame(10.0) == 0
    assert clock.frame(10.01) == 240
    assert clock.frame(99.0) == 960, "a device that stopped asking plays what it has and no more"
    ring.pull(320, 10.0 + 320 / SAMPLE_RATE_HZ)
    assert clock.frame(10.0 + 320 / SAMPLE_RATE_HZ) == 320
    assert DeviceClock(ring, 40, output_offset_ms=100).frame(99.0) == 1280 - 2400


def test_a_chunk_that_comes_too_late_is_an_underrun() -> None:
    ring = Ring()
    ring.push((1, 0), tone(0.01))
    ring.pull(300, 0.0)
    ring.push((1, 1), tone(0.01))
    ring.pull(240, 0.0)
    assert ring.underruns == 1


def test_no_underrun_between_turns_nor_inside_a_chunk_nor_for_one_without_sound() -> None:
    ring = Ring()
    ring.push((1, 0), tone(0.01))
    ring.push((1, 1), tone(0.01))
    for _ in range(6):
        ring.pull(100, 0.0)
    ring.push((1, 2), np.zeros(0, np.int16))
    ring.pull(100, 0.0)
    ring.push((2, 0), tone(0.01))
    ring.pull(300, 0.0)
    assert ring.underruns == 0


def test_a_late_device_is_an_underrun_only_while_something_waits() -> None:
    ring = Ring()
    ring.late()
    assert ring.underruns == 0
    ring.push((1, 0), tone(0.01))
    ring.late()
    assert ring.underruns == 1
