"""When a process counts as ready, hung, due for a restart or failed for good: policy alone, no I/O.

One `Lifecycle` is told what happened (spawned, beat, exited) and says what is to be done next (`due`).
"""

from __future__ import annotations

import signal
from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from math import inf

from shared.events import ProcessState, ServicePhase

HUNG_AFTER_S = 9.0
"""Silence of a process that had said it was ready."""
LOADING_S = 180.0
"""Silence of a process that starts or loads: importing and reading weights block its loop."""
BACKOFF_FIRST_S = 0.5
BACKOFF_MAX_S = 30.0
HEALTHY_S = 30.0
"""Alive this long, a process starts again at the first backoff."""
MAX_FAILURES = 5
FAILURES_WITHIN_S = 60.0
BAD_CONFIG_EXIT = 2
"""Exit code of a service that cannot start with what it was given; trying again would change nothing (unless
the bus was away: then this may be all that was missing)."""
ASK_S = 2.0
"""From the command to leave until SIGTERM."""
TERM_S = 3.0
"""From SIGTERM until SIGKILL."""


class Step(Enum):
    """What the shell has to do to a process now."""

    SPAWN = "spawn"
    TERMINATE = "terminate"
    KILL = "kill"


@dataclass
class Lifecycle:
    """One supervised process; times are seconds of one monotonic clock."""

    name: str
    max_failures: int = MAX_FAILURES
    """That many failures within a minute are one too many."""
    zero_is_end: bool = False
    """Exit code 0 unasked is an end that was meant, not a failure."""
    state: ProcessState = "stopped"
    pid: int | None = None
    session: str | None = None
    restarts: int = 0
    detail: str = ""
    phase: ServicePhase = "starting"
    spawned_at: float = 0.0
    heard_at: float = 0.0
    exit_code: int | None = None
    _retry_at: float = 0.0
    _backoff_s: float = 0.0
    _failures: deque[float] = field(default_factory=deque)
    _hung: bool = False
    _again: bool = False
    _terminate_at: float = inf
    _kill_at: float = inf

    @property
    def live(self) -> bool:
        """A process exists, whatever its state."""
        return self.pid is not None

    @property
    def settled(self) -> bool:
        """Neither running nor about to run."""
        return not self.live and self.state in ("stopped", "failed")

    def start(self, now: float) -> None:
        """Wanted from now on; forgets earlier failures."""
        self.state, self.detail = "starting", ""
        self._retry_at, self._backoff_s = now, 0.0
        self._failures.clear()

    def spawned(self, pid: int, now: float) -> None:
        """The shell has started it as `pid`."""
        if self.exit_code is not None:
            self.restarts += 1
        self.state, self.phase, self.pid, self.session = "starting", "starting", pid, None
        self.spawned_at = self.heard_at = now
        self._hung = False
        self._terminate_at = self._kill_at = inf

    def beat(self, pid: int, session: str, phase: ServicePhase, detail: str, now: float) -> bool:
        """A health message; False when it is not from the process that was spawned (by hand, or a ghost)."""
        if pid != self.pid:
            return False
        self.session, self.phase, self.detail, self.heard_at = session, phase, detail, now
        if self.state == "starting" and phase in ("ready", "degraded"):
            self.state = "ready"
        return True

    def hear(self, now: float) -> None:
        """Count as heard at `now` although nothing came: the line was dead, not the process."""
        self.heard_at = now

    def exited(self, code: int, last_line: str, now: float, *, final: bool = False) -> None:
        """The process is gone; `code` as Popen gives it (negative: a signal); `final`: never again."""
        asked, hung = self.state == "stopping", self._hung
        self.pid, self.exit_code = None, code
        if asked:
            self.state, self.detail = ("starting", "") if self._again else ("stopped", "")
            self._retry_at = now
            return
        if code == 0 and self.zero_is_end:
            self.state, self.detail = "stopped", ""
            return
        self.detail = "it did not answer and was killed" if hung else describe_exit(code, last_line)
        if final and not hung:
            self.state, self.detail = "failed", last_line or self.detail
            return
        if now - self.spawned_at >= HEALTHY_S:
            self._backoff_s = 0.0
        self._failures.append(now)
        while self._failures[0] <= now - FAILURES_WITHIN_S:
            self._failures.popleft()
        if len(self._failures) >= self.max_failures:
            self.state = "failed"
            return
        self._backoff_s = min(self._backoff_s * 2 or BACKOFF_FIRST_S, BACKOFF_MAX_S)
        self.state, self._retry_at = "backoff", now + self._backoff_s

    def stop(self, now: float, again: bool = False, kill_at: float = inf) -> None:
        """It was asked to leave; `again` starts it anew afterwards. Signals follow when it stays."""
        self._again = again
        if not self.live:
            self.state, self.detail, self._retry_at = ("starting" if again else "stopped"), "", now
            return
        if self.state != "stopping":
            self._terminate_at = now + ASK_S
            self._kill_at = now + ASK_S + TERM_S
        self.state = "stopping"
        self._kill_at = min(self._kill_at, kill_at)

    def escalate(self, now: float) -> None:
        """It could not be asked: SIGTERM is next, at once."""
        if self.state == "stopping" and self._terminate_at != inf:
            self._terminate_at = now
            self._kill_at = min(self._kill_at, now + TERM_S)

    def due(self, now: float, line_open: bool) -> Step | None:
        """The next thing to do, each said once; `line_open`: others can be heard and reached at present."""
        if self.state in ("starting", "backoff") and not self.live:
            return Step.SPAWN if line_open and now >= self._retry_at else None
        if not self.live or self._hung:
            return None
        if self.state == "stopping":
            if now >= self._kill_at:
                self._kill_at = self._terminate_at = inf
                return Step.KILL
            if now >= self._terminate_at:
                self._terminate_at = inf
                return Step.TERMINATE
            return None
        limit_s = LOADING_S if self.phase in ("starting", "loading") else HUNG_AFTER_S
        if line_open and now - self.heard_at >= limit_s:
            self._hung = True
            return Step.KILL
        return None


def describe_exit(code: int, last_line: str) -> str:
    """How a process ended, for people: its last words, or its exit code or signal."""
    if code < 0:
        try:
            return f"killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"killed by signal {-code}"
    return f"exit code {code}: {last_line}" if last_line else f"exit code {code}"
