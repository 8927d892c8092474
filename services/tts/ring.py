"""PCM waiting for the sound device: pushed by the service, pulled by the device's thread, cut on a stop."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection
from typing import NamedTuple

import numpy as np

from services.tts.audio import SAMPLE_RATE_HZ, Pcm, fade_out

FADE_S = 0.005

Key = tuple[int, int]
"""(number of the turn, chunk)."""


class Span(NamedTuple):
    """Where a chunk lies among all frames that were ever given to the device."""

    start_frame: int
    frames: int
    """Delivered so far."""


class Ring:
    """Chunks of samples in the order in which they sound. Safe between two threads."""

    def __init__(self, *, record: bool = False) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Key, Pcm]] = deque()
        self._spans: dict[Key, Span] = {}
        self._record = record
        self._tape: list[tuple[Key, int, Pcm]] = []
        self.delivered = 0
        """Frames given to the device since it was opened, silence included."""
        self.pulled_at = 0.0
        """When the device last asked, by the clock of `pull`."""
        self.pulls = 0
        self.underruns = 0
        """Times a listener heard a hole: a turn's next chunk came late, or the device's thread did."""
        self._last: Key | None = None

    def push(self, key: Key, samples: Pcm) -> None:
        """Append a chunk; an empty one counts as delivered when its turn comes."""
        with self._lock:
            self._waiting.append((key, samples))

    def pull(self, frames: int, now: float) -> Pcm:
        """The next `frames` samples for the device, filled up with silence."""
        out = np.zeros(frames, np.int16)
        with self._lock:
            at = 0
            while self._waiting and (at < frames or not len(self._waiting[0][1])):
                key, samples = self._waiting[0]
                taken = samples[: frames - at]
                out[at : at + len(taken)] = taken
                span = self._spans.get(key) or Span(self.delivered + at, 0)
                if len(taken):
                    self._count_hole(key, self.delivered + at)
                self._spans[key] = Span(span.start_frame, span.frames + len(taken))
                if self._record and len(taken):
                    self._tape.append((key, self.delivered + at, taken))
                at += len(taken)
                if len(taken) == len(samples):
                    self._waiting.popleft()
                else:
                    self._waiting[0] = (key, samples[len(taken) :])
            self.delivered += frames
            self.pulled_at = now
            self.pulls += 1
        return out

    def _count_hole(self, key: Key, frame: int) -> None:
        """The first frame of `key` does not follow the last one of the same turn: silence nobody wrote."""
        last = self._spans.get(self._last) if self._last and self._last[0] == key[0] else None
        if last and self._last != key and frame > last.start_frame + last.frames:
            self.underruns += 1
        self._last = key

    def late(self) -> None:
        """The device's buffer ran empty before its thread asked again."""
        with self._lock:
            self.underruns += bool(self._waiting)

    def cut(self, drop: Callable[[Key], bool]) -> None:
        """Forget what is waiting of the chunks that `drop` names; the one that sounds fades within 5 ms."""
        with self._lock:
            kept: deque[tuple[Key, Pcm]] = deque()
            for key, samples in self._waiting:
                if not drop(key):
                    kept.append((key, samples))
                elif self._spans.get(key):
                    kept.append((key, fade_out(samples[: round(FADE_S * SAMPLE_RATE_HZ)])))
            self._waiting = kept

    def clear(self) -> None:
        """Forget all that waits: the device is gone."""
        with self._lock:
            self._waiting.clear()

    def span(self, key: Key) -> Span | None:
        """Where the chunk lies; None before its first sample was delivered."""
        with self._lock:
            return self._spans.get(key)

    @property
    def waiting(self) -> bool:
        """Something is left for the device to take, if only an empty chunk."""
        with self._lock:
            return bool(self._waiting)

    def waiting_frames(self) -> int:
        """Samples not yet delivered."""
        with self._lock:
            return sum(len(samples) for _, samples in self._waiting)

    def holds(self, keys: Collection[Key]) -> bool:
        """Something of `keys` still waits."""
        with self._lock:
            return any(key in keys for key, _ in self._waiting)

    def take(self, keys: Collection[Key]) -> Pcm:
        """What was delivered of `keys`, pauses between them included; forgets them."""
        with self._lock:
            pieces: list[Pcm] = []
            end: int | None = None
            for key, start, samples in self._tape:
                if key not in keys:
                    continue
                if end is not None and start > end:
                    pieces.append(np.zeros(start - end, np.int16))
                pieces.append(samples)
                end = start + len(samples)
            self._tape = [entry for entry in self._tape if entry[0] not in keys]
            for key in keys:
                self._spans.pop(key, None)
        return np.concatenate(pieces) if pieces else np.zeros(0, np.int16)
