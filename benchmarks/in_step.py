"""How far a picture is behind (above 0) or before the sound that it belongs to; times in milliseconds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from services.tts.audio import SAMPLE_RATE_HZ, Floats, Pcm
from shared.events import Timeline

GRID_MS = 5
WINDOW_MS = 20
LAGS_MS = range(-300, 405, GRID_MS)
UNMATCHED_MS = 200
"""What a sound without its picture costs, and the other way round: beyond twice this they are no pair."""


class Change(NamedTuple):
    """From here on the mouth has this shape and openness."""

    at_ms: float
    mouth: tuple[str, float]


def planned_mouth(plans: Iterable[tuple[float, Timeline]]) -> list[Change]:
    """The changes that chunks announced, from (time of the first sample, plan) of each that sounded.

    The mouth is closed before.
    """
    changes: list[Change] = []
    last = ("closed", 0.0)
    for start_ms, plan in plans:
        for viseme in plan.visemes:
            mouth = (viseme.shape, viseme.openness)
            if mouth != last:
                changes.append(Change(start_ms + 1000 * viseme.start_s, mouth))
            last = mouth
    return changes


def matched_ms(planned: Sequence[Change], shown: Sequence[Change]) -> list[float]:
    """By how much each planned change came late, in order, for those that were shown.

    Both lists are matched in order, so that the errors and `UNMATCHED_MS` for each of the others are least.
    """
    rows: list[list[tuple[float, str]]] = [[(at * UNMATCHED_MS, "extra") for at in range(len(shown) + 1)]]
    for plan in planned:
        row = [(rows[-1][0][0] + UNMATCHED_MS, "unseen")]
        for at, change in enumerate(shown):
            choices = [(row[-1][0] + UNMATCHED_MS, "extra"), (rows[-1][at + 1][0] + UNMATCHED_MS, "unseen")]
            if plan.mouth == change.mouth:
                choices.append((rows[-1][at][0] + abs(change.at_ms - plan.at_ms), "matched"))
            row.append(min(choices))
        rows.append(row)
    found: list[float] = []
    at, index = len(planned), len(shown)
    while at and index:
        step = rows[at][index][1]
        at, index = at - (step != "extra"), index - (step != "unseen")
        if step == "matched":
            found.append(shown[index].at_ms - planned[at].at_ms)
    return found[::-1]


def envelope(pcm: Pcm) -> Floats:
    """Loudness (root mean square of 20 ms around each point), a point every 5 ms from the first sample on."""
    step, half = GRID_MS * SAMPLE_RATE_HZ // 1000, WINDOW_MS * SAMPLE_RATE_HZ // 2000
    energy = np.concatenate([[0.0], np.cumsum(np.square(pcm.astype(np.float64)))])
    points = np.arange(0, len(pcm), step)
    begin, end = np.maximum(points - half, 0), np.minimum(points + half, len(pcm))
    return np.sqrt((energy[end] - energy[begin]) / (end - begin))


def lag_ms(sound: Floats, picture: Floats) -> float:
    """The shift of `picture` (both on the grid, of one length) at which it follows `sound` best."""
    sound, picture = sound - sound.mean(), picture - picture.mean()
    shifts = [lag // GRID_MS for lag in LAGS_MS]
    likeness = [float(sound @ np.roll(picture, -shift)) for shift in shifts]
    return float(LAGS_MS[int(np.argmax(likeness))])
