"""The messages of obs-websocket 5, rpcVersion 1 (obsproject/obs-websocket, docs/generated/protocol.md)."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any, NamedTuple

RPC_VERSION = 1
HELLO, IDENTIFY, IDENTIFIED, REQUEST, RESPONSE = 0, 1, 2, 6, 7
"""WebSocketOpCode."""
AUTHENTICATION_FAILED, UNSUPPORTED_RPC_VERSION, SESSION_INVALIDATED = 4009, 4010, 4011
"""WebSocketCloseCode; after the last one (the Kick button) a client must not come back by itself."""
NOT_READY, NOT_FOUND = 207, 600
"""RequestStatus."""


class NotObs(Exception):
    """What was received is not obs-websocket 5."""


class Ask(NamedTuple):
    """A request: its type and its data."""

    kind: str
    data: dict[str, Any]


class Answer(NamedTuple):
    """What OBS answered to a request."""

    id: str
    ok: bool
    code: int
    comment: str
    data: dict[str, Any]


def read(frame: str | bytes) -> tuple[int, dict[str, Any]]:
    """A frame -> (op, d). Raises NotObs."""
    try:
        message = json.loads(frame)
        op, data = message["op"], message["d"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise NotObs from None
    if not isinstance(op, int) or not isinstance(data, dict):
        raise NotObs
    return op, data


def authentication(password: str, salt: str, challenge: str) -> str:
    """The answer to the challenge of Hello: base64(sha256(base64(sha256(password + salt)) + challenge))."""
    secret = base64.b64encode(hashlib.sha256((password + salt).encode()).digest())
    return base64.b64encode(hashlib.sha256(secret + challenge.encode()).digest()).decode()


def identify(hello: dict[str, Any], password: str) -> str:
    """The Identify frame that answers a Hello; it subscribes to no events. Raises NotObs."""
    data: dict[str, Any] = {"rpcVersion": RPC_VERSION, "eventSubscriptions": 0}
    if asked := hello.get("authentication"):
        try:
            data["authentication"] = authentication(password, asked["salt"], asked["challenge"])
        except (TypeError, KeyError, AttributeError):
            raise NotObs from None
    return json.dumps({"op": IDENTIFY, "d": data})


def request(ask: Ask, id: str) -> str:
    """The frame of a request."""
    data = {"requestType": ask.kind, "requestId": id, "requestData": ask.data}
    return json.dumps({"op": REQUEST, "d": data})


def answer(data: dict[str, Any]) -> Answer:
    """The `d` of a RequestResponse. Raises NotObs."""
    try:
        status = data["requestStatus"]
        found = data.get("responseData") or {}
        made = Answer(
            data["requestId"], status["result"] is True, status["code"], status.get("comment", ""), found
        )
    except (TypeError, KeyError, AttributeError):
        raise NotObs from None
    if not isinstance(made.data, dict):
        raise NotObs
    return made
