"""A local chat server that says what a test wants, byte for byte, and writes down what it hears."""

from __future__ import annotations

import contextlib
import queue
import socket
import ssl
import threading
from collections.abc import Callable
from types import TracebackType

from services.input.line_buffer import LineBuffer


class FakeTwitch:
    """Accepts one connection after the other; `accept` waits for the next and gives it to the test."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"localhost:{self._listener.getsockname()[1]}"
        self._accepted: queue.Queue[Connection] = queue.Queue()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def accept(self, timeout_s: float = 10.0) -> Connection:
        """The next connection."""
        return self._accepted.get(timeout=timeout_s)

    def __enter__(self) -> FakeTwitch:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        with contextlib.suppress(OSError):  # where a listener cannot be shut down, closing it is enough
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        while not self._accepted.empty():
            self._accepted.get().close()

    def _run(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            accepted.settimeout(10.0)
            try:
                if self._context:
                    accepted = self._context.wrap_socket(accepted, server_side=True)
            except OSError:  # the client did not like our certificate
                accepted.close()
                continue
            self._accepted.put(Connection(accepted))


class Connection:
    """The server's end of one connection."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = LineBuffer(4_096)
        self._lines: list[str] = []

    def read_until(self, wanted: Callable[[str], bool]) -> str:
        """The first line, from here on, that is `wanted`."""
        while True:
            while self._lines:
                line = self._lines.pop(0)
                if wanted(line):
                    return line
            data = self._sock.recv(4_096)
            assert data, "the client hung up"
            self._lines += [line.decode() for line in self._buffer.feed(data) if line is not None]

    def send(self, *pieces: bytes) -> None:
        """Each piece leaves in a packet of its own."""
        for piece in pieces:
            self._sock.sendall(piece)

    def welcome(self, channel: str = "akane") -> None:
        """Take the newcomer through the start as Twitch does."""
        nick = self.read_until(lambda line: line.startswith("NICK")).split(":")[1]
        self.send(b":tmi.twitch.tv CAP * ACK :twitch.tv/tags twitch.tv/commands\r\n")
        self.send(f":tmi.twitch.tv 001 {nick} :Welcome, GLHF!\r\n".encode())
        self.read_until(lambda line: line == f"JOIN :#{channel}")
        self.send(f":{nick}!{nick}@{nick}.tmi.twitch.tv JOIN #{channel}\r\n".encode())

    def close(self) -> None:
        """Hang up."""
        self._sock.close()


class Heard:
    """What a reader delivered, from its thread, for a test to wait on."""

    def __init__(self) -> None:
        self._items: queue.Queue[object] = queue.Queue()

    def __call__(self, item: object) -> None:
        self._items.put(item)

    def next(self, timeout_s: float = 10.0) -> object:
        """The next item."""
        return self._items.get(timeout=timeout_s)

    def __len__(self) -> int:
        return self._items.qsize()
