"""The device clock: which of the frames that were given to the sound device can be heard now."""

from __future__ import annotations

from services.tts.audio import SAMPLE_RATE_HZ
from services.tts.ring import Ring


class DeviceClock:
    """Delivered frames minus what the device still buffers minus the loudspeaker's own delay."""

    def __init__(self, ring: Ring, buffer_ms: int, output_offset_ms: int = 0) -> None:
        self._ring = ring
        self._buffer_frames = buffer_ms * SAMPLE_RATE_HZ // 1000
        self._offset_frames = output_offset_ms * SAMPLE_RATE_HZ // 1000

    def frame(self, now: float) -> int:
        """Number of the frame that leaves the loudspeaker at `now` (seconds of the ring's clock).

        Right after the device asked, its buffer is full; since then it has played on by the time that passed.
        """
        passed = round(max(0.0, now - self._ring.pulled_at) * SAMPLE_RATE_HZ)
        heard = self._ring.delivered - max(0, self._buffer_frames - passed)
        return heard - self._offset_frames
