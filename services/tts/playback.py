"""The sound device at work: its thread pulls from the ring; while there is none, a null device keeps time."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator
from typing import Any

from services.tts.audio import Pcm
from services.tts.clock import DeviceClock
from services.tts.devices import PERIODS, DeviceError, open_device
from services.tts.ring import Ring

STALL_S = 1.0
STALL_CHECKS = 10
"""A device that asked for nothing in so many looks over so long is gone (unplugged, server died)."""
RETRY_S = 10.0
"""A device that is not there is tried again so often."""


class Playback:
    """Plays the ring in real time on the device that `want` names (`open_device`), or to nowhere.

    `clock` tells which of the delivered frames can be heard now. Raises DeviceError when even nowhere fails.
    """

    def __init__(self, ring: Ring, buffer_ms: int, output_offset_ms: int, want: str) -> None:
        self._ring = ring
        self._want = want
        self._period_ms = max(1, buffer_ms // PERIODS)
        self.clock = DeviceClock(ring, self._period_ms * PERIODS, output_offset_ms)
        self._device: Any = None
        self._running = False
        self._seen_pulls = 0
        self._stalled_looks = 0
        self._stalled_since = 0.0
        self._retry_at: float | None = None
        self.name = ""
        self.trouble = ""
        """Why nothing is heard although sound was wanted, a sentence; empty when all is well."""
        try:
            self._device, self.name = open_device(self._period_ms, want)
        except DeviceError as error:
            self._go_silent(str(error))

    def resume(self) -> None:
        """Let the device run; falls back to the null device when it refuses."""
        if self._running:
            return
        self._stalled_looks = 0
        try:
            self._start()
        except DeviceError as error:
            self._lose(str(error))

    def pause(self) -> None:
        """Stop the device while there is nothing to say: an idle show costs nothing."""
        if self._running:
            self._running = False
            with contextlib.suppress(Exception):
                self._device.stop()

    def look(self, now: float) -> None:
        """Notice a device that died in the middle; call it while speaking."""
        if not self._running:
            return
        if self._ring.pulls != self._seen_pulls:
            self._seen_pulls, self._stalled_looks = self._ring.pulls, 0
            return
        if not self._stalled_looks:
            self._stalled_since = now
        self._stalled_looks += 1
        if self._stalled_looks >= STALL_CHECKS and now - self._stalled_since >= STALL_S:
            self._stalled_looks = 0
            self._lose("it stopped taking samples")

    def retry(self, now: float) -> None:
        """Take the device that was lost if it is there again; call it while nothing is said."""
        if not self.trouble:
            return
        if self._retry_at is None:
            self._retry_at = now + RETRY_S
        if now < self._retry_at:
            return
        self._retry_at = now + RETRY_S
        try:
            device, name = open_device(self._period_ms, self._want)
        except DeviceError as error:
            self.trouble = _sentence(str(error))
            return
        self.close()
        self._device, self.name, self.trouble = device, name, ""
        self.resume()  # some open and will not start: then all is as before

    def close(self) -> None:
        """Give the device back."""
        self._running = False
        if self._device is not None:
            with contextlib.suppress(Exception):
                self._device.close()
            self._device = None

    def _start(self) -> None:
        generator = _pulled(self._ring, self._period_ms * PERIODS / 1000)
        next(generator)
        try:
            self._device.start(generator)
        except Exception as error:
            raise DeviceError(f"it cannot be started: {error}") from error
        self._running = True

    def _lose(self, why: str) -> None:
        self.close()
        self._go_silent(why)
        self._start()

    def _go_silent(self, why: str) -> None:
        self.trouble = _sentence(why)
        self._retry_at = None
        self._device, self.name = open_device(self._period_ms, "null")


def _sentence(why: str) -> str:
    return f"No sound device ({why}): she speaks silently, and it is tried again every {RETRY_S:.0f} s."


def _pulled(ring: Ring, buffer_s: float) -> Generator[Pcm, int, None]:
    """What miniaudio's thread runs: it sends the number of frames it wants."""
    frames = yield ring.pull(0, time.monotonic())
    while True:
        now = time.monotonic()
        if now - ring.pulled_at > buffer_s:
            ring.late()
        frames = yield ring.pull(frames, now)
