"""The connection to Twitch: a thread with one blocking socket that feeds `TwitchChat` and never gives up."""

from __future__ import annotations

import contextlib
import random
import socket
import ssl
import threading
from collections.abc import Callable

from services.input.irc import MAX_LINE_BYTES
from services.input.line_buffer import LineBuffer
from services.input.twitch import Action, Lost, Send, Status, TwitchChat, backoff_s
from shared.clock import Clock, monotonic
from shared.config import InputSettings
from shared.events import ChatMessage, ChatRetracted

CONNECT_S = 10.0
LOOK_UP_S = 0.5
"""How often the thread looks up from a silent socket, for its keep-alive and for the end of the show."""
STEADY_S = 60.0
"""A connection that held this long starts the backoff afresh."""


def server_address(server: str) -> tuple[str, int] | None:
    """`host:port` -> (host, port), or None when it is not one."""
    host, _, port = server.rpartition(":")
    return (host, int(port)) if host and port.isdecimal() and 0 < int(port) < 65_536 else None


def connect(settings: InputSettings, timeout_s: float = CONNECT_S) -> socket.socket:
    """An open connection to the chat server, encrypted unless the settings say otherwise; OSError if not."""
    address = server_address(settings.twitch_server)
    assert address is not None
    plain = socket.create_connection(address, timeout=timeout_s)
    if not settings.twitch_tls:
        return plain
    try:
        context = ssl.create_default_context(cafile=settings.twitch_ca or None)
        return context.wrap_socket(plain, server_hostname=address[0])
    except BaseException:
        plain.close()
        raise


def explain(error: OSError) -> str:
    """Why a connection failed, in words that fit after a colon."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return f"it does not speak TLS as expected ({error.reason})"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return error.strerror or str(error)


class TwitchReader:
    """Delivers what is said with `put` and how it stands with `report`, both from its own thread."""

    def __init__(
        self,
        settings: InputSettings,
        channel: str,
        put: Callable[[ChatMessage | ChatRetracted], None],
        report: Callable[[Status], None],
        *,
        clock: Clock = monotonic,
        rng: random.Random | None = None,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        self._settings = settings
        self._put = put
        self._report = report
        self._clock = clock
        self._rng = rng or random.Random()
        self._stop = threading.Event()
        self._wait = wait or self._stop.wait
        self._chat = TwitchChat(channel, settings.max_chars, self._rng)
        self._thread = threading.Thread(target=self._run, name="twitch", daemon=True)

    def start(self) -> None:
        """Connect and go on until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """Leave; waits for the thread a moment at most."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2 * LOOK_UP_S)

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            started_at = self._clock()
            reason = self._converse()
            if self._stop.is_set():
                return
            if self._chat.joined and self._clock() - started_at >= STEADY_S:
                failures = 0
            delay_s = backoff_s(failures, self._rng)
            failures += 1
            self._report(Status(False, f"reconnecting to the Twitch chat in {delay_s:.0f} s: {reason}"))
            self._wait(delay_s)

    def _converse(self) -> str:
        """One connection from its beginning to its end; returns why it ended."""
        server = self._settings.twitch_server
        try:
            connection = connect(self._settings)
        except OSError as error:
            return f"{server} cannot be reached: {explain(error)}"
        with connection:
            connection.settimeout(LOOK_UP_S)
            try:
                return self._listen(connection)
            except OSError as error:
                return f"the connection to {server} broke: {explain(error)}"

    def _listen(self, connection: socket.socket) -> str:
        lines = LineBuffer(MAX_LINE_BYTES)
        lost = self._act(self._chat.opened(self._clock()), connection)
        while lost is None and not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                data = connection.recv(65_536)
                if not data:
                    return "the server closed the connection"
                for line in lines.feed(data):
                    if line is not None and lost is None:
                        lost = self._act(self._chat.received(line, self._clock()), connection)
            lost = lost or self._act(self._chat.tick(self._clock()), connection)
        return lost or "the show ends"

    def _act(self, actions: list[Action], connection: socket.socket) -> str | None:
        """Carry out what the state machine wants; the reason when it gives the connection up."""
        for action in actions:
            if isinstance(action, Send):
                connection.sendall(action.data)
            elif isinstance(action, Status):
                self._report(action)
            elif isinstance(action, Lost):
                return action.reason
            else:
                self._put(action)
        return None
