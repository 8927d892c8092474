"""A dashboard process in a pseudo-terminal, and the screen a person would see there."""

from __future__ import annotations

import os
import select
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pexpect
import pyte

from shared.config import BusSettings

ROOT = Path(__file__).resolve().parents[2]


def bus_arguments(settings: BusSettings) -> list[str]:
    """The broker's addresses as `--set` arguments."""
    pairs = (
        ("publish", settings.publish),
        ("subscribe", settings.subscribe),
        ("commands", settings.commands),
    )
    return [argument for key, value in pairs for argument in ("--set", f"bus.{key}={value}")]


class Terminal:
    """Runs `python -m MODULE ARGUMENTS` in a pseudo-terminal of `columns` x `rows`."""

    def __init__(self, module: str, *arguments: str, columns: int = 100, rows: int = 30) -> None:
        env = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        command = ["-m", module, *arguments]
        self.child = pexpect.spawn(
            sys.executable, command, dimensions=(rows, columns), env=env, cwd=str(ROOT)
        )
        self.modes_before = termios.tcgetattr(self.child.child_fd)
        self.raw = b""
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)

    @property
    def text(self) -> str:
        """The screen, rows joined by line breaks."""
        return "\n".join(self._screen.display)

    def pump(self, timeout_s: float) -> bool:
        """Take what the process wrote within `timeout_s`; False when it closed the terminal."""
        if not select.select([self.child.child_fd], [], [], timeout_s)[0]:
            return True
        try:
            data = os.read(self.child.child_fd, 65_536)
        except OSError:
            data = b""
        self.raw += data
        self._stream.feed(data)
        return bool(data)

    def until(self, done: Callable[[], object], timeout_s: float = 15.0) -> float:
        """Pump until `done()`; returns the monotonic time at which it was seen."""
        deadline = time.monotonic() + timeout_s
        while not done():
            assert time.monotonic() < deadline, f"not seen within {timeout_s} s:\n{self.text}"
            open_still = self.pump(0.05)
            assert open_still or done(), f"the process left:\n{self.text}"
        return time.monotonic()

    def shows(self, text: str, timeout_s: float = 15.0) -> float:
        """Wait until `text` is on the screen; returns when."""
        return self.until(lambda: text in self.text, timeout_s)

    def send(self, keys: str) -> None:
        """Type."""
        self.child.send(keys)

    def leave(self, timeout_s: float = 10.0) -> int:
        """Read until the process is gone; its exit status (negative: a signal)."""
        deadline = time.monotonic() + timeout_s
        while self.pump(0.05) and self.child.isalive():
            assert time.monotonic() < deadline, f"still there after {timeout_s} s:\n{self.text}"
        self.child.wait()
        return self.child.exitstatus if self.child.exitstatus is not None else -self.child.signalstatus

    def close(self) -> None:
        """End the process if it is still there."""
        self.child.close(force=True)
