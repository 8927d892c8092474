"""The model as a service: its rate as the bus sees it, cancelling, joining, starting, and inside a show."""

from __future__ import annotations

import os
import random
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from typing import Any

from benchmarks.bus import free_ports
from benchmarks.dashboard import dashboard_command, in_terminal
from benchmarks.engine import Worker
from benchmarks.figures import Figure, percentile
from benchmarks.running_show import Show, running_show
from shared.bus import Bus, Message
from shared.commands import Cancel, Generate
from shared.config import ROOT, BusSettings, load_toml
from shared.cores import physical_cores
from shared.model.presets import DEFAULT_PRESET

ROUNDS = 5
CANCELS = 100
JOINS = 20
STARTS = 3
TOKENS = 200
KERNEL_TASK = {"context": 60, "tokens": TOKENS}
STORY = "The old fisherman sat down beside the children and told them the whole story of the sea. It began"
WORDS = ("sea", "cat", "tea", "sun", "day", "man", "boy", "dog", "red", "old", "new", "sky", "road", "house")
JOIN_WORDS = 512
"""One token each, behind the one that begins every prompt."""
SAMPLING = load_toml(ROOT / "configs" / "personas" / "akane.toml")["sampling"]
QUESTIONS = ROOT / "benchmarks" / "data" / "show_lines.toml"
TIMEOUT_S = 60.0


class Client:
    """Asks a running llm service and reads the bus like any subscriber."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self._count = 0

    def generate(self, prompt: str, max_tokens: int) -> str:
        """Start a generation with the persona's sampling; returns its id."""
        self._count += 1
        drawn = {key: value for key, value in SAMPLING.items() if key not in ("stop", "max_tokens")}
        name = f"bench-{self._count}"
        command = Generate(generation=name, prompt=prompt, max_tokens=max_tokens, seed=self._count, **drawn)
        self.bus.request(command, timeout_s=10.0)
        return name

    def until(self, done: Callable[[Message], Any]) -> list[tuple[float, Message]]:
        """Messages and when this process had them (monotonic seconds), the one that is `done` the last."""
        seen = []
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            for item in self.bus.poll(0.2):
                if isinstance(item, Message):
                    seen.append((time.monotonic(), item))
                    if done(item):
                        return seen
        raise TimeoutError(f"the llm service said nothing of use within {TIMEOUT_S:.0f} s")


def _reached(generation: str, tokens: int) -> Callable[[Message], bool]:
    """It has that many tokens, or has ended before."""
    return lambda m: _is_end(m, generation) or (_is_token(m, generation) and m.payload.tokens >= tokens)


def _ended(generation: str) -> Callable[[Message], bool]:
    return lambda m: _is_end(m, generation)


def _is_token(message: Message, generation: str) -> bool:
    return message.topic == "llm.token" and message.payload.generation == generation


def _is_end(message: Message, generation: str) -> bool:
    return message.topic == "llm.finished" and message.payload.generation == generation


@contextmanager
def _process(module: str, settings: BusSettings, *flags: str) -> Iterator[subprocess.Popen[bytes]]:
    sets = [f"--set=bus.{key}={getattr(settings, key)}" for key in ("publish", "subscribe", "commands")]
    command = [sys.executable, "-m", module, *sets, *flags]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def _started(bus: Bus, process: subprocess.Popen[bytes]) -> float:
    """Wait until the llm of this process is ready; returns when that was known (monotonic seconds)."""
    seen = Client(bus).until(
        lambda m: (
            m.topic == "sys.health"
            and m.source == "llm"
            and m.payload.pid == process.pid
            and m.payload.phase in ("ready", "degraded")
        )
    )
    return seen[-1][0]


def _starts(bus: Bus, settings: BusSettings) -> Figure:
    seconds: list[float] = []
    for _ in range(STARTS):
        began = time.monotonic()
        with _process("services.llm", settings) as process:
            seconds.append(_started(bus, process) - began)
    return Figure("llm.start_to_ready", statistics.median(seconds), "s", target="at most 3 warm")


def _end_to_end(client: Client) -> tuple[Figure, float]:
    """The figure, and milliseconds between two tokens."""
    threads = physical_cores()
    command = [sys.executable, "-m", "benchmarks.engine_worker", "native", DEFAULT_PRESET]
    kernel = Worker([*command, "2048", str(threads), "1"])
    rates: list[float] = []
    peers: list[float] = []
    try:
        kernel.seconds(KERNEL_TASK)
        for _ in range(ROUNDS):
            peers.append(TOKENS / kernel.seconds(KERNEL_TASK))
            rates.append(_seen_rate(client))
    finally:
        kernel.close()
    rate = statistics.median(rates)
    figure = Figure(
        "llm.end_to_end_rate",
        rate,
        "tokens/s",
        f"greedy kernel alone, {threads} threads",
        statistics.median(peers),
        "at least 0.9 x",
    )
    return figure, 1000 / rate


