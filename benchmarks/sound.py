"""What she was heard to say: a show's recordings, and where each chunk lies in time by the device clock."""

from __future__ import annotations

import statistics
import wave
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from services.tts.audio import SAMPLE_RATE_HZ, Pcm
from services.tts.rendering import planned_pause_s
from shared.bus import Message
from shared.events import Progress, Timeline


class Sound:
    """One turn of hers: its plans by chunk, and when each chunk began to sound."""

    def __init__(self) -> None:
        self.plans: dict[int, Timeline] = {}
        self._starts_ns: defaultdict[int, list[int]] = defaultdict(list)

    def note(self, event: Timeline | Progress, mono_ns: int) -> None:
        """An event of this turn, and its header's time."""
        if isinstance(event, Timeline):
            self.plans[event.chunk] = event
        elif event.chunk in self.plans and event.position_s < self.plans[event.chunk].duration_s:
            self._starts_ns[event.chunk].append(mono_ns - round(event.position_s * 1e9))

    def starts_ns(self) -> dict[int, int]:
        """Chunk -> monotonic time at which its first sample left the device's buffer; those that sounded.

        Each `speech.progress` says which sample left at that moment. The median leaves out those that were
        published late, and those of a device thread that woke late.
        """
        return {chunk: round(statistics.median(times)) for chunk, times in self._starts_ns.items()}


class Sounds:
    """Listens to a show: every turn's sound by the turn's name."""

    def __init__(self) -> None:
        self.of: defaultdict[str, Sound] = defaultdict(Sound)

    def note(self, message: Message) -> None:
        """Every message of the show, in order."""
        if isinstance(message.payload, (Timeline, Progress)):
            self.of[message.payload.turn].note(message.payload, message.mono)


def planned_frames(plan: Timeline) -> tuple[int, int]:
    """Frames of a chunk and of the pause behind it; announced lengths are rounded to two samples."""
    pause_s = 0.0 if plan.last or not plan.duration_s else planned_pause_s(plan.text)
    return round(plan.duration_s * SAMPLE_RATE_HZ), round(pause_s * SAMPLE_RATE_HZ)


def taken_recordings(folder: Path, turn: str = "") -> Iterator[Pcm]:
    """The WAV files in `folder`, of `turn` alone where it is given, which are deleted.

    They are written a moment after their turn: without its name the one before may be taken for it.
    """
    for path in sorted(folder.glob(f"*{turn}.wav")):
        with wave.open(str(path)) as file:
            pcm = np.frombuffer(file.readframes(file.getnframes()), np.dtype("<i2"))
        path.unlink()
        yield pcm
