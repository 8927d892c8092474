"""The sound device, through miniaudio: its thread pulls from the ring; without a card, a null device."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Generator, Iterator
from typing import Any, Literal

from services.tts.audio import SAMPLE_RATE_HZ, Pcm
from services.tts.clock import DeviceClock
from services.tts.ring import Ring

log = logging.getLogger(__name__)

PERIODS = 3
"""A device buffer is this many periods; the device asks for one whenever one has been played."""
STALL_S = 1.0
STALL_CHECKS = 10
"""A device that asked for nothing in so many looks over so long is gone (unplugged, server died)."""


class DeviceError(Exception):
    """One sentence: why there is no sound."""


class Playback:
    """Plays the ring in real time, on the system's default output or to nowhere.

    `clock` tells which of the delivered frames can be heard now.
    """

    def __init__(
        self, ring: Ring, buffer_ms: int, output_offset_ms: int, want: Literal["auto", "null"]
    ) -> None:
        self._ring = ring
        self._period_ms = max(1, buffer_ms // PERIODS)
        self.clock = DeviceClock(ring, self._period_ms * PERIODS, output_offset_ms)
        self._device: Any = None
        self._running = False
        self._seen_pulls = 0
        self._stalled_looks = 0
        self._stalled_since = 0.0
        self.name = ""
        self.trouble = ""
        """Why nothing is heard although sound was wanted; empty when all is well."""
        self._open(want)

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
            self._lose("the sound device stopped taking samples")

    def close(self) -> None:
        """Give the device back."""
        self._running = False
        if self._device is not None:
            with contextlib.suppress(Exception):
                self._device.close()
            self._device = None

    def _open(self, want: Literal["auto", "null"]) -> None:
        if want == "auto":
            try:
                self._device, self.name = open_device(self._period_ms, null=False)
                return
            except DeviceError as error:
                self.trouble = f"no sound device: speaking silently ({error})"
                log.warning("%s", self.trouble)
        self._device, self.name = open_device(self._period_ms, null=True)

    def _start(self) -> None:
        generator = _pulled(self._ring, self._period_ms * PERIODS / 1000)
        next(generator)
        try:
            self._device.start(generator)
        except Exception as error:
            raise DeviceError(f"the sound device cannot be started: {error}") from error
        self._running = True

    def _lose(self, why: str) -> None:
        log.warning("%s; speaking silently from here on", why)
        self.trouble = f"no sound device: speaking silently ({why})"
        self.close()
        self._device, self.name = open_device(self._period_ms, null=True)
        self._start()


def _pulled(ring: Ring, buffer_s: float) -> Generator[Pcm, int, None]:
    """What miniaudio's thread runs: it sends the number of frames it wants."""
    frames = yield ring.pull(0, time.monotonic())
    while True:
        now = time.monotonic()
        if now - ring.pulled_at > buffer_s:
            ring.late()
        frames = yield ring.pull(frames, now)


def open_device(period_ms: int, *, null: bool) -> tuple[Any, str]:
    """A miniaudio playback device, mono at `SAMPLE_RATE_HZ`, and the name to show. Raises DeviceError."""
    import miniaudio

    nowhere = (miniaudio.Backend.NULL, miniaudio.Backend.CUSTOM)
    real = [each for each in miniaudio.Backend if miniaudio.is_backend_enabled(each) and each not in nowhere]
    try:
        with _quiet_stderr():
            device = miniaudio.PlaybackDevice(
                output_format=miniaudio.SampleFormat.SIGNED16,
                nchannels=1,
                sample_rate=SAMPLE_RATE_HZ,
                buffersize_msec=period_ms,
                callback_periods=PERIODS,
                backends=[miniaudio.Backend.NULL] if null else real,
                app_name="Akane",
            )
    except miniaudio.MiniaudioError as error:
        raise DeviceError(f"{error.args[0] if error.args else error}") from error
    return device, "none (null device)" if null else f"default output through {device.backend}"


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[None]:
    """ALSA writes a page to file descriptor 2 when there is no card; people get one sentence instead."""
    sys.stderr.flush()
    saved = os.dup(2)
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(sink, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(sink)
