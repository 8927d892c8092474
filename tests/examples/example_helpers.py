"""Runs an example as its user would: a process of its own, from another folder, with its output caught."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from shared.config import ROOT, BusSettings

EXAMPLES = ROOT / "examples"


class Program:
    """A running example and what it has printed so far."""

    def __init__(self, command: list[str], folder: Path, bus: BusSettings) -> None:
        addresses = {f"AKANE_BUS_{name.upper()}": value for name, value in bus.model_dump().items() if value}
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **addresses, "PYTHONIOENCODING": "utf-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=_hear_ctrl_c if os.name == "posix" else None,
        )
        self._output = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def output(self) -> str:
        """All it has printed, errors included."""
        return self._output.decode("utf-8", "replace")

    @property
    def status(self) -> int | None:
        """Exit status once it has left and all its output is here."""
        code = self.process.poll()
        return None if self._reader.is_alive() else code

    def wait(self, timeout_s: float) -> int:
        """Exit status, when it leaves within `timeout_s`."""
        code = self.process.wait(timeout_s)
        self._reader.join(timeout_s)
        return code

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        self._reader.join()

    def _read(self) -> None:
        assert self.process.stdout
        while data := os.read(self.process.stdout.fileno(), 4_096):
            self._output += data
        self.process.stdout.close()
        self.process.wait()


def python(example: str, *arguments: str) -> list[str]:
    """The command that runs one of our Python examples."""
    return [sys.executable, str(EXAMPLES / example), *arguments]


def _hear_ctrl_c() -> None:
    """Tests that run in the background ignore SIGINT, and their children would inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
