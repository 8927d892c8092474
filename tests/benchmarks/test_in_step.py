"""Picture beside sound: what was shown late, early, or never, from changes and curves made up here."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.in_step import GRID_MS, Change, envelope, lag_ms, matched_ms, planned_mouth
from services.tts.audio import SAMPLE_RATE_HZ
from shared.events import Timeline, Viseme

A, EE, SHUT = ("A", 1.0), ("I", 0.4), ("closed", 0.0)


def changes(*pairs: tuple[float, tuple[str, float]]) -> list[Change]:
    return [Change(*pair) for pair in pairs]


PLAN = changes((0, A), (100, EE), (130, SHUT), (200, A), (300, SHUT))


@pytest.mark.parametrize(
    ("shown", "late"),
    [
        (changes((20, A), (125, EE), (160, SHUT), (210, A), (290, SHUT)), [20, 25, 30, 10, -10]),
        (changes((20, A), (160, SHUT), (210, A), (330, SHUT)), [20, 30, 10, 30]),  # too short to be seen
        (changes((-90, SHUT), (20, A), (140, SHUT)), [20, 10]),  # the nearest of two that would do
        (
            changes(
                (700, EE),
            ),
            [],
        ),  # too far away to be meant
        ([], []),
    ],
)
def test_each_sound_is_matched_with_what_was_shown_for_it(shown: list[Change], late: list[float]) -> None:
    assert matched_ms(PLAN, shown) == late


def plan(*visemes: tuple[float, tuple[str, float]]) -> Timeline:
    listed = [Viseme(shape=shape, start_s=at_s, openness=open_) for at_s, (shape, open_) in visemes]
    return Timeline(
        turn="t", epoch=1, chunk=0, text="x", duration_s=1.0, sample_rate_hz=24_000, visemes=listed
    )


def test_a_plan_is_placed_where_its_chunk_sounded_and_repeats_nothing() -> None:
    first, second = plan((0.0, SHUT), (0.1, A), (0.5, SHUT)), plan((0.0, SHUT), (0.1, EE))
    assert planned_mouth([(1000.0, first), (2000.0, second)]) == changes((1100, A), (1500, SHUT), (2100, EE))


def test_the_lag_is_that_at_which_the_curves_are_most_alike() -> None:
    sound = np.zeros(400)
    sound[[60, 61, 90, 91, 92, 140, 200, 201, 260]] = 1.0
    for steps in (-8, 0, 13):
        assert lag_ms(sound, 0.3 + 2 * np.roll(sound, steps)) == steps * GRID_MS


def test_the_envelope_rises_where_the_sound_begins() -> None:
    pcm = np.zeros(SAMPLE_RATE_HZ // 5, np.int16)
    pcm[SAMPLE_RATE_HZ // 10 :] = 5000
    loud = envelope(pcm)
    assert len(loud) == 200 // GRID_MS
    assert loud[100 // GRID_MS - 3] == 0
    assert loud[100 // GRID_MS] == pytest.approx(5000 / 2**0.5)
    assert loud[-1] == pytest.approx(5000)
