"""Pauses are measured from the samples: what is planned does not count, what is not does."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.pauses import Planned, Turns, beyond_plan_ms
from services.tts.audio import SAMPLE_RATE_HZ
from shared.bus import Message
from shared.events import Progress, Timeline

EDGE_MS = 10


def chunk(seconds: float) -> np.ndarray:
    """A tone between two edges of faint noise, as `assemble` leaves them."""
    samples = np.full(round(seconds * SAMPLE_RATE_HZ), 9000, np.int16)
    edge = EDGE_MS * SAMPLE_RATE_HZ // 1000
    samples[:edge] = samples[-edge:] = 3
    return samples


def silence(ms: float) -> np.ndarray:
    return np.zeros(round(ms * SAMPLE_RATE_HZ / 1000), np.int16)


def planned(seconds: float, pause_ms: float) -> Planned:
    return Planned(round(seconds * SAMPLE_RATE_HZ), round(pause_ms * SAMPLE_RATE_HZ / 1000), True)


@pytest.mark.parametrize("hole_ms", [0, 45, 300])
def test_only_what_nobody_planned_counts(hole_ms: int) -> None:
    pcm = np.concatenate([chunk(0.5), silence(120 + hole_ms), chunk(0.7), silence(60), chunk(0.3)])
    found = beyond_plan_ms(pcm, [planned(0.5, 120), planned(0.7, 60), planned(0.3, 0)])
    assert found == pytest.approx([2 * EDGE_MS + hole_ms, 2 * EDGE_MS], abs=0.3)


def timeline(index: int, text: str, seconds: float, *, last: bool = False) -> Timeline:
    return Timeline(
        turn="t",
        epoch=1,
        chunk=index,
        text=text,
        duration_s=seconds,
        sample_rate_hz=SAMPLE_RATE_HZ,
        last=last,
    )


def progress(index: int, position_s: float) -> Progress:
    return Progress(turn="t", epoch=1, chunk=index, position_s=position_s, words_heard=1, heard="x")


def message(payload: Any) -> Message:
    return Message("speech", payload, "tts", "s", 0, "here", 0, 0)


def test_a_chunk_that_came_late_is_counted_apart(tmp_path: Path) -> None:
    turns = Turns(tmp_path)
    for event in (
        timeline(0, "One.", 0.5),
        progress(0, 0.2),
        timeline(1, "Two,", 0.4),
        progress(0, 0.5),
        progress(1, 0.4),
        timeline(2, "three.", 0.3, last=True),
    ):
        turns.note(message(event))
    pcm = np.concatenate([chunk(0.5), silence(120), chunk(0.4), silence(60 + 200), chunk(0.3)])
    with wave.open(str(tmp_path / "turn-1-t.wav"), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE_HZ, 0, "NONE", ""))
        file.writeframes(pcm.astype("<i2").tobytes())
    turns.end()
    assert turns.beyond_ms == pytest.approx([2 * EDGE_MS], abs=0.3)
    assert turns.late == 1
    assert not list(tmp_path.iterdir())
