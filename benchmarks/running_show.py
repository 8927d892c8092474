"""Starts a whole show by its launcher on free ports and watches it from the bus, for benchmarks."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psutil

from benchmarks.bus import free_ports
from shared.bus import Bus, Message
from shared.commands import Submit
from shared.config import ROOT, BusSettings
from shared.process import family

WATCHED = ("sys.", "chat.", "turn.", "llm.", "speech.", "avatar.")


class Show:
    """A running stack and a Bus that watches it."""

    def __init__(self, process: subprocess.Popen[bytes], bus: Bus) -> None:
        self.process = process
        self.bus = bus
        self._waiting: deque[Message] = deque()

    def next(self, timeout_s: float) -> Message | None:
        """The next message; None when none came in time."""
        deadline = time.monotonic() + timeout_s
        while not self._waiting and (left_s := deadline - time.monotonic()) > 0:
            self._waiting.extend(item for item in self.bus.poll(left_s) if isinstance(item, Message))
        return self._waiting.popleft() if self._waiting else None

    def until(self, done: Callable[[Message], Any], timeout_s: float) -> Message:
        """The first message for which `done` is true. TimeoutError names what was waited for."""
        deadline = time.monotonic() + timeout_s
        while message := self.next(deadline - time.monotonic()):
            if done(message):
                return message
        raise TimeoutError(f"nothing within {timeout_s} s")

    def submit(self, text: str) -> str:
        """Type a line; returns the id of its `chat.message`."""
        reply = self.bus.request(Submit(text=text), timeout_s=5.0)
        return str(reply.message_id)  # type: ignore[attr-defined]

    def processes(self) -> list[psutil.Process]:
        """The launcher and all that it started, grandchildren too."""
        return family(self.process.pid)

    def pid_of(self, service: str) -> int:
        """Process id of a service that is ready."""
        message = self.until(lambda m: m.topic == "sys.health" and m.source == service and _up(m), 60)
        return int(message.payload.pid)


def _up(message: Message) -> bool:
    return message.payload.phase in ("ready", "degraded")


@contextmanager
def running_show(*flags: str, ready: tuple[str, ...] = ("llm", "tts", "director", "input")) -> Iterator[Show]:
    """A headless show without a sound card; yields when every service of `ready` is ready."""
    publish, subscribe, commands = free_ports(3)
    settings = BusSettings(publish=publish, subscribe=subscribe, commands=commands)
    sets = [f"--set=bus.{key}={getattr(settings, key)}" for key in ("publish", "subscribe", "commands")]
    command = [
        sys.executable,
        str(ROOT / "launcher.py"),
        "--headless",
        "--set=tts.device=null",
        "--set=stage.port=0",
        *sets,
        *flags,
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with Bus.open("bench", WATCHED, settings=settings, wait_s=60) as bus:
            show = Show(process, bus)
            up = {m.source for m in bus.snapshot() if m.topic == "sys.health" and _up(m)}
            while not set(ready) <= up:
                up.add(show.until(lambda m: m.topic == "sys.health" and _up(m), 180).source)
            yield show
    finally:
        process.terminate()
        process.wait(30)
