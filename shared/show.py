"""The show as one loop: supervisor and bus side by side, readiness told, the screen in the foreground."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from shared.bus import Bus, BusError, Message, Refused, Request
from shared.commands import Forget, Reply, Restart, ServiceStop, StopShow
from shared.config import BusSettings
from shared.events import Health, Processes, ProcessInfo
from shared.lifecycle import BAD_CONFIG_EXIT, Lifecycle
from shared.process import Lifeline, Process, Spec
from shared.requests import CommandError
from shared.supervisor import Change, Supervisor
from shared.terminal import Terminal

log = logging.getLogger(__name__)

HUB = "bus"
SCREEN = "dashboard"
STAGES = (("input",), ("director",), ("llm", "tts"), (SCREEN,))
"""Who is asked to leave in which order; whoever is not named comes next, the bus last."""
ESSENTIAL = (HUB, "llm", "director", "input")
"""Without these nobody would be answered: the show does not begin when one of them cannot be ready."""
SCREEN_FAILURES = 4
"""The screen is started again three times."""
POLL_S = 0.1
STOPPING_POLL_S = 0.02
BEAT_S = 1.0
OPEN_S = 0.5


class Show:
    """Runs the processes of `specs` until it is told to end; `drawn`: the dashboard draws a screen."""

    def __init__(
        self, specs: Sequence[Spec], bus: BusSettings, run: Path, env: Mapping[str, str], drawn: bool
    ) -> None:
        self._specs = {spec.name: spec for spec in specs}
        self._settings, self._run, self._env, self._drawn = bus, run, env, drawn
        self._attended = bool(drawn or not any(spec.foreground for spec in specs))
        self._children: dict[str, Process] = {}
        self._lifeline = Lifeline()
        self._terminal = Terminal()
        self._bus: Bus | None = None
        self._next_beat = 0.0
        self._screen_on = False
        self._begun = False
        self._asked_to_end = 0
        self._status = 0
        lifecycles = [
            Lifecycle(name, SCREEN_FAILURES, zero_is_end=True) if name == SCREEN else Lifecycle(name)
            for name in self._specs
        ]
        self._supervisor = Supervisor(lifecycles, self._spawn, self._ask, time.monotonic, HUB)

    def run(self) -> int:
        """Begin, go on, end; returns the exit status. Restores signals and the terminal."""
        before = {number: signal.signal(number, self._on_signal) for number in _signals()}
        if self._drawn and sys.platform != "win32":  # Ctrl-Z: the screen goes first (_mind_the_screen)
            before[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, lambda *_: None)
        late = SCREEN if self._drawn else ""
        self._supervisor.start(*(name for name in self._specs if name != late))
        try:
            while not (self._supervisor.stopping and self._supervisor.stopped):
                self._turn()
        finally:
            self._supervisor.kill_all()
            self._supervisor.poll()
            if self._bus is not None:
                self._bus.close(linger_ms=0)
            self._lifeline.close()
            self._terminal.restore_modes()
            for number, handler in before.items():
                signal.signal(number, handler)
        return self._status

    def end(self, status: int = 0) -> None:
        """End in order."""
        if not self._supervisor.stopping:
            self._status = status
            self._supervisor.stop(STAGES)

    def _turn(self) -> None:
        supervisor = self._supervisor
        for change in supervisor.poll():
            self._on_change(change)
        if not self._begun and not supervisor.stopping:  # all is said: a failure among it may have ended it
            self._begin_when_settled()
        if self._asked_to_end:
            self.end()
        if self._asked_to_end > 1:
            supervisor.kill_all()
        if self._drawn:
            self._mind_the_screen()
        wait_s = STOPPING_POLL_S if supervisor.stopping else POLL_S
        if self._bus is None:
            self._open_bus(wait_s)
            return
        for item in self._bus.poll(wait_s):
            if isinstance(item, Message):
                self._on_health(item)
        if time.monotonic() >= self._next_beat:
            self._publish()

    def _open_bus(self, wait_s: float) -> None:
        """The bus process has just been started: knock until it answers."""
        if not self._supervisor.processes[HUB].live or self._supervisor.stopping:
            time.sleep(wait_s)
            return
        try:
            bus = Bus.open("launcher", ("sys.health",), settings=self._settings, register=True, wait_s=OPEN_S)
        except BusError:
            return
        bus.handle(StopShow, self._on_stop)
        bus.handle(Restart, self._on_restart)
        self._bus = bus
        with contextlib.suppress(CommandError):  # the next beat says the same, a second later
            for message in bus.snapshot():
                self._on_health(message)

    def _on_health(self, message: Message) -> None:
        health = message.payload
        if isinstance(health, Health):
            process = self._supervisor.processes.get(message.source)
            is_news = process is not None and process.state == "ready" and process.detail != health.detail
            beat = self._supervisor.beat
            beat(message.source, health.pid, message.session, health.phase, health.detail)
            if is_news and health.phase == "degraded":
                self._say(f"{message.source}: {health.detail}")

    def _on_stop(self, _: StopShow, __: Request) -> None:
        self._asked_to_end = max(self._asked_to_end, 1)

    def _on_restart(self, command: Restart, _: Request) -> None:
        if command.service not in self._specs:
            known = ", ".join(self._specs)
            raise Refused(f"There is no service {command.service!r} in this show: known are {known}.")
        self._supervisor.restart(command.service)

    def _on_signal(self, *_: object) -> None:
        self._asked_to_end += 1
        if self._bus is not None:
            self._bus.wake()

    def _spawn(self, name: str) -> Process:
        child = Process(self._specs[name], self._log_of(name), self._lifeline, self._env)
        self._children[name] = child
        if name == SCREEN and self._drawn:
            self._screen_on = True
        return child

    def _ask(self, name: str) -> None:
        """Pass on the command to leave; whoever cannot be reached gets the signal at once."""

        def answered(result: Reply | CommandError) -> None:
            if isinstance(result, CommandError):
                self._supervisor.escalate(name)

        if self._bus is None or not self._bus.connected:
            self._supervisor.escalate(name)
        else:
            self._bus.ask(ServiceStop(), answered, target=name)

    # -- what people hear of it -------------------------------------------------------------------------

    def _say(self, sentence: str) -> None:
        log.info("%s", sentence)
        if not self._screen_on:
            with contextlib.suppress(OSError):  # the terminal was closed, or nobody reads the pipe
                print(sentence, file=sys.stderr, flush=True)

    def _on_change(self, change: Change) -> None:
        self._next_beat = 0.0
        process = self._supervisor.processes[change.name]
        if change.name == SCREEN and not process.live:
            self._on_screen_gone(process)
        if self._supervisor.stopping:
            log.info("%s: %s", change.name, change.state)
        elif change.state == "ready":
            took_s = time.monotonic() - process.spawned_at
            self._say(f"{change.name:<10} ready in {took_s:4.1f} s   {process.detail}".rstrip())
        elif change.state == "backoff":
            self._say(f"{change.name}: {process.detail}; it is started again.")
        elif change.state == "failed":
            self._on_failed(process)
        elif change.state == "stopped" and change.name == SCREEN:
            self.end()

    def _on_failed(self, process: Lifecycle) -> None:
        self._forget(process)
        if process.name == SCREEN and self._drawn:
            self._say(
                f"The screen failed ({process.detail}); the show goes on without it. "
                "Come back with `python -m services.dashboard`, end it with Ctrl-C."
            )
            return
        detail = process.detail.removeprefix(f"{process.name}: ")
        self._say(f"{process.name} failed: {detail} (log: {_shown(self._log_of(process.name))})")
        told_wrong = process.exit_code == BAD_CONFIG_EXIT  # not the show that was asked for
        if (told_wrong or process.name in (*ESSENTIAL, SCREEN)) and not (self._begun and self._attended):
            self.end(2 if told_wrong else 1)

    def _begin_when_settled(self) -> None:
        """Once everybody else has said how it is, the screen may take the terminal."""
        others = [each for name, each in self._supervisor.processes.items() if name != SCREEN]
        if all(each.state in ("ready", "failed") for each in others):
            self._begun = True
            if self._drawn:
                self._supervisor.start(SCREEN)

    def _on_screen_gone(self, process: Lifecycle) -> None:
        was_on, self._screen_on = self._screen_on, False
        if was_on and process.exit_code != 0:
            self._terminal.reset()

    def _mind_the_screen(self) -> None:
        """Ctrl-Z: the screen has given the terminal back and stopped itself; the job stops with it."""
        child = self._children.get(SCREEN)
        if sys.platform == "win32" or not self._screen_on or child is None:
            return
        if child.suspended() and self._terminal.given_back():
            late = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            os.killpg(os.getpgrp(), signal.SIGTSTP)
            signal.signal(signal.SIGTSTP, late)
            if child.suspended():
                child.resume()

    # -- what the bus hears of it -----------------------------------------------------------------------

    def _publish(self) -> None:
        assert self._bus is not None
        self._next_beat = time.monotonic() + BEAT_S
        rows = [
            ProcessInfo(
                name=each.name,
                state=each.state,
                pid=each.pid,
                session=each.session,
                restarts=each.restarts,
                detail=each.detail,
            )
            for each in self._supervisor.processes.values()
        ]
        phase = "stopping" if self._supervisor.stopping else "ready"
        self._bus.publish("sys.processes", Processes(processes=rows))
        rss_mb = round(psutil.Process().memory_info().rss / 1e6, 1)
        self._bus.publish("sys.health", Health(phase=phase, pid=os.getpid(), rss_mb=rss_mb))

    def _forget(self, process: Lifecycle) -> None:
        if self._bus is not None and process.session:
            forget = Forget(source=process.name, session=process.session)
            self._bus.ask(forget, lambda _: None)

    def _log_of(self, name: str) -> Path:
        return self._run / f"{name}.log"


def _shown(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _signals() -> list[signal.Signals]:
    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    return [getattr(signal, name) for name in names if hasattr(signal, name)]
