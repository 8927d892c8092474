"""Both ends of a command without sockets: what waits for an answer, and what was already obeyed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from shared.commands import COMMANDS, Command, Reply
from shared.wire import WireError

REMEMBERED_REQUESTS = 1_000
"""A receiver answers a request id it has seen from memory instead of obeying twice."""


class Refused(Exception):
    """Raised by a handler: one sentence why it does not obey; the requester gets it, and `code` beside it."""

    def __init__(self, message: str, code: str = "refused") -> None:
        super().__init__(message)
        self.code = code


class CommandError(Exception):
    """A command was not obeyed; `code` says why in one word (docs/protocol.md lists them)."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Request:
    """A command as its handler sees it, beside the command itself."""

    id: str
    source: str
    session: str


Then = Callable[["Reply | CommandError"], None]
Handler = Callable[[Any, Request], "Reply | None"]


@dataclass
class Pending:
    """A request on its way: sent again once at half time, but never to another session of its target."""

    id: str
    target: str
    command: type[Command]
    header: dict[str, Any]
    payload: bytes
    deadline: float
    retry_at: float
    target_session: str | None
    then: Then
    retried: bool = False
    result: Reply | CommandError | None = field(default=None)

    def due(self) -> float:
        """When something is to be done about it: a repetition or giving up."""
        waits_for_retry = not self.retried and self.target_session is not None
        return min(self.retry_at, self.deadline) if waits_for_retry else self.deadline

    def should_retry(self, now: float) -> bool:
        """True once, at half time, if the session that got the first copy is known."""
        return not self.retried and self.target_session is not None and now >= self.retry_at


def parse_reply(command: type[Command], fields: dict[str, Any]) -> Reply | CommandError:
    """Payload of a reply -> the command's reply model, or why it was not obeyed."""
    if not fields.get("ok"):
        return CommandError(str(fields.get("code", "refused")), str(fields.get("error", "refused")))
    try:
        return command.reply.model_validate(fields.get("data") or {})
    except ValidationError:
        return CommandError("wire", f"A reply of {command.__name__} does not follow the protocol.")


def parse_command(kind: str, fields: dict[str, Any]) -> Command:
    """Payload of a request -> its command; WireError names the field that is wrong."""
    model = COMMANDS.get(kind)
    if model is None:
        raise WireError(f"There is no command {kind!r}.")
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "its fields"
        raise WireError(f"{kind} is wrong at {where}: {first['msg'][0].lower()}{first['msg'][1:]}.") from None


class Obeyed:
    """The answers to the last requests, by request id."""

    def __init__(self, size: int = REMEMBERED_REQUESTS) -> None:
        self._answers: OrderedDict[str, bytes] = OrderedDict()
        self._size = size

    def get(self, request_id: str) -> bytes | None:
        """The answer given before, if this request was obeyed already."""
        return self._answers.get(request_id)

    def put(self, request_id: str, answer: bytes) -> None:
        """Remember an answer; the oldest falls out."""
        self._answers[request_id] = answer
        if len(self._answers) > self._size:
            self._answers.popitem(last=False)
