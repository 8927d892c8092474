"""The screen in a real terminal: how it ends, crashes, is suspended, and what it leaves behind."""

from __future__ import annotations

import os
import re
import signal
import sys
import termios
import time

import pyte
import pytest
from real_show import shows

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pseudo terminals are POSIX")

FLAGS = ("--only", "dashboard,input,director")
PROMPT = "ay something to Akane"  # its first letter carries the cursor
ALTERNATE_ON, ALTERNATE_OFF = "\x1b[?1049h", "\x1b[?1049l"
SANE = {
    "alternate screen": (ALTERNATE_ON, ALTERNATE_OFF),
    "mouse": ("\x1b[?1000h", "\x1b[?1000l"),
    "all mouse moves": ("\x1b[?1003h", "\x1b[?1003l"),
    "bracketed paste": ("\x1b[?2004h", "\x1b[?2004l"),
    "focus reports": ("\x1b[?1004h", "\x1b[?1004l"),
    "keyboard protocol": ("\x1b[>25u", "\x1b[<u"),
    "hidden cursor": ("\x1b[?25l", "\x1b[?25h"),
}


@pytest.fixture
def start():
    yield from shows()


def drawn(show):
    """Wait for the screen; returns what it shows."""
    show.until_output(re.escape(ALTERNATE_ON))
    show.until_output(PROMPT)
    return pyte_lines(show)


def pyte_lines(show):
    screen = pyte.Screen(100, 30)
    stream = pyte.Stream(screen)
    stream.feed(re.sub(r"\x1b\[[<>=][^a-z]*[a-z]", "", show.output))
    return screen.display


def assert_sane(show):
    for what, (on, off) in SANE.items():
        assert show.output.rfind(off) >= show.output.rfind(on), f"{what} is still on"
    assert termios.tcgetattr(show.inner) == show.modes, "line editing or echo is still off"


@pytest.mark.parametrize("keys", ["quit\r", "q\r", "\x03"])
def test_typing_quit_or_ctrl_c_ends_it_within_five_seconds_and_leaves_nothing(start, keys):
    show = start(*FLAGS, terminal=True)
    drawn(show)
    show.note_processes()
    begun = time.monotonic()
    show.type(keys)
    assert show.wait(10) == 0
    assert time.monotonic() - begun < 5
    assert show.survivors() == []
    assert_sane(show)


@pytest.mark.parametrize("keys", ["quit\r", "\x03", "\x04"])
def test_plain_in_a_terminal_ends_the_same_way(start, keys):
    show = start("--plain", *FLAGS, terminal=True)
    show.until_ready()
    show.type(keys)
    assert show.wait(10) == 0
    assert show.survivors() == []
    assert ALTERNATE_ON not in show.output
    assert_sane(show)


def test_a_terminal_that_is_closed_ends_the_show(start):
    show = start(*FLAGS, terminal=True)
    drawn(show)
    show.note_processes()
    show.hang_up()
    show.wait(10)
    assert show.survivors() == []


def test_readiness_is_told_before_the_screen_takes_the_terminal(start):
    show = start(*FLAGS, terminal=True)
    drawn(show)
    before = show.output[: show.output.index(ALTERNATE_ON)]
    assert re.search(r"bus +ready in +\d+\.\d s", before)
    assert re.search(r"director +ready in", before)


def test_a_killed_screen_gives_the_terminal_back_and_comes_back(start):
    show = start(*FLAGS, terminal=True)
    drawn(show)
    pid = show.until_ready()["dashboard"].pid
    seen = len(show.output)
    os.kill(pid, signal.SIGKILL)
    show.until_output(r"killed by SIGKILL; it is started again", 10, start=seen)
    show.until_output(re.escape(ALTERNATE_ON), 10, start=seen)
    show.until_output(PROMPT, 10, start=seen)
    show.until_ready("dashboard")
    show.type("quit\r")
    assert show.wait(10) == 0
    assert_sane(show)


def test_a_screen_that_keeps_dying_is_given_up_but_not_the_show(start):
    show = start(*FLAGS, terminal=True)
    drawn(show)
    for _ in range(4):
        pid = show.until_ready("dashboard").get("dashboard").pid
        os.kill(pid, signal.SIGKILL)
        _until_other(show, pid)
    show.until_output(r"python -m services\.dashboard", 10)
    assert show.processes()["input"].state == "ready"
    assert_sane(show)
    os.kill(show.launcher.pid, signal.SIGINT)
    assert show.wait(10) == 0


def test_ctrl_z_suspends_launcher_and_screen_but_not_the_services(start):
    show = start(*FLAGS, terminal=True, shell=True)
    drawn(show)
    rows = show.until_ready()
    seen = len(show.output)
    show.type("\x1a")
    show.until_output("Stopped", 10, start=seen)
    for what, (on, off) in SANE.items():
        assert show.output.rfind(off) >= show.output.rfind(on), f"{what} is still on"
    assert show.processes()["input"].pid == rows["input"].pid
    assert {each.source for each in _after(show)} >= {"bus", "input", "director"}, "the services go on"
    seen = len(show.output)
    show.type("fg\r")
    show.until_output(re.escape(ALTERNATE_ON), 10, start=seen)
    show.type("quit\r")
    show.until_output(re.escape(ALTERNATE_OFF) + ".*bash", 10, start=seen)
    show.type("echo status $?\r")
    show.until_output(r"status 0", 10, start=seen)


def _after(show, seconds=2.5):
    """What comes on the bus from now on."""
    seen, end = len(show.events), time.monotonic() + seconds
    while time.monotonic() < end:
        show.look(0.1)
    return show.events[seen:]


def _until_other(show, pid):
    deadline = time.monotonic() + 15
    while show.processes()["dashboard"].pid == pid:
        assert time.monotonic() < deadline
