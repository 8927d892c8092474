"""The terminal through a pseudo-terminal: key to screen while tokens stream, and what drawing costs."""

from __future__ import annotations

import os
import random
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import psutil

from benchmarks.bus import free_ports
from benchmarks.figures import Figure, percentile
from shared.config import ROOT, BusSettings

KEYS = "бгджзийлпфцчшщъыьэюяґєїћљњџѓќѝ"
"""Each appears nowhere else on the screen, so that its bytes in the output are its arrival."""
EMPTY = b"ay something"
"""What an empty input line shows after its cursor."""
BARE_INPUT = """
from textual.app import App
from textual.widgets import Input
class Bare(App):
    def compose(self):
        yield Input(placeholder="say something")
Bare().run()
"""
ROUNDS = 4
COLUMNS, ROWS = 120, 40
TOKENS_PER_S = 600
WORDS = 300


def run() -> list[Figure]:
    """Nothing on Windows, which has no pseudo-terminals of this kind."""
    if sys.platform == "win32":
        return []
    bare_ms: list[float] = []
    latencies_ms: list[float] = []
    with _bus() as settings, in_terminal(dashboard_command(settings)) as (process, master):
        _read_until(master, partial(_has, b"Akane"), 20.0)
        _read_until(master, lambda _: False, 2.0)
        with _fake_show(settings, "--rate-hz", "1"):
            _read_until(master, partial(_has, b"fake-135m"), 20.0)
            idle = _cpu_percent(process.pid, master, 6.0)
        streaming = ("--rate-hz", str(TOKENS_PER_S), "--words", str(WORDS), "--endless")
        with _fake_show(settings, *streaming), in_terminal([sys.executable, "-c", BARE_INPUT]) as (_, bare):
            _read_until(bare, partial(_has, EMPTY), 20.0)
            _read_until(master, partial(_has, b"w9"), 20.0)
            busy = _cpu_percent(process.pid, master, 3.0)
            for _ in range(ROUNDS):
                latencies_ms += _type(master, master)
                bare_ms += _type(bare, master)
    return [
        Figure(
            "dashboard.key_to_screen_p50_ms", percentile(latencies_ms, 0.5), "ms",
            "a lone Textual input beside it", percentile(bare_ms, 0.5),
        ),
        Figure(
            "dashboard.key_to_screen_p95_ms", percentile(latencies_ms, 0.95), "ms",
            "a lone Textual input beside it", percentile(bare_ms, 0.95), "at most 50",
        ),
        Figure("dashboard.cpu_idle", idle, "% of core", target="at most 1"),
        Figure("dashboard.cpu_at_600_tokens_s", busy, "% of core"),
    ]  # fmt: skip


def _type(terminal: int, streaming: int) -> list[float]:
    """Types every key once, at uneven distances, then empties the line; milliseconds from key to screen.

    What streams on the other terminal is read away meanwhile, so that its process never waits for us.
    """
    spacing = random.Random(7)
    latencies_ms = []
    for key in KEYS:
        _read_until(streaming, lambda _: False, spacing.uniform(0.01, 0.07))
        began = time.perf_counter()
        os.write(terminal, key.encode())
        _read_until(terminal, partial(_has, key.encode()), 5.0, streaming)
        latencies_ms.append((time.perf_counter() - began) * 1000)
    os.write(terminal, b"\x15")
    _read_until(terminal, partial(_has, EMPTY), 5.0, streaming)
    return latencies_ms


def _has(wanted: bytes, seen: bytes) -> bool:
    return wanted in seen


def _read_until(
    terminal: int, done: Callable[[bytes], bool], timeout_s: float, other: int | None = None
) -> None:
    """Read a terminal's output until `done(output so far)`, or for `timeout_s`; read `other`'s away."""
    readers = {terminal} if other is None else {terminal, other}
    seen = b""
    deadline = time.monotonic() + timeout_s
    while (left_s := deadline - time.monotonic()) > 0 and not done(seen):
        for ready in select.select(readers, [], [], left_s)[0]:
            data = os.read(ready, 65_536)
            if ready == terminal:
                seen += data


def _cpu_percent(pid: int, master: int, seconds: float) -> float:
    times = psutil.Process(pid).cpu_times
    before = times()
    _read_until(master, lambda _: False, seconds)
    after = times()
    return 100 * (after.user + after.system - before.user - before.system) / seconds


def dashboard_command(settings: BusSettings) -> list[str]:
    """What starts a dashboard on this bus."""
    return [sys.executable, "-m", "services.dashboard", *_addresses(settings)]


@contextmanager
def in_terminal(command: list[str]) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A process in a pseudo-terminal, and the end that a person sits at."""
    import fcntl
    import pty
    import struct
    import termios

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    env = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=env,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    try:
        yield process, master
    finally:
        process.kill()
        process.wait()
        os.close(master)


@contextmanager
def _bus() -> Iterator[BusSettings]:
    publish, subscribe, commands = free_ports(3)
    settings = BusSettings(publish=publish, subscribe=subscribe, commands=commands)
    command = [sys.executable, "-m", "services.bus", *_addresses(settings)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        yield settings
    finally:
        process.terminate()
        process.wait()


def _addresses(settings: BusSettings) -> list[str]:
    return [f"--set=bus.{key}={getattr(settings, key)}" for key in ("publish", "subscribe", "commands")]


@contextmanager
def _fake_show(settings: BusSettings, *flags: str) -> Iterator[None]:
    command = [
        sys.executable,
        "-m",
        "benchmarks.fake_show",
        settings.publish,
        settings.subscribe,
        settings.commands,
    ]
    show = subprocess.Popen([*command, *flags], cwd=ROOT, stdout=subprocess.PIPE)
    assert show.stdout is not None
    try:
        if show.stdout.readline() != b"serving\n":
            raise RuntimeError("the fake show did not start")
        yield
    finally:
        show.kill()
        show.wait()
        show.stdout.close()
