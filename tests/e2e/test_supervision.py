"""The launcher and its processes: readiness, repair, order at the end; no model is needed for that."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest
from real_show import shows
from waiting import until_true

from shared.bus import CommandError
from shared.commands import Panic, Restart, Say, StopShow

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")

SMALL = ("--headless", "--only", "input,director")


@pytest.fixture
def start():
    yield from shows()


def test_headless_runs_until_it_is_interrupted_and_leaves_nothing(start):
    show = start(*SMALL)
    show.until_ready()
    show.note_processes()
    begun = time.monotonic()
    os.kill(show.launcher.pid, signal.SIGINT)
    assert show.wait(10) == 0
    assert time.monotonic() - begun < 5
    assert len(show._seen) == 3
    assert show.survivors() == []
    assert show.chatter.startswith("bus ")
    assert "input      ready in" in show.chatter


def test_a_command_ends_the_show_and_another_restarts_a_service(start):
    show = start(*SMALL)
    before = show.until_ready()["input"]
    show.bus.request(Restart(service="input"))
    until_new(show, "input", before.pid, 5)
    with pytest.raises(CommandError, match="no service 'nobody'"):
        show.bus.request(Restart(service="nobody"))
    show.bus.request(StopShow())
    assert show.wait(10) == 0
    assert show.survivors() == []


def test_every_killed_service_is_back_within_five_seconds(start):
    show = start(*SMALL)
    rows = show.until_ready()
    for name in ("input", "director", "bus"):
        pid = rows[name].pid
        os.kill(pid, signal.SIGKILL)
        rows = until_new(show, name, pid, 5)
    assert {name: row.restarts for name, row in rows.items()} == {"bus": 1, "input": 1, "director": 1}
    assert "killed by SIGKILL; it is started again" in show.chatter


def test_a_director_that_was_killed_comes_back_muted(start):
    show = start(*SMALL)
    rows = show.until_ready()
    show.bus.request(Panic())
    os.kill(rows["director"].pid, signal.SIGKILL)
    until_new(show, "director", rows["director"].pid, 20)
    show.turn(show.submit("hi Akane"), "done")
    with pytest.raises(CommandError, match="She is muted"):
        show.bus.request(Say(text="Hello."))
    show.bus.request(Panic(muted=False))
    show.bus.request(Say(text="Hello."))


def test_a_stopped_process_is_noticed_killed_and_replaced_and_nobody_else(start):
    shows = {name: start(*SMALL) for name in ("director", "bus")}
    before = {name: show.until_ready() for name, show in shows.items()}
    for name, rows in before.items():
        os.kill(rows[name].pid, signal.SIGSTOP)
    for name, show in shows.items():
        after = until_new(show, name, before[name][name].pid, 18)
        others = {other for other in after if other != name}
        assert {other: after[other].pid for other in others} == {
            other: before[name][other].pid for other in others
        }
        assert "did not answer" in show.chatter


def test_a_killed_launcher_leaves_no_orphan(start):
    show = start(*SMALL)
    show.until_ready()
    show.note_processes()
    os.kill(show.launcher.pid, signal.SIGKILL)
    show.launcher.wait()
    until_true(lambda: not show.survivors(), 8, lambda: "orphans left")


def test_a_second_launcher_is_told_who_holds_the_ports(start):
    show = start(*SMALL)
    show.until_ready()
    second = start("--headless", "--only", "input", *show.ports)
    assert second.wait(20) == 2
    assert len(second.chatter.splitlines()) == 1
    assert f"process {show.processes()['bus'].pid} (" in second.chatter
    assert show.launcher.poll() is None


def test_a_second_interrupt_ends_it_at_once(start):
    show = start(*SMALL)
    rows = show.until_ready()
    show.note_processes()
    os.kill(rows["input"].pid, signal.SIGSTOP)
    os.kill(show.launcher.pid, signal.SIGINT)
    os.kill(show.launcher.pid, signal.SIGTERM)
    begun = time.monotonic()
    show.wait(5)
    assert time.monotonic() - begun < 2
    assert show.survivors() == []


def test_a_deaf_service_does_not_hold_up_the_end(start):
    show = start(*SMALL)
    rows = show.until_ready()
    show.note_processes()
    os.kill(rows["director"].pid, signal.SIGSTOP)
    begun = time.monotonic()
    os.kill(show.launcher.pid, signal.SIGTERM)
    assert show.wait(10) == 0
    assert time.monotonic() - begun < 5.5
    assert show.survivors() == []


@pytest.mark.parametrize(
    ("service", "setting"), [("director", "persona=/nowhere/nobody.toml"), ("tts", "speaker=nobody")]
)
def test_a_service_that_cannot_do_what_is_set_ends_the_show_with_its_sentence_and_log(
    start, service, setting
):
    show = start("--headless", "--only", f"input,{service}", "--set", f"{service}.{setting}")
    assert show.wait(20) == 2
    (line,) = [line for line in show.chatter.splitlines() if "failed" in line]
    assert line.startswith(f"{service} failed: ")
    assert "nobody" in line
    assert f"{service}.log)" in line
    assert show.survivors() == []


def until_new(show, name, old_pid, timeout_s):
    """The processes once `name` is ready as another process."""
    deadline = time.monotonic() + timeout_s
    while True:
        rows = show.processes()
        if rows and rows[name].state == "ready" and rows[name].pid != old_pid:
            return rows
        assert time.monotonic() < deadline, f"{name} is not back: {rows.get(name)} {show.chatter}"
