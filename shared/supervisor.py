"""Keeps a group of processes alive and ends them in order; knows no bus, only beats that it is told of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from typing import Protocol

from shared.clock import Clock
from shared.events import ProcessState, ServicePhase
from shared.lifecycle import BAD_CONFIG_EXIT, Lifecycle, Step

HUB_SILENT_S = 3.0
"""The hub carries everybody's beats: silent this long, nothing can be said about the others."""
OWN_PAUSE_S = 5.0
"""Not polled this long (suspended, asleep), the supervisor itself was deaf."""
STAGE_S = 0.7
"""A stage of the stop gets this long before the next is asked as well."""
STOP_S = 4.2
"""All but the hub are killed this long after the stop began."""
HUB_STOP_S = 0.5
"""What the hub, which goes last, may take after that."""


class Child(Protocol):
    """A process that was started (`shared/process.py`; a fake in tests)."""

    @property
    def pid(self) -> int:
        """Process id."""

    def poll(self) -> int | None:
        """Exit code once it is gone and reaped, None before."""

    def terminate(self) -> None:
        """Ask it and its group to end."""

    def kill(self) -> None:
        """End it and its group at once."""

    def last_line(self) -> str:
        """Last words on its standard error."""


@dataclass(frozen=True)
class Change:
    """A process passed from one state to another."""

    name: str
    was: ProcessState
    state: ProcessState


class Supervisor:
    """Starts, watches, restarts and stops processes; all by `poll`, called ten times a second or so.

    `hub` is the process that carries the others' beats: it is started first and stopped last, and while
    it is silent nobody else is judged. `ask(name)` passes on the command to leave.
    """

    def __init__(
        self,
        lifecycles: Sequence[Lifecycle],
        spawn: Callable[[str], Child],
        ask: Callable[[str], None],
        clock: Clock,
        hub: str,
    ) -> None:
        self.processes = {lifecycle.name: lifecycle for lifecycle in lifecycles}
        self._hub = self.processes[hub]
        self._spawn, self._ask, self._clock = spawn, ask, clock
        self._children: dict[str, Child] = {}
        self._changes: list[Change] = []
        self._polled_at = clock()
        self._stages: list[list[str]] = []
        self._stage_ends_at = inf
        self._kill_at = inf
        self.stopping = False

    @property
    def stopped(self) -> bool:
        """Nothing runs and nothing will."""
        return all(lifecycle.settled for lifecycle in self.processes.values())

    def start(self, *names: str) -> None:
        """Want these processes; all but the hub are spawned when the hub is ready."""
        for lifecycle in (self.processes[name] for name in names):
            with self._noting(lifecycle):
                lifecycle.start(self._clock())

    def beat(self, name: str, pid: int, session: str, phase: ServicePhase, detail: str = "") -> None:
        """A health message of `name` came in."""
        lifecycle = self.processes.get(name)
        if lifecycle is None:
            return
        now, silent_s = self._clock(), self._clock() - lifecycle.heard_at
        news = session != lifecycle.session
        with self._noting(lifecycle):
            if not lifecycle.beat(pid, session, phase, detail, now):
                return
        if lifecycle is self._hub and (news or silent_s > HUB_SILENT_S):
            for other in self.processes.values():
                other.hear(now)

    def restart(self, name: str) -> None:
        """Stop one process and start it again, with a clean slate."""
        lifecycle = self.processes[name]
        if self.stopping:
            return
        with self._noting(lifecycle):
            if lifecycle.live:
                lifecycle.stop(self._clock(), again=True)
                self._ask(name)
            else:
                lifecycle.start(self._clock())

    def escalate(self, name: str) -> None:
        """The command to leave did not reach `name`."""
        self.processes[name].escalate(self._clock())

    def stop(self, stages: Sequence[Sequence[str]]) -> None:
        """End everything: stage after stage, whoever is in none of them next, the hub last."""
        if self.stopping:
            return
        now = self._clock()
        self.stopping, self._kill_at = True, now + STOP_S
        named = [name for stage in stages for name in stage]
        rest = [name for name in self.processes if name not in named and name != self._hub.name]
        self._stages = [[name for name in stage if name in self.processes] for stage in [*stages, rest]]
        self._stage_ends_at = now
        for lifecycle in self.processes.values():
            if not lifecycle.live:
                with self._noting(lifecycle):
                    lifecycle.stop(now)

    def kill_all(self) -> None:
        """End everything at once."""
        self.stopping, self._stages = True, []
        now = self._clock()
        for lifecycle in self.processes.values():
            with self._noting(lifecycle):
                lifecycle.stop(now, kill_at=now)

    def poll(self) -> list[Change]:
        """Reap, judge, kill, spawn; returns what changed since the last call."""
        now = self._clock()
        if now - self._polled_at > OWN_PAUSE_S:
            for lifecycle in self.processes.values():
                lifecycle.hear(now)
        self._polled_at = now
        for name, child in list(self._children.items()):
            code = child.poll()
            if code is not None:
                del self._children[name]
                self._gone(self.processes[name], code, child.last_line(), now)
        if self.stopping:
            self._next_stage(now)
        for lifecycle in self.processes.values():
            self._do(lifecycle, lifecycle.due(now, self._line_open(lifecycle, now)), now)
        changes, self._changes = self._changes, []
        return changes

    def _line_open(self, lifecycle: Lifecycle, now: float) -> bool:
        hub = self._hub
        return lifecycle is hub or (hub.state == "ready" and now - hub.heard_at <= HUB_SILENT_S)

    def _do(self, lifecycle: Lifecycle, step: Step | None, now: float) -> None:
        if step is Step.SPAWN:
            try:
                child = self._children[lifecycle.name] = self._spawn(lifecycle.name)
            except OSError as error:
                self._gone(lifecycle, 1, str(error), now)
                return
            with self._noting(lifecycle):
                lifecycle.spawned(child.pid, now)
        elif step is Step.TERMINATE:
            self._children[lifecycle.name].terminate()
        elif step is Step.KILL:
            self._children[lifecycle.name].kill()

    def _gone(self, lifecycle: Lifecycle, code: int, last_line: str, now: float) -> None:
        final = code == BAD_CONFIG_EXIT and self._line_open(lifecycle, now)
        with self._noting(lifecycle):
            lifecycle.exited(code, last_line, now, final=final)
            if self.stopping:
                lifecycle.stop(now)

    def _next_stage(self, now: float) -> None:
        others = [each for each in self.processes.values() if each is not self._hub]
        while self._stages:
            asked = [each for each in others if each.state == "stopping" and each.live]
            if asked and now < self._stage_ends_at:
                return
            for lifecycle in (self.processes[name] for name in self._stages.pop(0)):
                if not lifecycle.live:
                    continue
                reached = lifecycle.state == "stopping"
                with self._noting(lifecycle):
                    lifecycle.stop(now, kill_at=self._kill_at)
                if not reached:
                    self._ask(lifecycle.name)
                self._stage_ends_at = now + STAGE_S
        if self._hub.live and self._hub.state != "stopping" and all(each.settled for each in others):
            with self._noting(self._hub):
                self._hub.stop(now, kill_at=now + HUB_STOP_S)
            self.escalate(self._hub.name)

    @contextmanager
    def _noting(self, lifecycle: Lifecycle) -> Iterator[None]:
        was = lifecycle.state
        yield
        if lifecycle.state != was:
            self._changes.append(Change(lifecycle.name, was, lifecycle.state))
