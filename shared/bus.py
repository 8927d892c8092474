"""Bus: one process's place on the bus. Synchronous, one owner thread; `wake` is the only call for others."""

from __future__ import annotations

import logging
import math
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgpack
import zmq
import zmq.auth

from shared.broker import HIGH_WATER_MARK
from shared.command_end import CommandEnd
from shared.commands import Command, Reply, Snapshot, SnapshotReply
from shared.config import BusSettings, load_settings
from shared.endpoints import AddressError, check_addresses
from shared.event_end import ALWAYS, EventEnd
from shared.events import Event, Probe
from shared.requests import CommandError, Pending, Refused, Request, Then
from shared.topics import TOPICS
from shared.tracking import SourceLost
from shared.wire import Message, header, new_session, pack, topic_frame

__all__ = ["Bus", "BusError", "CommandError", "Message", "Refused", "Request", "SourceLost"]

log = logging.getLogger(__name__)

BEAT_S = 1.0
PROBE_S = 0.01
_NOBLOCK, _MORE = int(zmq.NOBLOCK), int(zmq.NOBLOCK | zmq.SNDMORE)
"""Plain numbers: pyzmq's flags cost a microsecond to combine."""
MAX_DRAIN = 2_000
"""Events taken in one poll before commands get their turn."""

AnyCommand = TypeVar("AnyCommand", bound=Command)


class BusError(Exception):
    """One sentence: why the bus cannot be used and what to do."""


