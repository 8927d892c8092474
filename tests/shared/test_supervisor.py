from __future__ import annotations

import itertools

from shared.clock import FakeClock
from shared.lifecycle import Lifecycle
from shared.supervisor import HUB_STOP_S, STOP_S, Change, Supervisor

STAGES = (("input",), ("director",), ("llm", "tts"), ("dashboard",))


class FakeChild:
    """A process without a process: obeys unless it is told not to."""

    numbers = itertools.count(100)

    def __init__(self, name: str, log: list[tuple[str, str]]) -> None:
        self.name, self.log = name, log
        self.pid = next(self.numbers)
        self.code: int | None = None
        self.deaf = False

    def poll(self) -> int | None:
        return self.code

    def terminate(self) -> None:
        self.log.append((self.name, "terminate"))
        if not self.deaf:
            self.code = 0

    def kill(self) -> None:
        self.log.append((self.name, "kill"))
        self.code = -9

    def last_line(self) -> str:
        return f"{self.name} says goodbye"


class Stage:
    """A supervisor with its fakes; `run` turns the clock while the healthy beat."""

    def __init__(self, *names: str) -> None:
        self.clock = FakeClock()
        self.children: dict[str, FakeChild] = {}
        self.log: list[tuple[str, str]] = []
        self.silent: set[str] = set()
        self.stays: set[str] = set()
        self.changes: list[Change] = []
        lifecycles = [Lifecycle(name) for name in ("bus", *names)]
        self.supervisor = Supervisor(lifecycles, self.spawn, self.ask, self.clock, hub="bus")
        self.supervisor.start(*self.supervisor.processes)

    def spawn(self, name: str) -> FakeChild:
        self.log.append((name, "spawn"))
        child = self.children[name] = FakeChild(name, self.log)
        return child

    def ask(self, name: str) -> None:
        self.log.append((name, "ask"))
        if name not in self.stays:
            self.children[name].code = 0

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            self.clock.advance(0.1)
            self.changes += self.supervisor.poll()
            if "bus" in self.silent or self.children["bus"].code is not None:
                continue
            for name, child in self.children.items():
                if child.code is None and name not in self.silent:
                    self.supervisor.beat(name, child.pid, f"session {child.pid}", "ready")

    def states(self) -> dict[str, str]:
        return {name: each.state for name, each in self.supervisor.processes.items()}

    def spawned(self, name: str) -> int:
        return self.log.count((name, "spawn"))


def test_the_hub_is_ready_before_anybody_else_starts():
    stage = Stage("llm", "tts")
    stage.silent.add("bus")
    stage.run(1)
    assert stage.log == [("bus", "spawn")]
    stage.silent.clear()
    stage.run(0.3)
    assert stage.log == [("bus", "spawn"), ("llm", "spawn"), ("tts", "spawn")]
    stage.run(0.2)
    assert set(stage.states().values()) == {"ready"}
    assert Change("llm", "starting", "ready") in stage.changes


def test_a_crash_is_repaired_alone():
    stage = Stage("llm", "tts")
    stage.run(1)
    stage.children["llm"].code = -9
    stage.run(0.3)
    assert stage.states()["llm"] == "backoff"
    stage.run(0.7)
    assert stage.states() == {"bus": "ready", "llm": "ready", "tts": "ready"}
    assert (stage.spawned("llm"), stage.spawned("tts")) == (2, 1)


def test_a_hung_process_is_noticed_within_ten_seconds_and_replaced():
    stage = Stage("llm")
    stage.run(1)
    stage.silent.add("llm")
    stage.run(9.2)
    assert ("llm", "kill") in stage.log
    stage.silent.clear()
    stage.run(1)
    assert stage.states()["llm"] == "ready"


def test_a_silent_hub_alone_is_killed_and_the_others_get_a_fresh_hearing():
    stage = Stage("llm", "tts")
    stage.run(1)
    stage.silent.add("bus")
    stage.run(9.2)
    assert [entry for entry in stage.log if entry[1] == "kill"] == [("bus", "kill")]
    stage.silent = {"tts"}
    stage.run(8)
    assert ("tts", "kill") not in stage.log
    stage.run(2)
    assert ("tts", "kill") in stage.log
    assert ("llm", "kill") not in stage.log


