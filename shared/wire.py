"""Frames on the wire: topic, header and payload; `docs/protocol.md` is the normative text of this file."""

from __future__ import annotations

import secrets
import socket
import time
from dataclasses import dataclass
from typing import Any

import msgpack
from pydantic import BaseModel, ValidationError

from shared.events import Event
from shared.topics import TOPICS

WIRE_VERSION = 1
MAX_MESSAGE_BYTES = 1_048_576
"""Larger messages are refused by readers: nothing on this bus is that big."""

REPLY_FRAME = b"<"
"""First frame of what comes back to a requester."""
ROUTE_MARK = b">"
"""Starts the first frame of a request on its way to a service: the road that its reply takes back."""

HOST = socket.gethostname()


class WireError(Exception):
    """One sentence: what is wrong with a message that arrived."""


def new_session() -> str:
    """Id of one life of one process; a later one of the same source sorts after an earlier one."""
    return f"{time.time_ns() // 1_000_000:012x}-{secrets.token_hex(4)}"


def topic_frame(name: str) -> bytes:
    """The first frame; ends with a zero byte so that `llm.token` never matches `llm.tokens`."""
    return name.encode() + b"\0"


@dataclass(slots=True, eq=False)
class Message:
    """An event as it arrived; treat it as read-only (not frozen: that costs 1 us on the hottest path)."""

    topic: str
    payload: Any
    """The topic's event model (`shared/topics.py`), validated."""
    source: str
    session: str
    seq: int
    """Counts 0, 1, 2, … per source session and topic; a hole is a lost event."""
    host: str
    ts: int
    """Wall clock of the sender, nanoseconds, for people."""
    mono: int
    """Monotonic clock of the sender, nanoseconds; compares only under equal `host`."""
    cause: str | None = None
    """Id of the message that made the sender publish this one."""

    @property
    def id(self) -> str:
        """`session/topic/seq`, unique for ever."""
        return f"{self.session}/{self.topic}/{self.seq}"


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.__dict__
    raise TypeError(f"{type(value).__name__} has no form on the wire")


def pack(value: Any) -> bytes:
    """msgpack of plain values and (nested) models."""
    return msgpack.packb(value, default=_plain)


def pack_model(model: BaseModel) -> bytes:
    """msgpack map of a model's fields."""
    return msgpack.packb(model.__dict__, default=_plain)


def unpack_map(raw: bytes, what: str) -> dict[str, Any]:
    """A msgpack map with text keys; WireError says what is wrong otherwise."""
    if len(raw) > MAX_MESSAGE_BYTES:
        raise WireError(f"A {what} of {len(raw)} bytes is over the limit of {MAX_MESSAGE_BYTES}.")
    try:
        value = msgpack.unpackb(raw)
    except Exception as error:  # msgpack raises many types, ValueError to StackError
        raise WireError(f"A {what} is not valid msgpack ({type(error).__name__}).") from None
    if not isinstance(value, dict):
        raise WireError(f"A {what} must be a msgpack map, not {type(value).__name__}.")
    return value


def header(kind: str, source: str, session: str, **fields: Any) -> dict[str, Any]:
    """The fields every header has, stamped now; `fields` adds those of its kind."""
    return {
        "v": WIRE_VERSION,
        "type": kind,
        "source": source,
        "session": session,
        "host": HOST,
        "ts": time.time_ns(),
        "mono": time.monotonic_ns(),
        **fields,
    }


def check_version(head: dict[str, Any]) -> None:
    """Refuse a header of another wire version with a sentence that names both."""
    if head.get("v") != WIRE_VERSION:
        raise WireError(
            f"{head.get('source', 'A sender')!s} speaks wire version {head.get('v')!r}, this program speaks "
            f"{WIRE_VERSION}: run the same release of Akane on both sides."
        )


_DECODERS = {topic_frame(name): (name, topic.event.model_validate) for name, topic in TOPICS.items()}


def decode_event(frames: list[bytes]) -> Message:
    """Three frames of the bus -> Message; WireError for anything that does not follow the protocol."""
    if len(frames) != 3:
        raise WireError(f"A message has {len(frames)} frames instead of 3.")
    decoder = _DECODERS.get(frames[0])
    if decoder is None:
        raise WireError(f"Unknown topic {frames[0][:64]!r}.")
    name, validate = decoder
    head = unpack_map(frames[1], "header")
    if head.get("v") != WIRE_VERSION:
        check_version(head)
    try:
        return Message(
            name,
            validate(unpack_map(frames[2], "payload")),
            head["source"],
            head["session"],
            head["seq"],
            head["host"],
            head["ts"],
            head["mono"],
            head.get("cause"),
        )
    except KeyError as error:
        raise WireError(f"The header of a {name} lacks {error}.") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise WireError(f"The payload of a {name} is wrong at {first['loc']}: {first['msg']}.") from None


def encode_event(topic: str, event: Event, head: dict[str, Any]) -> list[bytes]:
    """Event -> three frames."""
    return [topic_frame(topic), msgpack.packb(head), msgpack.packb(event.__dict__, default=_plain)]
