"""The real process: in a pseudo-terminal and in a pipe, on a real broker, with a show in another process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator

import pytest
from conftest import ANY_PORT
from terminal import ROOT, Terminal, bus_arguments

from shared.broker import Broker
from shared.bus import Bus
from shared.commands import ServiceStop, Submit
from shared.config import BusSettings

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")

FakeShow = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def fake_show(broker: BusSettings) -> Iterator[FakeShow]:
    """`fake_show(rate_hz, words)`: another process that answers typed lines."""
    started: list[subprocess.Popen[str]] = []

    def start(rate_hz: float = 100, words: int = 30) -> subprocess.Popen[str]:
        command = [
            sys.executable, "-m", "benchmarks.fake_show", broker.publish, broker.subscribe, broker.commands,
            "--rate-hz", str(rate_hz), "--words", str(words),
        ]  # fmt: skip
        show = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        started.append(show)
        assert show.stdout is not None
        assert show.stdout.readline() == "serving\n"
        return show

    yield start
    for show in started:
        show.kill()
        show.wait()
        show.stdout.close()  # type: ignore[union-attr]


@pytest.fixture
def dashboard(broker: BusSettings) -> Iterator[Callable[..., Terminal]]:
    """`dashboard(columns, rows)`: the process in a pseudo-terminal."""
    opened: list[Terminal] = []

    def start(columns: int = 100, rows: int = 30) -> Terminal:
        terminal = Terminal("services.dashboard", *bus_arguments(broker), columns=columns, rows=rows)
        opened.append(terminal)
        return terminal

    yield start
    for terminal in opened:
        terminal.close()


def plain(broker: BusSettings) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "services.dashboard",
        "--set",
        "dashboard.plain=true",
        *bus_arguments(broker),
    ]
    return subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def assert_restored(terminal: Terminal) -> None:
    """Cooked mode is back, and every mode that was switched on was switched off again later."""
    assert termios.tcgetattr(terminal.child.child_fd)[3] == terminal.modes_before[3]
    for mode in (b"?1049", b"?1000", b"?1003", b"?1006", b"?2004"):
        on, off = terminal.raw.rfind(mode + b"h"), terminal.raw.rfind(mode + b"l")
        assert off > on or on < 0, mode
    assert terminal.raw.rfind(b"?25h") > terminal.raw.rfind(b"?25l"), "the cursor is back"
    assert b"?1049h" in terminal.raw, "it was a full screen at all"


def test_a_typed_line_is_answered_on_the_screen_as_the_tokens_come(
    fake_show: FakeShow, dashboard: Callable[..., Terminal]
) -> None:
    fake_show(rate_hz=40, words=60)
    screen = dashboard()
    screen.shows("fake-135m")
    screen.shows("135 M parameters")
    screen.send("hello there\r")
    first = screen.shows("w1 ")
    assert "w59" not in screen.text, "the end must not be there with the beginning"
    last = screen.shows("w59")
    assert last - first > 0.5, "it came token by token"
    assert "hello there" in screen.text
    screen.send("\x03")
    assert screen.leave() == 0
    assert_restored(screen)


@pytest.mark.parametrize("farewell", ["quit\r", "\x11"])
def test_farewells(fake_show: FakeShow, dashboard: Callable[..., Terminal], farewell: str) -> None:
    fake_show()
    screen = dashboard(80, 24)
    screen.shows("listening")
    screen.send(farewell)
    assert screen.leave() == 0
    assert_restored(screen)


def test_escape_interrupts_and_a_refusal_is_one_sentence(
    fake_show: FakeShow, dashboard: Callable[..., Terminal]
) -> None:
    fake_show(rate_hz=50, words=10_000)
    screen = dashboard()
    screen.shows("fake-135m")
    screen.send("go\r")
    screen.shows("w5 ")
    screen.send("\x18")
    screen.shows("interrupted")
    screen.send("/no\r")
    screen.shows("on the block-list")


def test_input_that_is_away_is_one_sentence_and_the_line_is_kept(
    broker: BusSettings, dashboard: Callable[..., Terminal]
) -> None:
    screen = dashboard()
    screen.shows("no model yet")
    screen.send("anybody?\r")
    screen.shows("input")
    screen.until(lambda: "anybody?" in screen.text.splitlines()[-3])


@pytest.mark.parametrize("how", ["command", "SIGTERM"])
def test_asked_to_leave_it_gives_the_terminal_back(
    broker: BusSettings,
    open_bus: Callable[..., Bus],
    dashboard: Callable[..., Terminal],
    how: str,
) -> None:
    screen = dashboard()
    screen.shows("Akane")
    if how == "command":
        open_bus("launcher").request(ServiceStop(), target="dashboard")
    else:
        os.kill(screen.child.pid, getattr(signal, how))
    assert screen.leave() == 0
    assert_restored(screen)


def test_it_says_that_the_bus_is_away_and_notices_its_return() -> None:
    with Broker(ANY_PORT) as first:
        settings = first.settings
        screen = Terminal("services.dashboard", *bus_arguments(settings))
        screen.shows("no model yet")
    try:
        screen.shows("the bus is away")
        with Broker(settings):
            screen.shows("no model yet")
            screen.send("\x03")
            assert screen.leave() == 0
    finally:
        screen.close()


def test_the_cut_lifeline_ends_it(broker: BusSettings) -> None:
    reader, writer = os.pipe()
    command = [
        sys.executable,
        "-m",
        "services.dashboard",
        "--set",
        "dashboard.plain=true",
        *bus_arguments(broker),
    ]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "AKANE_LIFELINE": str(reader)},
        pass_fds=(reader,),
        stdin=subprocess.DEVNULL,
    ) as child:
        os.close(reader)
        os.close(writer)
        assert child.wait(10) == 0


def test_plain_prints_a_transcript_into_a_pipe(
    broker: BusSettings, open_bus: Callable[..., Bus], fake_show: FakeShow
) -> None:
    fake_show(rate_hz=200, words=5)
    with plain(broker) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert child.stderr.readline() == "Akane: fake-135m, cpu bf16, 135 M parameters\n"
        bus = open_bus("launcher")
        bus.request(Submit(text="hello"))
        assert child.stdout.readline() == "Akane: w0 w1 w2 w3 w4\n"
        stats = "[5 tokens, 200.0 tokens/s, first token 1 ms, elapsed 1.0 s]\n"
        assert child.stdout.readline() == stats
        bus.request(Submit(text="again", author="Mika", channel="script"))
        assert child.stdout.readline() == "Mika: again\n"
        bus.request(ServiceStop(), target="dashboard")
        assert child.stdout.read() == "Akane: w0 w1 w2 w3 w4\n" + stats, "an open turn's end comes first"
        assert child.wait(10) == 0


def test_plain_leaves_quietly_when_nobody_reads(
    broker: BusSettings, open_bus: Callable[..., Bus], fake_show: FakeShow
) -> None:
    fake_show(rate_hz=200, words=3)
    with plain(broker) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stderr.readline()
        child.stdout.close()
        open_bus("launcher").request(Submit(text="hello"))
        assert child.wait(10) == 0
        assert "Error" not in child.stderr.read()


def test_without_a_terminal_it_says_what_to_do(broker: BusSettings) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "services.dashboard", *bus_arguments(broker)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 2
    assert ran.stderr.strip().splitlines() == [
        "dashboard: The screen has no terminal: use --plain or --headless."
    ]