def test_a_stopped_hub_that_comes_back_by_itself_costs_nobody_his_life():
    stage = Stage("llm")
    stage.run(1)
    stage.silent.add("bus")
    stage.run(8)
    stage.silent.clear()
    stage.run(5)
    assert [entry for entry in stage.log if entry[1] == "kill"] == []


def test_nobody_is_blamed_for_the_supervisors_own_sleep():
    stage = Stage("llm")
    stage.run(1)
    stage.clock.advance(3600)
    stage.run(5)
    assert [entry for entry in stage.log if entry[1] == "kill"] == []


def test_a_service_is_not_started_into_a_dead_hub():
    stage = Stage("llm")
    stage.run(1)
    stage.silent.add("bus")
    stage.children["bus"].code = -9
    stage.children["llm"].code = -9
    stage.run(5)
    assert (stage.spawned("bus"), stage.spawned("llm")) == (2, 1)
    stage.silent.clear()
    stage.run(1)
    assert stage.states() == {"bus": "ready", "llm": "ready"}


def test_a_service_that_gave_up_on_a_dead_hub_gets_another_chance():
    stage = Stage("llm")
    stage.run(1)
    stage.silent.add("bus")
    stage.children["bus"].code = -9
    stage.run(0.3)
    stage.children["llm"].code = 2
    stage.run(1)
    stage.silent.clear()
    stage.run(2)
    assert stage.states() == {"bus": "ready", "llm": "ready"}


def test_stop_goes_in_stages_and_the_hub_last():
    stage = Stage("llm", "tts", "director", "input", "dashboard", "recorder")
    stage.run(1)
    stage.log.clear()
    stage.supervisor.stop(STAGES)
    stage.run(2)
    assert stage.supervisor.stopped
    assert [name for name, what in stage.log if what in ("ask", "terminate")] == [
        "input", "director", "llm", "tts", "dashboard", "recorder", "bus",
    ]  # fmt: skip


def test_stop_ends_within_five_seconds_although_everybody_is_deaf():
    stage = Stage("llm", "tts", "director", "input", "dashboard")
    stage.run(1)
    stage.stays = set(stage.children)
    for child in stage.children.values():
        child.deaf = True
    stage.supervisor.stop(STAGES)
    stage.run(STOP_S + HUB_STOP_S + 0.3)
    assert stage.supervisor.stopped
    assert [name for name, what in stage.log if what == "kill"][-1] == "bus"
    assert STOP_S + HUB_STOP_S < 5


def test_nothing_is_restarted_while_the_show_ends():
    stage = Stage("llm", "input")
    stage.run(1)
    stage.stays.add("input")
    stage.supervisor.stop(STAGES)
    stage.children["llm"].code = -11
    stage.run(3)
    assert stage.supervisor.stopped
    assert (stage.spawned("llm"), stage.spawned("input")) == (1, 1)


def test_kill_all_needs_one_poll():
    stage = Stage("llm")
    stage.run(1)
    stage.supervisor.kill_all()
    stage.supervisor.poll()
    stage.supervisor.poll()
    assert stage.supervisor.stopped


def test_restart_on_request_also_revives_the_failed():
    stage = Stage("llm")
    stage.run(1)
    stage.supervisor.restart("llm")
    stage.run(0.5)
    assert stage.spawned("llm") == 2
    stage.children["llm"].code = 2
    stage.run(0.5)
    assert stage.states()["llm"] == "failed"
    stage.supervisor.restart("llm")
    stage.run(0.5)
    assert stage.states()["llm"] == "ready"


def test_a_spawn_that_the_system_refuses_counts_as_a_failure():
    stage = Stage("llm")

    def refuse(name: str) -> FakeChild:
        raise OSError("Resource temporarily unavailable")

    stage.run(1)
    stage.supervisor._spawn = refuse
    stage.children["llm"].code = 1
    stage.run(0.8)
    assert stage.states()["llm"] == "backoff"
    assert "temporarily unavailable" in stage.supervisor.processes["llm"].detail
