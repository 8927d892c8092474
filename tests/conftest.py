"""Real sockets for every test: a broker thread on free ports, buses on it, and waiting without sleeping."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shared.broker import Broker
from shared.bus import Bus
from shared.config import BusSettings

# Processes that tests start must not push the logs of real runs out of the checkout's folder.
_LOGS = tempfile.TemporaryDirectory(prefix="akane-logs-", ignore_cleanup_errors=True)
os.environ["AKANE_LAUNCHER_LOG_DIR"] = _LOGS.name
# Nor may they take the port of a show that runs, or make a token in the user's own folder.
os.environ["AKANE_STAGE_PORT"] = "0"
os.environ["AKANE_STATE"] = _LOGS.name

ANY_PORT = BusSettings(
    publish="tcp://127.0.0.1:*", subscribe="tcp://127.0.0.1:*", commands="tcp://127.0.0.1:*"
)

OpenBus = Callable[..., Bus]


@pytest.fixture
def broker() -> Iterator[BusSettings]:
    """Addresses of a broker that runs in threads of this process."""
    with Broker(ANY_PORT) as running:
        yield running.settings


@pytest.fixture
def open_bus(broker: BusSettings) -> Iterator[OpenBus]:
    """`open_bus(name, *topics, register=False)`: a Bus on the test's broker, closed at the end."""
    opened: list[Bus] = []

    def open_one(name: str, *topics: str, register: bool = False) -> Bus:
        bus = Bus.open(name, topics, settings=broker, register=register)
        opened.append(bus)
        return bus

    yield open_one
    for bus in opened:
        bus.close(linger_ms=0)


def until(buses: Bus | list[Bus], done: Callable[[list[Any]], object], timeout_s: float = 5.0) -> list[Any]:
    """Poll `buses` until `done(items so far)` is true; returns all items. Fails after `timeout_s`."""
    polled = [buses] if isinstance(buses, Bus) else buses
    items: list[Any] = []
    deadline = time.monotonic() + timeout_s
    while not done(items):
        assert time.monotonic() < deadline, f"not reached within {timeout_s} s; arrived: {items}"
        for bus in polled:
            items.extend(bus.poll(0.01))
    return items
