"""A real launcher with real services, in a pipe or in a terminal; everything it started ends with the test."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import shlex
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from typing import Any

from waiting import gone, until_true

from shared.bus import Bus, Message
from shared.commands import Submit
from shared.config import ROOT, BusSettings
from shared.events import Processes, ProcessInfo, TurnState
from shared.process import family

START_S = 60.0


class Show:
    """One launcher. `output` is its standard output (in a terminal: everything), `chatter` its errors.

    With `shell` an interactive bash is started instead, which runs the launcher as a job.
    """

    def __init__(
        self, *flags: str, stdin: bytes | None = None, terminal: bool = False, shell: bool = False
    ) -> None:
        ports = _free_ports()
        addresses = dict(zip(("publish", "subscribe", "commands"), ports, strict=True))
        self.settings = BusSettings(**addresses)
        self.ports = [
            part for key, address in addresses.items() for part in ("--set", f"bus.{key}={address}")
        ]
        command = [sys.executable, str(ROOT / "launcher.py"), *self.ports, *flags]
        self._text = {"output": "", "chatter": ""}
        self._bus: Bus | None = None
        self.events: list[Message] = []
        self._terminal: int | None = None
        self._seen: set[int] = set()
        if terminal:
            self._terminal, inner = pty.openpty()
            fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
            self.modes = termios.tcgetattr(inner)
            streams: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), inner)
        else:
            streams = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        environment = {**os.environ, "TERM": "xterm-256color", "PYTHONPATH": ""}
        self.launcher = subprocess.Popen(
            ["bash", "--norc", "--noediting", "-i"] if shell else command,
            env=environment,
            start_new_session=True,
            preexec_fn=_take_terminal if terminal else None,
            **streams,
        )
        if self._terminal is not None:
            self.inner = inner  # kept open: its modes are looked at afterwards
            self._read(self._terminal, "output")
            if shell:
                self.type(f"{shlex.join(command)}\r")
            return
        assert self.launcher.stdin is not None
        assert self.launcher.stdout is not None
        assert self.launcher.stderr is not None
        self._read(self.launcher.stdout.fileno(), "output")
        self._read(self.launcher.stderr.fileno(), "chatter")
        if stdin is not None:
            self.launcher.stdin.write(stdin)
            self.launcher.stdin.close()

    def _read(self, descriptor: int, into: str) -> None:
        def read() -> None:
            with contextlib.suppress(OSError):
                while data := os.read(descriptor, 65_536):
                    self._text[into] += data.decode("utf-8", "replace")

        threading.Thread(target=read, daemon=True).start()

    @property
    def output(self) -> str:
        """What came on standard output so far."""
        return self._text["output"]

    @property
    def chatter(self) -> str:
        """What came on standard error so far."""
        return self._text["chatter"]

    def type(self, text: str) -> None:
        """Press keys."""
        assert self._terminal is not None
        os.write(self._terminal, text.encode())

    def hang_up(self) -> None:
        """Close the window."""
        assert self._terminal is not None
        os.close(self.inner)
        os.close(self._terminal)
        self._terminal = None

    def wait(self, timeout_s: float = START_S) -> int:
        """Exit status, once it has ended."""

        def ended() -> bool:
            self.note_processes()
            return self.launcher.poll() is not None

        until_true(
            ended,
            timeout_s,
            lambda: f"the end of the launcher; it said {self.output[-500:]!r} {self.chatter!r}",
        )
        return int(self.launcher.returncode)

    @property
    def bus(self) -> Bus:
        """A subscriber of the show; opened as soon as there is one."""
        if self._bus is None:
            topics = ("sys.processes", "sys.health", "turn.state", "speech.", "chat.message")
            self._bus = Bus.open("e2e", topics, settings=self.settings, wait_s=START_S)
        return self._bus

    def look(self, timeout_s: float = 0.05) -> None:
        """Take what arrived on the bus."""
        self.events += [each for each in self.bus.poll(timeout_s) if isinstance(each, Message)]

    def processes(self) -> dict[str, ProcessInfo]:
        """The supervised processes as last published."""
        self.look(0.02)
        for message in reversed(self.events):
            if isinstance(message.payload, Processes):
                return {each.name: each for each in message.payload.processes}
        return {}

    def until_ready(self, *names: str, timeout_s: float = START_S) -> dict[str, ProcessInfo]:
        """The processes once they all (or those named) are ready."""

        def ready() -> dict[str, ProcessInfo] | None:
            assert self.launcher.poll() is None, f"the launcher ended: {self.output[-800:]} {self.chatter}"
            rows = self.processes()
            self.note_processes()
            wanted = names or tuple(rows)
            return rows if rows and all(rows[name].state == "ready" for name in wanted) else None

        rows: dict[str, ProcessInfo] = until_true(
            ready, timeout_s, lambda: f"{names or 'all'} ready; {self.chatter}"
        )
        return rows

    def submit(self, text: str) -> str:
        """Say something; returns the id of the message."""
        return str(self.bus.request(Submit(text=text), timeout_s=5.0).message_id)  # type: ignore[attr-defined]

    def turn(self, message_id: str, *phases: str, timeout_s: float = 30.0) -> TurnState:
        """The state of that message's turn once it reached one of `phases`."""

        def reached() -> TurnState | None:
            self.look()
            for message in reversed(self.events):
                state = message.payload
                if isinstance(state, TurnState) and state.message_id == message_id:
                    return state if state.phase in phases else None
            return None

        found: TurnState = until_true(reached, timeout_s, lambda: f"turn of {message_id} {phases}")
        return found

    def until_output(self, pattern: str, timeout_s: float = START_S, start: int = 0) -> re.Match[str]:
        """The first match of `pattern` in the output from `start` on."""
        found: re.Match[str] = until_true(
            lambda: re.search(pattern, self.output[start:], re.DOTALL),
            timeout_s,
            lambda: f"{pattern} in the output; {self.output[-800:]!r} {self.chatter!r}",
        )
        return found

    def note_processes(self) -> None:
        """Remember who is there now, so that `survivors` knows whom to look for."""
        self._seen |= {each.pid for each in family(self.launcher.pid)} - {self.launcher.pid}

    def survivors(self) -> list[int]:
        """Processes of the show that still live; the launcher not counted."""
        return [pid for pid in self._seen if not gone(pid)]

    def close(self) -> None:
        """End whatever is left."""
        self.note_processes()
        if self._bus is not None:
            self._bus.close(linger_ms=0)
        for pid in [self.launcher.pid, *self.survivors()]:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self.launcher.wait()
        for stream in (self.launcher.stdin, self.launcher.stdout, self.launcher.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        if self._terminal is not None:
            os.close(self._terminal)
            os.close(self.inner)


def _take_terminal() -> None:
    """In the child: the terminal on standard input becomes its controlling one."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _free_ports() -> list[str]:
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    addresses = [f"tcp://127.0.0.1:{server.getsockname()[1]}" for server in servers]
    for server in servers:
        server.close()
    return addresses


def shows() -> Iterator[Callable[..., Show]]:
    """Body of the fixture `start(*flags, stdin=None, terminal=False)`: launchers that end with the test."""
    begun: list[Show] = []

    def begin(*flags: str, **how: Any) -> Show:
        begun.append(Show(*flags, **how))
        return begun[-1]

    yield begin
    for show in begun:
        show.close()
