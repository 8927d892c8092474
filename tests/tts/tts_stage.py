"""A sound device that plays when it is told to, and an engine that answers when it is told to."""

from __future__ import annotations

from typing import Any

import numpy as np

from services.tts.audio import SAMPLE_RATE_HZ, Pcm
from services.tts.clock import DeviceClock
from services.tts.rendering import Rendering, TimedMouth, TimedWord
from services.tts.ring import Ring
from services.tts.scheduler import Job, Scheduler
from shared.clock import FakeClock
from shared.commands import Speak
from shared.events import Event

PERIOD_MS = 13
BUFFER_MS = 3 * PERIOD_MS
WORD_S = 0.2
LEAD_S = 0.01


def tone(seconds: float, level: float = 0.3) -> Pcm:
    """A square wave: every sample is loud, so that silence shows."""
    count = round(seconds * SAMPLE_RATE_HZ)
    return (np.where(np.arange(count) // 50 % 2, level, -level) * 32767).astype(np.int16)


def rendering_of(text: str) -> Rendering:
    """Each word 0.2 s long, the mouth at A in its first half and closed in the second."""
    words = [
        TimedWord(word, LEAD_S + index * WORD_S, LEAD_S + (index + 1) * WORD_S)
        for index, word in enumerate(text.split())
    ]
    mouths = [TimedMouth("closed", 0.0, 0.0)]
    for word in words:
        mouths += [
            TimedMouth("A", word.start_s, 1.0),
            TimedMouth("closed", word.start_s + WORD_S / 2, 0.0),
        ]
    lead = np.zeros(round(LEAD_S * SAMPLE_RATE_HZ), np.int16)
    return Rendering(np.concatenate([lead, tone(len(words) * WORD_S)]), words, mouths, LEAD_S)


class SpeechStage:
    """A scheduler with everything around it under the test's hand."""

    def __init__(self, *, record: bool = False, output_offset_ms: int = 0) -> None:
        self.clock = FakeClock()
        self.ring = Ring(record=record)
        self.device_clock = DeviceClock(self.ring, BUFFER_MS, output_offset_ms)
        self.scheduler = Scheduler(self.ring, voice="test", record=record)
        self.log: list[tuple[float, str, Any]] = []
        self.sound: list[Pcm] = []
        self._next_pull = self.clock()
        self._filled = False

    def speak(
        self,
        text: str,
        *,
        turn: str = "t",
        epoch: int = 1,
        chunk: int = 0,
        last: bool = False,
        owner: str = "director",
    ) -> None:
        """What the director commands."""
        self.scheduler.speak(Speak(turn=turn, epoch=epoch, chunk=chunk, text=text, last=last), owner)

    def render(self) -> list[Job]:
        """Let the engine do all that it may do now."""
        done = []
        while job := self.scheduler.next_job():
            done.append(job)
            self.scheduler.rendered(job.number, rendering_of(job.text), 1.0)
        self._collect()
        return done

    def play(self, seconds: float) -> None:
        """Time passes: the device pulls a period whenever one has been played, the service ticks at 30 Hz."""
        end = self.clock() + seconds
        next_tick = self.clock()
        while True:
            if not self._filled:
                self._filled = True
                for _ in range(3):
                    self._pull()
                self._next_pull = self.clock() + PERIOD_MS / 1000
            self.clock.now = min(self._next_pull, next_tick, end)
            if self.clock() >= self._next_pull:
                self._pull()
                self._next_pull += PERIOD_MS / 1000
            if self.clock() >= next_tick:
                self.tick()
                next_tick += 1 / 30
            if self.clock() >= end:
                return

    def tick(self) -> None:
        """One turn of the service's loop."""
        now = self.clock()
        self.scheduler.advance(round(now * 1e9), self.device_clock.frame(now))
        self._collect()

    def stop(self, epoch: int) -> None:
        """What `tts.stop` does."""
        self.scheduler.raise_epoch(epoch)
        self._collect()

    def events(self, topic: str) -> list[Any]:
        """Everything published on a topic so far."""
        return [event for _, name, event in self.log if name == topic]

    def times(self, topic: str) -> list[float]:
        """When it was published."""
        return [at for at, name, _ in self.log if name == topic]

    def heard(self) -> Pcm:
        """All samples the device was given."""
        return np.concatenate(self.sound) if self.sound else np.zeros(0, np.int16)

    def _pull(self) -> None:
        self.sound.append(self.ring.pull(PERIOD_MS * SAMPLE_RATE_HZ // 1000, self.clock()))

    def _collect(self) -> None:
        events: list[tuple[str, Event]] = self.scheduler.events
        self.log += [(self.clock(), topic, event) for topic, event in events]
        self.scheduler.events = []
