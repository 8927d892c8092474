"""Keeps an engine child at work: deadlines, restarts, one retry a chunk, a plainer voice if need be."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from services.tts.manners import MANNERS, Manner
from services.tts.rendering import Rendering, TimedMouth, TimedWord
from services.tts.scheduler import Job
from services.tts.voices import FALLBACKS, SLOWNESS

log = logging.getLogger(__name__)

LOAD_S = 60.0
"""A child that has not said by then that it is ready, or how far its download is, hangs."""
LOAD_ATTEMPTS = 2
ATTEMPTS = 2
"""A chunk is tried again once: the first child may have died of something else."""
DEADLINE_S = 2.0
DEADLINE_PER_CHAR_S = 0.03
"""A clause takes 25 ms on an idle machine; a busy one is given fifty times as long."""
BACKOFF_FIRST_S = 0.5
BACKOFF_MAX_S = 10.0
HEALTHY_S = 10.0


class Child(Protocol):
    """What the engine needs of a process (`ChildProcess`, or a fake)."""

    def send(self, message: dict[str, Any]) -> None:
        """Hand over a job."""

    def receive(self) -> list[dict[str, Any] | None]:
        """What has arrived; None is the end of the process."""

    def kill(self) -> None:
        """End it at once."""


class Rendered(NamedTuple):
    """A job's sound."""

    job: int
    rendering: Rendering
    synthesis_ms: float


class Failed(NamedTuple):
    """A job that cannot be spoken, and why in one sentence."""

    job: int
    sentence: str


@dataclass
class _Pending:
    job: Job
    attempts: int = 0
    deadline: float | None = None
    """None while no child has it."""


class Engine:
    """One child, one job at a time. `poll` does all the work and never blocks."""

    def __init__(
        self,
        voice: str,
        spawn: Callable[[str], Child],
        *,
        rate: float = 1.0,
        volume: float = 1.0,
        expressive: bool = True,
    ) -> None:
        self._spawn = spawn
        self._rate, self._volume = rate, volume
        self._expressive = expressive
        self.voice = voice
        """The voice in use; a plainer one than was asked for when that could not be loaded."""
        self.complaint = ""
        """Why it is a plainer one."""
        self.refused = ""
        """What is wrong with the settings: then no voice is taken instead, and no child started."""
        self.ready = False
        self.loading = ""
        """What the child fetches, and how far it is."""
        self.restarts = 0
        self._child: Child | None = None
        self._spawned_at = 0.0
        self._heard_at = 0.0
        self._retry_at = 0.0
        self._backoff_s = 0.0
        self._load_failures = 0
        self._pending: _Pending | None = None

    def submit(self, job: Job) -> None:
        """Render this next; replaces a job that nobody wants any more."""
        self._pending = _Pending(job)

    def forget(self) -> None:
        """The present job is not wanted any more."""
        if self._child and self._pending and self._pending.deadline is not None:
            self._child.send({"cancel": self._pending.job.number})
        self._pending = None

    def poll(self, now: float) -> list[Rendered | Failed]:
        """Start, feed, watch and replace the child; returns what was finished. `now` in monotonic seconds."""
        done: list[Rendered | Failed] = []
        for message in self._child.receive() if self._child else []:
            if message is None:
                done += self._died(now, "the voice engine died")
                break
            if "ready" in message:
                self.ready, self._load_failures, self.loading = True, 0, ""
            elif "loading" in message:
                self.loading, self._heard_at = str(message["loading"]), now
            elif "refused" in message:
                self.refused = str(message["refused"]).rstrip(".")
                self.close()
                break
            elif "unavailable" in message:
                self._load_failures = LOAD_ATTEMPTS
                done += self._died(now, str(message["unavailable"]).rstrip("."))
                break
            elif self._pending and message.get("job") == self._pending.job.number:
                done.append(_outcome(message))
                self._pending = None
        if self._child and not self.ready and now - self._heard_at >= LOAD_S:
            done += self._died(now, f"the voice engine was not ready after {LOAD_S:.0f} s")
        if self._pending and self._pending.deadline is not None and now >= self._pending.deadline:
            done += self._died(now, "the voice engine hung")
        if self._child is None and not self.refused and now >= self._retry_at:
            self._child, self._spawned_at, self._heard_at = self._spawn(self.voice), now, now
        if self._child and self.ready and self._pending and self._pending.deadline is None:
            self._pending.attempts += 1
            job = self._pending.job
            limit_s = (DEADLINE_S + DEADLINE_PER_CHAR_S * len(job.text)) * SLOWNESS.get(self.voice, 1.0)
            self._pending.deadline = now + limit_s
            self._child.send(self._order(job))
        if self._pending and self.refused:
            done.append(Failed(self._pending.job.number, f"{self.refused[0].upper()}{self.refused[1:]}."))
            self._pending = None
        return done

    def _order(self, job: Job) -> dict[str, Any]:
        manner = MANNERS[job.mood] if self._expressive else Manner()
        return {
            "job": job.number,
            "text": job.text,
            "rate": self._rate * manner.pace,
            "semitones": manner.semitones,
            "volume": self._volume,
        }

    def close(self) -> None:
        """End the child."""
        if self._child:
            self._child.kill()
            self._child = None
        self.ready = False

    def _died(self, now: float, why: str) -> list[Failed]:
        """The child is of no use any more: replace it, and the voice too when it does not load."""
        log.warning("%s: starting another (voice %s)", why, self.voice)
        loading = not self.ready
        self.close()
        self.restarts += 1
        healthy = not loading and now - self._spawned_at >= HEALTHY_S
        self._backoff_s = 0.0 if healthy else min(self._backoff_s * 2 or BACKOFF_FIRST_S, BACKOFF_MAX_S)
        exhausted = False
        if loading:
            self._load_failures += 1
            if self._load_failures >= LOAD_ATTEMPTS:
                exhausted = not self._fall_back(why)
                self._backoff_s = BACKOFF_MAX_S if exhausted else 0.0
        self._retry_at = now + self._backoff_s
        pending = self._pending
        if pending is None:
            return []
        pending.deadline = None
        if pending.attempts < ATTEMPTS and not exhausted:
            return []
        self._pending = None
        return [Failed(pending.job.number, f"{why[0].upper()}{why[1:]}.")]

    def _fall_back(self, why: str) -> bool:
        """Take the next plainer voice; False when there is none."""
        plainer = FALLBACKS.get(self.voice)
        if plainer is None:
            return False
        why = why[0].upper() + why[1:]
        self.complaint = f"{why}: speaking with the {plainer} voice instead of {self.voice}."
        self.voice, self._load_failures = plainer, 0
        log.warning("%s", self.complaint)
        return True


def _outcome(message: dict[str, Any]) -> Rendered | Failed:
    job = int(message["job"])
    if "error" in message:
        return Failed(job, str(message["error"]))
    rendering = Rendering(
        np.frombuffer(message["pcm"], np.int16),
        [TimedWord(*word) for word in message["words"]],
        [TimedMouth(*mouth) for mouth in message["mouths"]],
        float(message["voiced_start_s"]),
    )
    return Rendered(job, rendering, float(message["synthesis_ms"]))
