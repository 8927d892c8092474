"""One process's end of the command road: asks, retries and times out; obeys each request once. No sockets."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import msgpack

from shared.clock import Clock
from shared.commands import Command
from shared.requests import (
    CommandError,
    Handler,
    Obeyed,
    Pending,
    Refused,
    Reply,
    Request,
    Then,
    parse_command,
    parse_reply,
)
from shared.wire import REPLY_FRAME, WireError, check_version, header, pack, topic_frame, unpack_map

log = logging.getLogger(__name__)


class CommandEnd:
    """Turns calls into frames and frames into calls.

    `send` takes the frames of one message; `session_of` gives the session of a service as last heard, so that
    a request is never repeated to a restarted one; `broker_answered` is told the broker's session.
    """

    def __init__(
        self,
        name: str,
        session: str,
        send: Callable[[list[bytes]], None],
        session_of: Callable[[str], str | None],
        broker_answered: Callable[[str], None],
        clock: Clock = time.monotonic,
    ) -> None:
        self.name = name
        self.session = session
        self.handlers: dict[str, Handler] = {}
        self.waiting: deque[list[bytes]] = deque()
        """Requests that have arrived and are not obeyed yet."""
        self._send = send
        self._session_of = session_of
        self._broker_answered = broker_answered
        self._clock = clock
        self._pending: dict[str, Pending] = {}
        self._obeyed = Obeyed()
        self._count = 0

    def ask(
        self,
        target: str,
        kind: str,
        fields: dict[str, Any],
        then: Then,
        timeout_s: float,
        command: type[Command] = Command,
    ) -> Pending:
        """Send a request; `then` is called with its reply or a CommandError, from `receive` or `expire`."""
        self._count += 1
        now = self._clock()
        request_id = f"{self.session}/{kind}/{self._count}"
        expires = time.time_ns() + int(timeout_s * 1e9)
        head = header(kind, self.name, self.session, id=request_id, expires=expires)
        pending = Pending(
            id=request_id,
            target=target,
            command=command,
            header=head,
            payload=pack(fields),
            deadline=now + timeout_s,
            retry_at=now + timeout_s / 2,
            target_session=self._session_of(target),
            then=then,
        )
        self._pending[request_id] = pending
        self._send([topic_frame(target), msgpack.packb(head), pending.payload])
        return pending

    def receive(self, frames: list[bytes]) -> None:
        """A message from the broker: a reply settles what waits for it, a request waits its turn."""
        if len(frames) != 3:
            return
        if frames[0] != REPLY_FRAME:
            self.waiting.append(frames)
            return
        try:
            head, fields = unpack_map(frames[1], "header"), unpack_map(frames[2], "payload")
        except WireError as error:
            log.warning("a reply was dropped: %s", error)
            return
        if head.get("source") == "bus" and isinstance(head.get("session"), str):
            self._broker_answered(head["session"])
        pending = self._pending.get(str(head.get("id")))
        if pending is not None:
            self._settle(pending, parse_reply(pending.command, fields))

    def obey_waiting(self) -> None:
        """Obey the requests that have arrived, in order."""
        while self.waiting:
            self._obey(*self.waiting.popleft())

    def expire(self) -> None:
        """Repeat what is half through its time, give up what is over it."""
        now = self._clock()
        for pending in list(self._pending.values()):
            if now >= pending.deadline:
                sentence = f"{pending.target} did not answer {pending.header['type']} in time."
                self._settle(pending, CommandError("timeout", sentence))
            elif pending.should_retry(now):
                pending.retried = True
                head = {**pending.header, "only_session": pending.target_session}
                self._send([topic_frame(pending.target), msgpack.packb(head), pending.payload])

    def next_due(self) -> float | None:
        """When `expire` has something to do again; None while nothing is pending."""
        return min((pending.due() for pending in self._pending.values()), default=None)

    def _settle(self, pending: Pending, result: Reply | CommandError) -> None:
        self._pending.pop(pending.id, None)
        pending.result = result
        pending.then(result)

    def _obey(self, route: bytes, raw_header: bytes, raw_payload: bytes) -> None:
        try:
            head = unpack_map(raw_header, "header")
        except WireError as error:
            log.warning("a request was dropped: %s", error)
            return
        request_id = str(head.get("id"))
        answer = self._obeyed.get(request_id)
        if answer is None:
            answer = pack(self._answer(head, raw_payload, request_id))
            self._obeyed.put(request_id, answer)
        reply_head = header("reply", self.name, self.session, id=request_id)
        self._send([route, msgpack.packb(reply_head), answer])

    def _answer(self, head: dict[str, Any], raw_payload: bytes, request_id: str) -> dict[str, Any]:
        kind = str(head.get("type"))
        try:
            check_version(head)
            if isinstance(head.get("expires"), int) and time.time_ns() > head["expires"]:
                return _no("expired", f"{kind} arrived at {self.name} after its time.")
            if head.get("only_session") not in (None, self.session):
                return _no("session_changed", f"{self.name} was restarted since {kind} was sent.")
            command = parse_command(kind, unpack_map(raw_payload, "payload"))
        except WireError as error:
            return _no("invalid", str(error))
        handler = self.handlers.get(kind)
        if handler is None:
            return _no("refused", f"{self.name} does not obey {kind}.")
        request = Request(request_id, str(head.get("source")), str(head.get("session")))
        try:
            reply = handler(command, request)
        except Refused as refusal:
            return _no(refusal.code, str(refusal))
        except Exception:
            log.exception("the handler of %s failed", kind)
            return _no("error", f"{self.name} failed at {kind}: its log says why.")
        return {"ok": True, "data": {} if reply is None else reply}


def _no(code: str, error: str) -> dict[str, Any]:
    return {"ok": False, "code": code, "error": error}
