"""Plain mode: the transcript on standard output, for pipes and for terminals that draw nothing."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from queue import SimpleQueue
from typing import TextIO

from services.dashboard.transcript import TOPICS, Transcript, advance, introduction
from shared.bus import Bus, Message, SourceLost
from shared.clock import Clock
from shared.config import Settings
from shared.events import LlmStats
from shared.service import BEAT_S, Service

DRAIN_S = 1.0
"""Longest wait for the end of an open turn when the show ends."""


class Printer:
    """Writes on a thread of its own: a reader that pauses (Ctrl-S, a pager) must not stop the heartbeat."""

    def __init__(self, output: TextIO) -> None:
        self.broken = threading.Event()
        """Nobody reads any more."""
        self._output = output
        self._queue: SimpleQueue[str | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="printer", daemon=True)
        self._thread.start()

    def print(self, text: str) -> None:
        """Write `text` soon."""
        if text:
            self._queue.put(text)

    def close(self, timeout_s: float) -> None:
        """Write what is left, for at most `timeout_s`."""
        self._queue.put(None)
        self._thread.join(timeout_s)

    def _write(self) -> None:
        while (text := self._queue.get()) is not None:
            try:
                self._output.write(text)
                self._output.flush()
            except (OSError, ValueError):
                self.broken.set()
                return


class PlainDashboard(Service):
    """Prints the conversation line by line; works in a pipe."""

    name = "dashboard"
    topics = TOPICS

    def __init__(self, settings: Settings, bus: Bus, clock: Clock) -> None:
        super().__init__(settings, bus, clock)
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="replace")
        self._printer = Printer(sys.stdout)
        self._transcript = Transcript()
        self._introduced = False

    def on_event(self, message: Message) -> None:
        """Print what became certain; the first word about the model goes to standard error."""
        if isinstance(message.payload, LlmStats) and not self._introduced:
            self._introduced = True
            print(introduction(message.payload), file=sys.stderr, flush=True)
        self._take(message)

    def on_lost(self, lost: SourceLost) -> None:
        """An open reply that nobody will finish is closed."""
        self._take(lost)

    def tick(self) -> float:
        """Leave quietly when the reader of the pipe has gone."""
        if self._printer.broken.is_set():
            with contextlib.suppress(OSError, ValueError):  # or Python complains when it flushes at exit
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(0)
        return BEAT_S

    def stop(self) -> None:
        """Print what was published before the end, the end of an open turn too."""
        deadline = self.clock() + DRAIN_S
        while (left_s := deadline - self.clock()) > 0:
            items = self.bus.poll(min(0.1, left_s))
            for item in items:
                self._take(item)
            if not items and not self._transcript.open:
                break
        self._printer.close(max(0.1, deadline - self.clock()))

    def _take(self, item: Message | SourceLost) -> None:
        self._transcript, text = advance(self._transcript, item)
        self._printer.print(text)
