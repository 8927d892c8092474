"""The broker: libzmq's own proxy carries the events, one Python loop retains state and routes commands."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import Any

import msgpack
import zmq
import zmq.auth
from zmq.auth.thread import ThreadAuthenticator

from shared.config import BusSettings
from shared.endpoints import AddressError, busy_sentence, check_addresses, port_of
from shared.retained import RETAINED_TOPICS, Retained
from shared.wire import (
    REPLY_FRAME,
    ROUTE_MARK,
    WireError,
    check_version,
    header,
    new_session,
    topic_frame,
    unpack_map,
)

log = logging.getLogger(__name__)

HIGH_WATER_MARK = 100_000
"""Messages a socket holds for a slow peer before it drops; 30 MB at the usual size."""
NAME_HELD_S = 3.0
"""A name is refused to others while its holder is connected and beat within this time."""
SILENT_S = 10.0
"""A command to a service that has not beaten for this long is refused at once."""


class Holder:
    """The process that has registered a service name."""

    __slots__ = ("beat_at", "identity", "session")

    def __init__(self, identity: bytes, session: str, beat_at: float) -> None:
        self.identity = identity
        self.session = session
        self.beat_at = beat_at


class Broker:
    """Binds the three addresses of `settings` (port `*` picks a free one) and serves until `close`.

    Why the events do not pass through Python: the proxy adds no latency of its own and holds no lock. What
    must be retained reaches the Python loop over an inproc subscription, in the order in which the proxy sent
    it, so a snapshot asked for after a probe came back holds all that was sent before one's subscription.
    Raises AddressError when an address is taken or unsafe.
    """

    def __init__(self, settings: BusSettings) -> None:
        check_addresses(settings)
        self.session = new_session()
        self._context = zmq.Context()
        self._auth = self._authenticator(settings)
        inproc = f"inproc://retain-{self.session}"
        self._events_in = self._socket(zmq.XSUB, settings)
        self._events_out = self._socket(zmq.XPUB, settings)
        self._router = self._socket(zmq.ROUTER, settings)
        self._router.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._router.setsockopt(zmq.ROUTER_HANDOVER, 1)  # identities are sessions: nobody else can know one
        try:
            self.settings = BusSettings(
                publish=_bind(self._events_in, settings.publish),
                subscribe=_bind(self._events_out, settings.subscribe),
                commands=_bind(self._router, settings.commands),
                keys_dir=settings.keys_dir,
            )
        except AddressError:
            if self._auth:
                self._auth.stop()
            self._context.destroy(linger=0)
            raise
        self._events_out.bind(inproc)
        self._retain = self._context.socket(zmq.SUB)
        self._retain.setsockopt(zmq.RCVHWM, HIGH_WATER_MARK)
        for topic in RETAINED_TOPICS:
            self._retain.setsockopt(zmq.SUBSCRIBE, topic_frame(topic))
        self._retain.connect(inproc)
        self._retained = Retained()
        self._holders: dict[str, Holder] = {}
        self._threads = [
            threading.Thread(target=self._proxy, name="bus-proxy", daemon=True),
            threading.Thread(target=self._serve, name="bus-commands", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop both threads and free the addresses."""
        if self._auth:
            self._auth.stop()
        self._context.term()  # both threads get ContextTerminated and close their sockets
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> Broker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _authenticator(self, settings: BusSettings) -> ThreadAuthenticator | None:
        if not settings.keys_dir:
            return None
        auth = ThreadAuthenticator(self._context)
        auth.start()
        auth.configure_curve(domain="*", location=str(Path(settings.keys_dir) / "clients"))
        return auth

    def _socket(self, kind: int, settings: BusSettings) -> zmq.Socket[bytes]:
        socket = self._context.socket(kind)
        socket.setsockopt(zmq.SNDHWM, HIGH_WATER_MARK)
        socket.setsockopt(zmq.RCVHWM, HIGH_WATER_MARK)
        socket.setsockopt(zmq.LINGER, 0)
        if settings.keys_dir:
            public, secret = zmq.auth.load_certificate(Path(settings.keys_dir) / "server.key_secret")
            socket.curve_server = True
            socket.curve_publickey, socket.curve_secretkey = public, secret or b""
        return socket

    def _proxy(self) -> None:
        try:
            zmq.proxy(self._events_in, self._events_out)
        except zmq.ContextTerminated:
            pass
        finally:
            self._events_in.close(0)
            self._events_out.close(0)

    def _serve(self) -> None:
        poller = zmq.Poller()
        poller.register(self._retain, zmq.POLLIN)
        poller.register(self._router, zmq.POLLIN)
        try:
            while True:
                poller.poll()
                self._drain_retained()
                while self._router.poll(0):
                    self._route(self._router.recv_multipart(zmq.NOBLOCK))
        except zmq.ContextTerminated:
            pass
        finally:
            self._retain.close(0)
            self._router.close(0)

    def _drain_retained(self) -> None:
        while self._retain.poll(0):
            frames = self._retain.recv_multipart(zmq.NOBLOCK)
            try:
                if len(frames) != 3:
                    raise WireError(f"A message has {len(frames)} frames instead of 3.")
                self._retained.put(frames[0][:-1].decode(), frames[1], frames[2])
            except WireError as error:
                log.warning("not retained: %s", error)

    def _route(self, frames: list[bytes]) -> None:
        if len(frames) != 4:
            log.warning("a command with %d frames instead of 4 was dropped", len(frames))
            return
        sender, target, raw_header, payload = frames
        if target.startswith(ROUTE_MARK):  # a service answers the requester whose route it was given
            self._send([target[1:], REPLY_FRAME, raw_header, payload])
            return
        try:
            head = unpack_map(raw_header, "header")
        except WireError as error:
            log.warning("a command was dropped: %s", error)
            return
        try:
            check_version(head)
            self._obey(sender, target.rstrip(b"\0").decode("utf-8", "replace"), head, raw_header, payload)
        except WireError as error:
            self._reply(sender, head, ok=False, code="wire", error=str(error))

    def _obey(
        self, sender: bytes, target: str, head: dict[str, Any], raw_header: bytes, payload: bytes
    ) -> None:
        kind = head.get("type")
        now = time.monotonic()
        if kind == "bus.beat":
            for holder in self._holders.values():
                if holder.identity == sender:
                    holder.beat_at = now
            self._reply(sender, head, ok=True)
        elif kind == "bus.register":
            self._register(sender, head, unpack_map(payload, "payload"), now)
        elif kind == "bus.snapshot":
            self._drain_retained()
            topics = unpack_map(payload, "payload").get("topics", [])
            if not (isinstance(topics, list) and all(isinstance(topic, str) for topic in topics)):
                raise WireError("bus.snapshot takes topics as a list of texts.")
            self._reply(sender, head, ok=True, data={"messages": self._retained.snapshot(topics)})
        elif kind == "bus.forget":
            fields = unpack_map(payload, "payload")
            self._drain_retained()
            self._retained.forget(str(fields.get("source")), str(fields.get("session")))
            self._reply(sender, head, ok=True)
        else:
            self._forward(sender, target, head, raw_header, payload, now)

    def _register(self, sender: bytes, head: dict[str, Any], fields: dict[str, Any], now: float) -> None:
        name, session = fields.get("name"), head.get("session")
        if not (isinstance(name, str) and 0 < len(name) <= 64 and isinstance(session, str)):
            raise WireError("bus.register takes a name of 1 to 64 characters.")
        holder = self._holders.get(name)
        if holder and holder.identity != sender and now - holder.beat_at < NAME_HELD_S:
            ping = msgpack.packb(header("bus.ping", "bus", self.session))
            if self._send([holder.identity, REPLY_FRAME, ping, b"\x80"]):
                error = f"The name {name!r} is held by another process that is alive: stop it first."
                self._reply(sender, head, ok=False, code="name_taken", error=error)
                return
        self._holders[name] = Holder(sender, session, now)
        self._reply(sender, head, ok=True)

    def _forward(
        self, sender: bytes, target: str, head: dict[str, Any], raw_header: bytes, payload: bytes, now: float
    ) -> None:
        holder = self._holders.get(target)
        if holder is None:
            error = f"No service is registered as {target!r}."
            self._reply(sender, head, ok=False, code="no_such_service", error=error)
        elif now - holder.beat_at > SILENT_S:
            error = f"The service {target!r} has not been heard for {now - holder.beat_at:.0f} s."
            self._reply(sender, head, ok=False, code="silent", error=error)
        elif not self._send([holder.identity, ROUTE_MARK + sender, raw_header, payload]):
            del self._holders[target]
            error = f"The service {target!r} is gone."
            self._reply(sender, head, ok=False, code="unreachable", error=error)

    def _reply(self, to: bytes, request: dict[str, Any], **fields: Any) -> None:
        head = header("reply", "bus", self.session, id=request.get("id"))
        self._send([to, REPLY_FRAME, msgpack.packb(head), msgpack.packb(fields)])

    def _send(self, frames: list[bytes]) -> bool:
        """False when the peer is gone or does not read: the broker itself never waits for anybody."""
        try:
            self._router.send_multipart(frames, zmq.NOBLOCK)
        except zmq.ContextTerminated:
            raise
        except zmq.ZMQError:
            return False
        return True


def _bind(socket: zmq.Socket[bytes], address: str) -> str:
    try:
        socket.bind(address)
    except zmq.ZMQError as error:
        if error.errno == zmq.EADDRINUSE:
            raise AddressError(busy_sentence(address)) from None
        raise AddressError(f"The address {address} cannot be used: {error.strerror}.") from None
    if port_of(address) is None and address.startswith("tcp://"):
        return socket.getsockopt_string(zmq.LAST_ENDPOINT)
    return address


def make_keys(folder: Path) -> None:
    """Write a CURVE key pair for the broker and one for its clients; the client's public key is let in."""
    clients = folder / "clients"
    clients.mkdir(parents=True, exist_ok=True)
    zmq.auth.create_certificates(folder, "server")
    public, _ = zmq.auth.create_certificates(folder, "client")
    (clients / "client.key").write_bytes(Path(public).read_bytes())
    for secret in folder.glob("*.key_secret"):
        secret.chmod(0o600)
