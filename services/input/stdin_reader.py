"""Standard input, read by a thread of its own because nothing else can wait for it on every system."""

from __future__ import annotations

import io
import os
import queue
import sys
import threading
from collections.abc import Callable

from services.input.line_buffer import LineBuffer
from services.input.lines import MAX_LINE_BYTES

READ_BYTES = 4_096


class StdinReader:
    """Puts lines into a short queue and then waits: whoever pipes a book into the show is slowed down."""

    def __init__(self, wake: Callable[[], None], stream: io.RawIOBase | None = None) -> None:
        self._wake = wake
        self._stream = stream or _raw_stdin()
        self._items: queue.Queue[list[bytes | None] | None] = queue.Queue(maxsize=4)

    def start(self) -> None:
        """Begin to read; the thread ends with the process."""
        threading.Thread(target=self._read, name="stdin", daemon=True).start()

    def take(self) -> list[bytes | None] | None:
        """Lines that arrived (None in the list: one too long), [] when there are none, None at the end."""
        try:
            return self._items.get_nowait()
        except queue.Empty:
            return []

    def _read(self) -> None:
        buffer = LineBuffer(MAX_LINE_BYTES)
        while data := self._next_bytes():
            if lines := buffer.feed(data):
                self._put(lines)
        if lines := buffer.close():
            self._put(lines)
        self._put(None)

    def _next_bytes(self) -> bytes:
        if self._stream is None:
            return b""
        try:
            while (data := self._stream.read(READ_BYTES)) is None:
                os.set_blocking(self._stream.fileno(), True)  # a program before us left it non-blocking
        except (OSError, ValueError):  # the terminal went away: as good as an end of file
            return b""
        return data

    def _put(self, lines: list[bytes | None] | None) -> None:
        self._items.put(lines)
        self._wake()


def _raw_stdin() -> io.RawIOBase | None:
    """Unbuffered: a buffered reader holds a lock that makes the interpreter abort when it exits meanwhile."""
    return getattr(getattr(sys.stdin, "buffer", None), "raw", None)
