"""The processes of the bus benchmark: raw pyzmq and typed events, each a publisher and a subscriber."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator

import msgpack
import zmq

from shared.bus import Bus, Message
from shared.config import BusSettings
from shared.events import Token

TEXT = "x" * 64
"""Makes a raw event about 150 bytes long."""


def pace(rate_hz: float, count: int) -> Iterator[int]:
    """0 … count-1 at `rate_hz`, in bursts of a millisecond at most."""
    start = time.perf_counter()
    for index in range(count):
        due = start + index / rate_hz
        while time.perf_counter() < due:
            if due - time.perf_counter() > 0.0005:
                time.sleep(0.0002)
        yield index


def raw_proxy(front: str, back: str) -> None:
    """The C proxy that raw pyzmq publishes through."""
    context = zmq.Context()
    sockets = [context.socket(zmq.XSUB), context.socket(zmq.XPUB)]
    for socket, address in zip(sockets, (front, back), strict=True):
        socket.setsockopt(zmq.SNDHWM, 100_000)
        socket.setsockopt(zmq.RCVHWM, 100_000)
        socket.bind(address)
    zmq.proxy(*sockets)


def raw_publisher(front: str, rate_hz: float, count: int) -> None:
    """msgpack maps of 150 bytes behind a topic frame."""
    socket = zmq.Context().socket(zmq.PUB)
    socket.setsockopt(zmq.SNDHWM, 100_000)
    socket.connect(front)
    sys.stdin.readline()
    for index in pace(rate_hz, count):
        event = {
            "generation": "bench",
            "index": index,
            "text": TEXT,
            "tokens": index,
            "mono": time.monotonic_ns(),
        }
        socket.send_multipart([b"llm.token\0", msgpack.packb(event)])
    socket.close(linger=5000)


def raw_subscriber(back: str, count: int) -> None:
    """Latency of each event, microseconds, as JSON on standard output."""
    socket = zmq.Context().socket(zmq.SUB)
    socket.setsockopt(zmq.RCVHWM, 100_000)
    socket.setsockopt(zmq.SUBSCRIBE, b"llm.token\0")
    socket.setsockopt(zmq.RCVTIMEO, 3000)
    socket.connect(back)
    print("ready", flush=True)

    def receive() -> list[tuple[int, int]]:
        event = msgpack.unpackb(socket.recv_multipart()[1])
        return [(event["index"], event["mono"])]

    _report(receive, count)


def typed_publisher(settings: str, rate_hz: float, count: int) -> None:
    """`llm.token` events by the Bus."""
    with Bus.open("llm", settings=BusSettings.model_validate_json(settings)) as bus:
        sys.stdin.readline()
        for index in pace(rate_hz, count):
            bus.publish("llm.token", Token(generation="bench", index=index, text=TEXT, tokens=index))
        bus.close(linger_ms=5000)


def typed_subscriber(settings: str, count: int) -> None:
    """The same by the Bus, validated models with gaps counted."""
    with Bus.open("bench", ["llm.token"], settings=BusSettings.model_validate_json(settings)) as bus:
        print("ready", flush=True)

        def receive() -> list[tuple[int, int]]:
            deadline = time.monotonic() + 3.0
            while time.monotonic() < deadline:
                items = [item for item in bus.poll(1.0) if isinstance(item, Message)]
                if items:
                    return [(item.payload.index, item.mono) for item in items]
            raise zmq.Again

        _report(receive, count)


def _report(receive: Callable[[], list[tuple[int, int]]], count: int) -> None:
    latencies: list[float] = []
    first = last = 0.0
    index = -1
    while index < count - 1:
        try:
            batch = receive()
        except zmq.Again:
            break
        now = time.monotonic_ns()
        first = first or now / 1e9
        latencies += [(now - mono) / 1000 for _, mono in batch]
        index = batch[-1][0]
        last = now / 1e9
    rate = (len(latencies) - 1) / (last - first) if last > first else 0.0
    print(
        json.dumps(
            {
                "received": len(latencies),
                "rate": rate,
                "latencies_us": latencies[:: max(1, len(latencies) // 20_000)],
            }
        )
    )


if __name__ == "__main__":
    role, *arguments = sys.argv[1:]
    if role == "raw_proxy":
        raw_proxy(*arguments)
    elif role.endswith("publisher"):
        globals()[role](arguments[0], float(arguments[1]), int(arguments[2]))
    else:
        globals()[role](arguments[0], int(arguments[1]))
