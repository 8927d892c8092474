"""The engine child as its parent sees it: a process with a pipe each way and a thread that reads."""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from services.tts.pipe import read_message, write_message
from shared.config import TtsSettings

ROOT = Path(__file__).resolve().parents[2]


def start_child(settings: TtsSettings, wake: Callable[[], None], voice: str) -> ChildProcess:
    """An engine for `voice`; a plainer one than was asked for does not know that one's speakers."""
    return ChildProcess(voice, wake, settings.speaker if voice == settings.voice else "")


class ChildProcess:
    """A running `services.tts.engine_child`."""

    def __init__(self, voice: str, wake: Callable[[], None], speaker: str = "") -> None:
        """Start it (Popen, never fork). `wake` is called from another thread whenever something arrived."""
        self._wake = wake
        self._messages: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "services.tts.engine_child", voice, *([speaker] if speaker else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        self._reader = threading.Thread(target=self._read, name="tts-engine", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Process id, for tests that kill it."""
        return self._process.pid

    def send(self, message: dict[str, Any]) -> None:
        """Hand over a job; a dead child is noticed by `receive`, not here."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, ValueError):
            write_message(self._process.stdin, message)

    def receive(self) -> list[dict[str, Any] | None]:
        """Everything that has arrived; None stands for the end of the process."""
        arrived: list[dict[str, Any] | None] = []
        with contextlib.suppress(queue.Empty):
            while True:
                arrived.append(self._messages.get_nowait())
        return arrived

    def kill(self) -> None:
        """End it at once, also when it hangs or is stopped."""
        with contextlib.suppress(OSError):
            self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, ValueError):
            self._process.stdin.close()
        self._reader.join(1.0)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            while (message := read_message(stream)) is not None:
                self._messages.put(message)
                self._wake()
        self._messages.put(None)
        self._wake()
