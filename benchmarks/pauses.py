"""Silence between the chunks of a turn beyond the planned pause, from what the device was given."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.sound import planned_frames, taken_recordings
from services.tts.audio import SAMPLE_RATE_HZ, Pcm, sounding_span
from shared.bus import Message
from shared.events import Progress, Timeline


class Planned(NamedTuple):
    """A chunk as its timeline announced it."""

    frames: int
    pause_frames: int
    """Written behind it."""
    in_time: bool
    """It was ready before the chunk in front of it had sounded."""


class Turns:
    """Listens to a show whose recordings go to `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._planned: list[Planned] = []
        self._sounded = 0
        self._turn = ""
        self.beyond_ms: list[float] = []
        """One a pause behind which the next chunk was there in time."""
        self.late = 0
        """Pauses that had to wait for the next chunk."""

    def note(self, message: Message) -> None:
        """Every message of the show, in order."""
        event = message.payload
        if isinstance(event, Timeline):
            self._turn = event.turn
            in_time = self._sounded < len(self._planned) or not self._planned
            self._planned.append(Planned(*planned_frames(event), in_time))
        elif isinstance(event, Progress) and self._sounded < len(self._planned):
            ended = event.position_s * SAMPLE_RATE_HZ >= self._planned[self._sounded].frames - 2
            self._sounded += ended

    def end(self) -> None:
        """The turn is over: measure its recording, if it left one, and forget both."""
        for pcm in taken_recordings(self._folder, self._turn):
            audible = [chunk for chunk in self._planned if chunk.frames]
            for chunk, beyond_ms in zip(audible[1:], beyond_plan_ms(pcm, audible), strict=True):
                if chunk.in_time:
                    self.beyond_ms.append(beyond_ms)
                else:
                    self.late += 1
        self._planned, self._sounded = [], 0


def beyond_plan_ms(pcm: Pcm, chunks: Sequence[Planned]) -> list[float]:
    """Milliseconds without sound between each chunk and the next, less the planned pause.

    Where a chunk begins follows from the lengths; a hole that nobody planned is zeros, and is looked for.
    """
    spans: list[tuple[int, int]] = []
    holes = len(pcm) - sum(chunk.frames + chunk.pause_frames for chunk in chunks)
    at = 0
    for index, chunk in enumerate(chunks):
        if index and holes > 2 * len(chunks):  # announced lengths are rounded to two samples
            rest = np.flatnonzero(pcm[at:])
            hole = min(int(rest[0]) if len(rest) else 0, holes)
            at, holes = at + hole, holes - hole
        first, last = sounding_span(pcm[at : at + chunk.frames].astype(np.float32))
        spans.append((at + first, at + last))
        at += chunk.frames + chunk.pause_frames
    return [
        1000 * (following[0] - before[1] - chunk.pause_frames) / SAMPLE_RATE_HZ
        for chunk, (before, following) in zip(chunks, pairwise(spans), strict=False)
    ]
