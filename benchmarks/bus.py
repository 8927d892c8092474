"""Typed events through the broker beside raw pyzmq through a C proxy: latency at 1,000/s, and events/s."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import zmq

from benchmarks.figures import Figure, percentile
from shared.bus import Bus
from shared.config import BusSettings

LATENCY_HZ, LATENCY_COUNT = 1_000, 3_000
ROUNDS = 5
THROUGHPUT_COUNT = 200_000
RATES_HZ = (60_000, 70_000, 80_000, 90_000, 100_000, 120_000, 140_000, 170_000, 200_000)


@dataclass(frozen=True)
class Measured:
    """One run of a publisher and a subscriber."""

    received: int
    rate_hz: float
    p50_us: float
    p99_us: float


def _peer(role: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.bus_peers", role, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def free_ports(count: int) -> list[str]:
    """Loopback addresses that nobody holds at the moment."""
    context = zmq.Context()
    sockets = [context.socket(zmq.PUB) for _ in range(count)]
    found = [f"tcp://127.0.0.1:{socket.bind_to_random_port('tcp://127.0.0.1')}" for socket in sockets]
    context.destroy(linger=0)
    return found


@contextmanager
def _typed_broker() -> Iterator[str]:
    publish, subscribe, commands = free_ports(3)
    settings = BusSettings(publish=publish, subscribe=subscribe, commands=commands)
    sets = [f"--set=bus.{key}={getattr(settings, key)}" for key in ("publish", "subscribe", "commands")]
    process = subprocess.Popen([sys.executable, "-m", "services.bus", *sets], stderr=subprocess.DEVNULL)
    try:
        Bus.open("bench", settings=settings, wait_s=20).close()
        yield settings.model_dump_json()
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _raw_broker() -> Iterator[tuple[str, str]]:
    front, back = free_ports(2)
    process = _peer("raw_proxy", front, back)
    try:
        yield front, back
    finally:
        process.kill()
        process.wait()


def _run(kind: str, front: str, back: str, rate_hz: float, count: int) -> Measured:
    subscriber = _peer(f"{kind}_subscriber", back, count)
    assert subscriber.stdout is not None
    subscriber.stdout.readline()
    publisher = _peer(f"{kind}_publisher", front, rate_hz, count)
    assert publisher.stdin is not None
    time.sleep(1.0)  # raw pyzmq cannot know when its subscription is through
    publisher.stdin.write("\n")
    publisher.stdin.flush()
    out, _ = subscriber.communicate(timeout=120)
    publisher.wait()
    result = json.loads(out)
    latencies = result["latencies_us"] or [0.0]
    return Measured(
        result["received"], result["rate"], percentile(latencies, 0.5), percentile(latencies, 0.99)
    )


def _best_rate(kind: str, front: str, back: str) -> float:
    """Events/s received at the highest offered rate of which nothing was lost."""
    best = 0.0
    for rate_hz in RATES_HZ:
        measured = _run(kind, front, back, rate_hz, THROUGHPUT_COUNT)
        if measured.received < THROUGHPUT_COUNT:
            break
        if measured.rate_hz < best * 1.02:
            break
        best = measured.rate_hz
    return best


def run() -> list[Figure]:
    """Rounds alternate between the two, so that a machine whose speed drifts drifts for both."""
    with _typed_broker() as settings, _raw_broker() as (front, back):
        typed, raw = [], []
        for _ in range(ROUNDS):
            raw.append(_run("raw", front, back, LATENCY_HZ, LATENCY_COUNT))
            typed.append(_run("typed", settings, settings, LATENCY_HZ, LATENCY_COUNT))
        raw_rate, typed_rate = _best_rate("raw", front, back), _best_rate("typed", settings, settings)
    peer = "raw pyzmq, C proxy"
    p50 = [statistics.median(run.p50_us for run in runs) for runs in (typed, raw)]
    p99 = [statistics.median(run.p99_us for run in runs) for runs in (typed, raw)]
    lost = sum(LATENCY_COUNT - run.received for run in typed)
    return [
        Figure("bus.latency_p50", p50[0], "us", peer, p50[1], "at most 1.5 x raw"),
        Figure("bus.latency_p99", p99[0], "us", peer, p99[1], "at most 2 x raw"),
        Figure("bus.lost_at_1000_hz", lost, "events", target="0"),
        Figure("bus.events_without_gap", typed_rate, "events/s", peer, raw_rate, "60,000, aim 100,000"),
    ]
