"""Messages between the service and its engine child: msgpack maps behind a four-byte length, over a pipe."""

from __future__ import annotations

import struct
from typing import IO, Any

import msgpack

_LENGTH = struct.Struct("<I")
MAX_BYTES = 64 * 1024 * 1024
"""Twenty minutes of PCM; a longer length means that something else wrote to the pipe."""


def write_message(stream: IO[bytes], message: dict[str, Any]) -> None:
    """Send one message at once. OSError or ValueError when the other end is gone."""
    body = msgpack.packb(message, use_bin_type=True)
    stream.write(_LENGTH.pack(len(body)) + body)
    stream.flush()


def read_message(stream: IO[bytes]) -> dict[str, Any] | None:
    """The next message; None at the end of the pipe, also when it ends or is garbled within a message."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > MAX_BYTES:
        return None
    body = stream.read(length)
    if len(body) < length:
        return None
    try:
        message = msgpack.unpackb(body, raw=False)
    except ValueError:
        return None
    return message if isinstance(message, dict) else None