def _seen_rate(client: Client) -> float:
    """Tokens/s of one sampled generation between the first and the last piece that arrived here."""
    name = client.generate(STORY, TOKENS)
    seen = client.until(_ended(name))
    tokens = [(at, m.payload.tokens) for at, m in seen if _is_token(m, name)]
    (first_s, first), (last_s, last) = tokens[0], tokens[-1]
    return float((last - first) / (last_s - first_s))


def _cancels(client: Client, step_ms: float) -> list[Figure]:
    """What was still published behind the sending of `llm.cancel`, which comes at an uneven moment."""
    chance = random.Random(7)
    late_ms: list[float] = []
    late_steps: list[int] = []
    while len(late_ms) < CANCELS:
        name, wanted = client.generate(STORY, TOKENS), chance.randint(3, 30)
        seen = client.until(_reached(name, wanted))
        if _is_end(seen[-1][1], name):
            continue  # it had nothing more to say
        wait_until = time.monotonic() + chance.uniform(0, step_ms) / 1000
        while time.monotonic() < wait_until:
            pass
        sent_ns = time.monotonic_ns()
        client.bus.request(Cancel(generation=name), timeout_s=10.0)
        seen += client.until(_ended(name))
        tokens = [m for _, m in seen if _is_token(m, name)]
        before = max(m.payload.tokens for m in tokens if m.mono <= sent_ns)
        late_steps.append(tokens[-1].payload.tokens - before)
        late_ms.append(max(0.0, (tokens[-1].mono - sent_ns) / 1e6))
    return [
        Figure("llm.cancel_p99_steps", percentile(late_steps, 0.99), "steps", target="at most 1"),
        Figure("llm.cancel_p99", percentile(late_ms, 0.99), "ms", "one step", step_ms),
    ]


def _joins(client: Client) -> Figure:
    """Longest gap of a running stream while a new prompt joins it, less its usual gap."""
    chance = random.Random(7)
    delays: list[float] = []
    while len(delays) < JOINS:
        running = client.generate(STORY, 800)
        before = client.until(_reached(running, 40))
        joining = client.generate(" ".join(chance.choices(WORDS, k=JOIN_WORDS)), 1)
        during = client.until(_ended(joining))
        ended = any(_is_end(m, running) for _, m in before + during)
        if not ended:
            client.bus.request(Cancel(generation=running), timeout_s=10.0)
            during += client.until(_ended(running))
            usual = statistics.median(_gaps_ms(before, running))
            delays.append(max(_gaps_ms(before[-1:] + during, running)) - usual)
    return Figure("llm.join_delay_p95", percentile(delays, 0.95), "ms", target="at most 50")


def _gaps_ms(seen: list[tuple[float, Message]], generation: str) -> list[float]:
    published = [m.mono / 1e6 for _, m in seen if _is_token(m, generation)]
    return [later - earlier for earlier, later in pairwise(published)]


def _underruns(message: Message) -> bool:
    return message.topic == "sys.health" and message.source == "tts"


def _in_show() -> list[Figure]:
    """Her turns while she speaks, with a terminal drawn and this process reading all that a page would."""
    lines = load_toml(QUESTIONS)["lines"]
    rates: list[float] = []
    with running_show() as show, in_terminal(dashboard_command(show.bus.settings)) as (_, terminal):
        threading.Thread(target=_read_away, args=(terminal,), daemon=True).start()
        for line in lines:
            rates += _turn_rates(show, line)
        detail = show.until(_underruns, 10).payload.detail
    counted = re.search(r"(\d+) underruns?", detail)
    return [
        Figure("llm.rate_in_show", statistics.median(rates), "tokens/s", target="at least 200"),
        Figure("llm.underruns_in_show", float(counted[1]) if counted else 0.0, "underruns", target="0"),
    ]


def _turn_rates(show: Show, line: str) -> list[float]:
    """Tokens/s of the generations of the turn that answers `line`, warm-ups of the cache left out."""
    message_id = show.submit(line)
    rates: list[float] = []

    def done(message: Message) -> bool:
        payload = message.payload
        if message.topic == "llm.finished" and payload.turn is not None and payload.completion_tokens > 5:
            rates.append(payload.tokens_per_s)
        return bool(
            message.topic == "turn.state" and payload.message_id == message_id and payload.phase == "done"
        )

    show.until(done, TIMEOUT_S)
    return rates


def _read_away(terminal: int) -> None:
    with suppress(OSError):  # the terminal was closed
        while os.read(terminal, 65_536):
            pass


def run() -> Iterator[Figure]:
    """The service alone first, then the whole show.

    What is compared with the kernel runs without the adapter, as the kernel does; besides, her adapter would
    end most stories before anything could be measured.
    """
    publish, subscribe, commands = free_ports(3)
    settings = BusSettings(publish=publish, subscribe=subscribe, commands=commands)
    with (
        _process("services.bus", settings),
        Bus.open("bench", ["sys.health", "llm."], settings=settings, wait_s=20) as bus,
    ):
        yield _starts(bus, settings)
        with _process("services.llm", settings, "--set=llm.adapter=") as process:
            _started(bus, process)
            client = Client(bus)
            rate, step_ms = _end_to_end(client)
            yield rate
            yield from _cancels(client, step_ms)
            yield _joins(client)
    yield from _in_show()