class Bus:
    """Publish events, read topics, send and obey commands.

    >>> with Bus.open("overlay", ["llm.token"]) as bus:        # doctest: +SKIP
    ...     for message in bus.events():
    ...         print(message.payload.text, end="")
    """

    def __init__(self, name: str, settings: BusSettings, topics: tuple[str, ...]) -> None:
        self.name = name
        self.session = new_session()
        self.settings = settings
        self.connected = False
        """True while the road through the broker is known to be open."""
        self._thread = threading.get_ident()
        self._events = EventEnd(name, self.session)
        self._registered = False
        self._broker_session: str | None = None
        self._next_beat = 0.0
        self._next_probe = 0.0
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._pub = self._socket(zmq.PUB, settings.publish)
        self._sub = self._socket(zmq.SUB, settings.subscribe)
        self._dealer = self._socket(zmq.DEALER, settings.commands)
        session_of = self._events.tracker.sessions.get
        self._commands = CommandEnd(name, self.session, self._send_command, session_of, self._broker_answered)
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._poller = zmq.Poller()
        for reader in (self._sub, self._dealer, self._wake_out):
            self._poller.register(reader, zmq.POLLIN)
        self._probe_frame = b"bus.probe." + self.session.encode() + b"\0"
        self._sub.setsockopt(zmq.SUBSCRIBE, self._probe_frame)
        for topic in ALWAYS:
            self._sub.setsockopt(zmq.SUBSCRIBE, topic_frame(topic))
        self.subscribe(*topics)

    @classmethod
    def open(
        cls,
        name: str,
        topics: tuple[str, ...] | list[str] = (),
        *,
        settings: BusSettings | None = None,
        register: bool = False,
        wait_s: float = 5.0,
    ) -> Bus:
        """Connect and wait until the road through the broker is open, so that no first message is lost.

        `name` is the source that others see; with `register` it also receives the commands of that name.
        BusError when no broker answers within `wait_s` or the name is held by a living process.
        """
        settings = settings or load_settings().bus
        try:
            check_addresses(settings)
        except AddressError as error:
            raise BusError(str(error)) from None
        bus = cls(name, settings, tuple(topics))
        try:
            bus._connect(register, wait_s)
        except BaseException:
            bus.close(linger_ms=0)
            raise
        return bus

    def __enter__(self) -> Bus:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def gaps(self) -> dict[str, int]:
        """`source/topic` -> events of subscribed topics that are known to be lost."""
        return self._events.tracker.gaps

    @property
    def malformed(self) -> int:
        """Messages dropped because they did not follow the protocol."""
        return self._events.malformed

    @property
    def last_seq(self) -> dict[str, int]:
        """Topic -> number of the last event published on it."""
        return self._events.last_seq

    def close(self, linger_ms: int = 200) -> None:
        """Send what is still queued, for at most `linger_ms`, and disconnect."""
        self._wake_in.close()
        self._wake_out.close()
        self._context.destroy(linger=linger_ms)

    # -- events -----------------------------------------------------------------------------------------

    def publish(self, topic: str, event: Event, cause: str | None = None) -> str:
        """Send an event; returns its id. Never waits: overload shows as gaps at the reader."""
        message_id, frames = self._events.encode(topic, event, cause)
        send = self._pub.send  # frame by frame: send_multipart takes three times as long
        send(frames[0], _MORE)
        send(frames[1], _MORE)
        send(frames[2], _NOBLOCK)
        return message_id

    def subscribe(self, *topics: str) -> None:
        """Read these topics; a name that ends with `.` takes all topics that start with it."""
        for topic in topics:
            named = [
                name for name in TOPICS if name == topic or (topic[-1:] == "." and name.startswith(topic))
            ]
            if not named:
                raise BusError(f"There is no topic {topic!r}: known are {', '.join(TOPICS)}.")
            for name in named:
                if name not in self._events.topics:
                    self._events.topics.add(name)
                    if name not in ALWAYS:
                        self._sub.setsockopt(zmq.SUBSCRIBE, topic_frame(name))

    def snapshot(self) -> list[Message]:
        """State and endings of the subscribed topics as they are now, oldest first.

        Live events that this covers are not yielded again by `poll`. Raises CommandError.
        """
        topics = sorted(self._events.topics)
        if not topics:
            return []
        reply = self.request(Snapshot(topics=topics))
        assert isinstance(reply, SnapshotReply)
        return self._events.read_snapshot(reply.messages)

    def poll(self, timeout_s: float = 0.0) -> list[Message | SourceLost]:
        """Wait up to `timeout_s`, obey commands, deliver replies; returns the events that arrived."""
        if threading.get_ident() != self._thread:
            raise RuntimeError("A Bus belongs to the thread that opened it; use wake() from others.")
        wait_s = 0.0 if self._commands.waiting else min(timeout_s, self._next_due() - time.monotonic())
        # Only what is ready is read: an empty socket answers with an exception, which takes 20 microseconds.
        ready = {reader for reader, _ in self._poller.poll(_milliseconds(wait_s))}
        if self._wake_out.fileno() in ready:
            self._drain_wake()
        if self._dealer in ready:
            self._drain_commands()
        self._commands.obey_waiting()
        found = self._drain_events() if self._sub in ready else []
        self._keep_alive(time.monotonic())
        return found

    def obey(self) -> None:
        """Obey the commands that have arrived, in the middle of work that one of them may end."""
        if int(self._dealer.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
            self._drain_commands()
        self._commands.obey_waiting()

    def events(self, timeout_s: float | None = None, *, lost: bool = False) -> Iterator[Any]:
        """Messages as they come, for ever or until none came for `timeout_s`; SourceLost too if `lost`."""
        heard_at = time.monotonic()
        while timeout_s is None or time.monotonic() - heard_at < timeout_s:
            for item in self.poll(BEAT_S if timeout_s is None else min(BEAT_S, timeout_s)):
                if lost or isinstance(item, Message):
                    heard_at = time.monotonic()
                    yield item

    def wake(self) -> None:
        """Make a running `poll` return now. The one call that other threads may make."""
        try:
            self._wake_in.send(b"!")
        except OSError:  # full: a wake-up is already waiting; closed: nobody is left to wake
            return

    # -- commands ---------------------------------------------------------------------------------------

    def handle(
        self, command: type[AnyCommand], handler: Callable[[AnyCommand, Request], Reply | None]
    ) -> None:
        """Obey a command with `handler`, which returns the reply or raises Refused with one sentence."""
        if command.owner not in ("*", self.name):
            raise ValueError(f"{command.wire_name} belongs to {command.owner}, not to {self.name}")
        self._commands.handlers[command.wire_name] = handler

    def ask(self, command: Command, then: Then, timeout_s: float = 2.0, target: str | None = None) -> Pending:
        """Send a command; `then` gets its reply or a CommandError from a later `poll`."""
        owner = target or command.owner
        if owner == "*":
            raise ValueError(f"{command.wire_name} needs a target")
        return self._commands.ask(owner, command.wire_name, command.__dict__, then, timeout_s, type(command))

    def request(self, command: Command, timeout_s: float = 2.0, target: str | None = None) -> Reply:
        """Send a command and wait for its reply; CommandError when it is refused or nobody answers.

        Events and commands that arrive meanwhile wait for the next `poll`.
        """
        result = self._settle(self.ask(command, lambda _: None, timeout_s, target))
        if isinstance(result, CommandError):
            raise result
        return result

    # -- inside -----------------------------------------------------------------------------------------

    def _socket(self, kind: int, address: str) -> zmq.Socket[bytes]:
        made: zmq.Socket[bytes] = self._context.socket(kind)
        made.setsockopt(zmq.SNDHWM, HIGH_WATER_MARK)
        made.setsockopt(zmq.RCVHWM, HIGH_WATER_MARK)
        made.setsockopt(zmq.RECONNECT_IVL, 20)
        made.setsockopt(zmq.RECONNECT_IVL_MAX, 200)
        if kind == zmq.DEALER:  # a secret part: whoever knows an identity could take its place
            made.setsockopt(zmq.ROUTING_ID, self.session.encode() + secrets.token_bytes(8))
        if self.settings.keys_dir:
            folder = Path(self.settings.keys_dir)
            made.curve_serverkey = zmq.auth.load_certificate(folder / "server.key")[0]
            public, secret = zmq.auth.load_certificate(folder / "client.key_secret")
            made.curve_publickey, made.curve_secretkey = public, secret or b""
        made.connect(address)
        return made

    def _connect(self, register: bool, wait_s: float) -> None:
        deadline = time.monotonic() + wait_s
        while not self.connected:
            now = time.monotonic()
            if now > deadline:
                raise BusError(
                    f"No bus answers at {self.settings.publish}: start Akane with `python launcher.py`, "
                    "or set AKANE_BUS_PUBLISH, AKANE_BUS_SUBSCRIBE and AKANE_BUS_COMMANDS to where it runs."
                )
            self._probe(now)
            self._poller.poll(_milliseconds(PROBE_S))
            self._drain_events()
        self._settle(self._ask_broker("bus.beat", wait_s))  # the command road is then known to be open too
        self._next_beat = time.monotonic() + BEAT_S
        if register:
            self._register(deadline)

    def _register(self, deadline: float) -> None:
        """Take the name; while another living process holds it, wait for it to leave."""
        while True:
            result = self._settle(self._ask_broker("bus.register", 1.0, name=self.name))
            if not isinstance(result, CommandError):
                self._registered = True
                return
            if result.code != "name_taken" or time.monotonic() > deadline:
                raise BusError(str(result))
            self._dealer.poll(100)

    def _settle(self, pending: Pending) -> Reply | CommandError:
        while pending.result is None:
            self._dealer.poll(_milliseconds(pending.due() - time.monotonic()))
            self._drain_commands()
            self._commands.expire()
        return pending.result

    def _ask_broker(self, kind: str, timeout_s: float, **fields: Any) -> Pending:
        return self._commands.ask("bus", kind, fields, lambda _: None, timeout_s)

    def _next_due(self) -> float:
        due = self._next_beat if self.connected else min(self._next_beat, self._next_probe)
        command_due = self._commands.next_due()
        return due if command_due is None else min(due, command_due)

    def _keep_alive(self, now: float) -> None:
        self._commands.expire()
        if not self.connected:
            self._probe(now)
        if now >= self._next_beat:
            self._next_beat = now + BEAT_S
            self._ask_broker("bus.beat", BEAT_S)

    def _probe(self, now: float) -> None:
        if now >= self._next_probe:
            self._next_probe = now + PROBE_S
            head = header("Probe", self.name, self.session, seq=0)
            frames = [self._probe_frame, msgpack.packb(head), pack(Probe(nonce=self.session))]
            self._pub.send_multipart(frames, zmq.NOBLOCK)

    def _drain_wake(self) -> None:
        try:
            while self._wake_out.recv(4096):
                pass
        except BlockingIOError:
            return

    def _drain_events(self) -> list[Message | SourceLost]:
        found: list[Message | SourceLost] = []
        receive, read = self._sub.recv_multipart, self._events.read
        for _ in range(MAX_DRAIN):
            try:
                frames = receive(_NOBLOCK)
            except zmq.Again:
                break
            if frames[0] == self._probe_frame:
                self._heard_probe()
            else:
                read(frames, found)
        return found

    def _heard_probe(self) -> None:
        if not self.connected:
            self.connected = True
            for frames in self._events.own():
                self._pub.send_multipart(frames, zmq.NOBLOCK)

    def _broker_answered(self, session: str) -> None:
        """A restarted broker knows nothing: register, find the road again, then publish state again."""
        if self._broker_session not in (None, session):
            self.connected = False
            if self._registered:
                self._ask_broker("bus.register", BEAT_S, name=self.name)
        self._broker_session = session

    def _send_command(self, frames: list[bytes]) -> None:
        try:
            self._dealer.send_multipart(frames, zmq.NOBLOCK)
        except zmq.Again:  # the broker has been away for a long time: the request runs into its deadline
            return

    def _drain_commands(self) -> None:
        while True:
            try:
                self._commands.receive(self._dealer.recv_multipart(zmq.NOBLOCK))
            except zmq.Again:
                return


def _milliseconds(seconds: float) -> int:
    return max(0, math.ceil(seconds * 1000))
