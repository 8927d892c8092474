"""The shell of the supervisor, with real children that misbehave."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from costs import cost_s
from waiting import gone, until_true

from shared.lifecycle import Lifecycle
from shared.process import LIFELINE_ENV, Lifeline, Process, Spec, family, last_line
from shared.runs import KEPT_RUNS, open_run
from shared.supervisor import Supervisor

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and process groups are POSIX")

SAY = "import sys, os, signal; say = lambda text: (sys.stderr.write(text + '\\n'), sys.stderr.flush());"
NODES = {
    "crashes": SAY + "say('the disk is on fire'); sys.exit(3)",
    "bad_config": SAY + 'say(\'{"level": "error", "message": "There is no model x."}\'); sys.exit(2)',
    "hangs": SAY + "say('up'); signal.pause()",
    "ignores_term": SAY
    + "signal.signal(signal.SIGTERM, signal.SIG_IGN); say('up')\nwhile True: signal.pause()",
    "has_child": SAY + "import subprocess; child = subprocess.Popen([sys.executable, '-c',"
    " 'import signal; signal.signal(15, signal.SIG_IGN); signal.pause()']);"
    " say(str(child.pid)); signal.pause()",
    "leaves_child": SAY + "import subprocess; child = subprocess.Popen([sys.executable, '-c',"
    " 'import signal; signal.pause()']); say(str(child.pid))",
    "floods": SAY + "line = 'x' * 1023 + '\\n'\nfor _ in range(102_400): sys.stdout.write(line)\n"
    "sys.stdout.flush(); say('done')",
    "watches_lifeline": SAY + f"say('up'); os.read(int(os.environ['{LIFELINE_ENV}']), 1); sys.exit(0)",
    "reads_stdin": SAY + "say(repr(sys.stdin.read())); sys.exit(0)",
}


@pytest.fixture
def lifeline() -> Iterator[Lifeline]:
    line = Lifeline()
    yield line
    line.close()


@pytest.fixture
def start(tmp_path: Path, lifeline: Lifeline) -> Iterator[Callable[[str], Process]]:
    started: list[Process] = []

    def start(node: str) -> Process:
        spec = Spec(node, (sys.executable, "-c", NODES[node]))
        process = Process(spec, tmp_path / f"{node}.log", lifeline, os.environ)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            until_true(lambda: process.poll() is not None)  # noqa: B023


def test_a_crash_leaves_its_code_and_last_words(start):
    process = start("crashes")
    until_true(lambda: process.poll() is not None)
    assert (process.poll(), process.last_line()) == (3, "the disk is on fire")


def test_last_words_are_those_of_this_start_and_of_a_record_its_message(start):
    first = start("crashes")
    until_true(lambda: first.poll() is not None)
    second = start("crashes")
    assert second.last_line() in ("", "the disk is on fire")
    until_true(lambda: second.poll() is not None)
    process = start("bad_config")
    until_true(lambda: process.poll() is not None)
    assert (process.poll(), process.last_line()) == (2, "There is no model x.")


def test_sigterm_may_be_ignored_but_not_the_kill(start):
    process = start("ignores_term")
    until_true(lambda: process.last_line() == "up")
    process.terminate()
    assert process.poll() is None
    process.kill()
    until_true(lambda: process.poll() == -signal.SIGKILL)


def test_the_kill_takes_the_whole_group(start):
    process = start("has_child")
    until_true(process.last_line)
    grandchild = int(process.last_line())
    process.kill()
    until_true(lambda: process.poll() is not None and gone(grandchild))


def test_what_a_finished_process_left_behind_is_ended(start):
    process = start("leaves_child")
    until_true(lambda: process.poll() is not None)
    until_true(lambda: gone(int(process.last_line())))


def test_a_killed_process_leaves_no_zombie(start):
    process = start("hangs")
    until_true(lambda: process.last_line() == "up")
    os.kill(process.pid, signal.SIGKILL)
    until_true(lambda: process.poll() is not None)
    assert not psutil.pid_exists(process.pid)


def test_a_stranger_that_ends_while_we_look_does_not_hide_a_family(start, monkeypatch):
    process = start("has_child")
    until_true(process.last_line)
    children, reads = psutil.Process.children, iter([True, False])

    def half_gone(self, recursive):
        if next(reads):
            raise IndexError(
                "list index out of range"
            )  # psutil, of the empty stat of a process that has just ended
        return children(self, recursive)

    monkeypatch.setattr(psutil.Process, "children", half_gone)
    assert [each.pid for each in family(process.pid)] == [int(process.last_line()), process.pid]
    process.kill()
    until_true(lambda: process.poll() is not None)
    assert family(process.pid) == []


def test_a_stopped_process_dies_of_the_kill_all_the_same(start):
    process = start("hangs")
    until_true(lambda: process.last_line() == "up")
    os.kill(process.pid, signal.SIGSTOP)
    until_true(process.suspended)
    process.kill()
    until_true(lambda: process.poll() == -signal.SIGKILL)


def test_a_hundred_megabytes_of_log_block_nobody(start, tmp_path):
    process = start("floods")
    until_true(lambda: process.poll() is not None, 60)
    log = tmp_path / "floods.log"
    assert log.stat().st_size > 100_000_000
    assert process.last_line() == "done"
    assert cost_s(process.last_line, limit_s=0.1) < 0.1, "only the tail is read"


def test_the_lifeline_ends_when_its_owner_does(start, lifeline):
    process = start("watches_lifeline")
    until_true(lambda: process.last_line() == "up")
    assert process.poll() is None
    lifeline.close()
    until_true(lambda: process.poll() == 0)


def test_children_hold_neither_the_terminal_nor_standard_input(start):
    process = start("reads_stdin")
    assert os.getsid(process.pid) != os.getsid(0)
    until_true(lambda: process.poll() is not None)
    assert process.last_line() == "''"


def test_the_supervisor_repairs_real_processes(start):
    lifecycles = [Lifecycle("hangs"), Lifecycle("crashes"), Lifecycle("bad_config")]
    children: dict[str, list[Process]] = {}

    def spawn(name: str) -> Process:
        children.setdefault(name, []).append(start(name))
        return children[name][-1]

    supervisor = Supervisor(
        lifecycles, spawn, lambda name: supervisor.escalate(name), time.monotonic, "hangs"
    )
    supervisor.start(*supervisor.processes)

    def turn() -> None:
        supervisor.poll()
        hub = children["hangs"][-1]
        if hub.last_line() == "up":
            supervisor.beat("hangs", hub.pid, str(hub.pid), "ready")

    def seen(name: str, state: str) -> bool:
        turn()
        return supervisor.processes[name].state == state

    until_true(lambda: seen("bad_config", "failed"))
    assert supervisor.processes["bad_config"].detail == "There is no model x."
    until_true(lambda: seen("crashes", "backoff") and len(children["crashes"]) > 1)
    os.kill(children["hangs"][0].pid, signal.SIGKILL)
    until_true(lambda: turn() is None and len(children["hangs"]) > 1 and seen("hangs", "ready"))
    supervisor.stop([])
    until_true(lambda: supervisor.poll() is not None and supervisor.stopped)
    assert all(gone(child.pid) for started in children.values() for child in started)


def test_runs_are_kept_ten_deep_and_latest_leads_to_the_newest(tmp_path):
    (tmp_path / "notes").mkdir()
    for number in range(12):
        (tmp_path / f"20250101-0000{number:02}-1").mkdir()
    run = open_run(tmp_path)
    kept = sorted(each.name for each in tmp_path.iterdir() if each.name.startswith("2"))
    assert len(kept) == KEPT_RUNS
    assert kept[-1] == run.name
    assert (tmp_path / "notes").exists()
    assert (tmp_path / "latest").resolve() == run.resolve()


def test_a_log_that_is_not_there_says_nothing(tmp_path):
    assert last_line(tmp_path / "none.log") == ""
