from __future__ import annotations

import pytest

from shared.lifecycle import BACKOFF_MAX_S, HEALTHY_S, HUNG_AFTER_S, LOADING_S, Lifecycle, Step

BEAT = {"session": "s", "detail": ""}


def running(phase: str = "ready", **limits: object) -> Lifecycle:
    process = Lifecycle("llm", **limits)  # type: ignore[arg-type]
    process.start(0.0)
    process.spawned(7, 0.0)
    process.beat(7, phase=phase, now=0.0, **BEAT)
    return process


def crash(process: Lifecycle, now: float, code: int = 1) -> None:
    process.exited(code, "boom", now)


def test_ready_only_when_its_own_health_says_so():
    process = Lifecycle("llm")
    process.start(0.0)
    assert process.due(0.0, line_open=True) is Step.SPAWN
    process.spawned(7, 0.0)
    assert not process.beat(8, phase="ready", now=0.1, **BEAT), "a process started by hand is not ours"
    process.beat(7, phase="loading", now=0.1, **BEAT)
    assert process.state == "starting"
    process.beat(7, phase="degraded", now=0.2, **BEAT)
    assert process.state == "ready"


def test_is_not_spawned_while_nobody_could_hear_it():
    process = Lifecycle("llm")
    process.start(0.0)
    assert process.due(100.0, line_open=False) is None


@pytest.mark.parametrize(("phase", "limit_s"), [("ready", HUNG_AFTER_S), ("loading", LOADING_S)])
def test_silence_is_killed_once_after_the_limit_of_its_phase(phase, limit_s):
    process = running(phase)
    assert process.due(limit_s - 0.01, line_open=True) is None
    assert process.due(limit_s, line_open=False) is None
    assert process.due(limit_s, line_open=True) is Step.KILL
    assert process.due(limit_s + 60, line_open=True) is None
    crash(process, limit_s, -9)
    assert process.state == "backoff"
    assert "did not answer" in process.detail


def test_backoff_doubles_to_its_bound_and_starts_over_after_a_healthy_time():
    process = running(max_failures=10**6)
    now, delays = 0.0, []
    for _ in range(9):
        crash(process, now)
        due = next(s for s in range(400) if process.due(now + s / 10, line_open=True) is Step.SPAWN)
        delays.append(due / 10)
        now += due / 10
        process.spawned(7, now)
    assert delays == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert max(delays) == BACKOFF_MAX_S
    crash(process, now + HEALTHY_S)
    assert process.due(now + HEALTHY_S + 0.5, line_open=True) is Step.SPAWN
    assert process.restarts == 9


def test_five_failures_within_a_minute_are_final_but_not_five_in_an_hour():
    process = running()
    for number in range(4):
        crash(process, float(number))
        assert process.state == "backoff"
        process.spawned(7, number + 0.5)
    crash(process, 5.0)
    assert process.state == "failed"
    assert process.detail == "exit code 1: boom"
    assert process.settled
    slow = running()
    for number in range(20):
        crash(slow, number * 16.0)
        assert slow.state == "backoff"
        slow.spawned(7, number * 16.0 + 1)


def test_bad_configuration_is_not_tried_again_and_says_why():
    process = running("starting")
    process.exited(2, "There is no model 'x'.", 1.0, final=True)
    assert (process.state, process.detail) == ("failed", "There is no model 'x'.")


def test_a_signal_is_named():
    process = running()
    process.exited(-9, "irrelevant", 1.0)
    assert process.detail == "killed by SIGKILL"


def test_exit_zero_ends_only_whom_it_may_end():
    screen, service = running(zero_is_end=True), running()
    crash(screen, 1.0, 0)
    crash(service, 1.0, 0)
    assert (screen.state, service.state) == ("stopped", "backoff")


def test_stop_ladder_each_rung_once():
    process = running()
    process.stop(10.0)
    steps = [(s / 10, process.due(10.0 + s / 10, line_open=False)) for s in range(80)]
    assert [step for step in steps if step[1]] == [(2.0, Step.TERMINATE), (5.0, Step.KILL)]
    crash(process, 18.0, -9)
    assert process.state == "stopped"
    assert process.settled


def test_stop_escalates_when_the_command_cannot_arrive_and_keeps_the_common_deadline():
    process = running()
    process.stop(10.0, kill_at=12.5)
    process.escalate(10.1)
    assert process.due(10.1, line_open=False) is Step.TERMINATE
    process.escalate(10.2)
    assert process.due(12.4, line_open=False) is None
    assert process.due(12.5, line_open=False) is Step.KILL


def test_restart_comes_back_at_once_and_a_stop_on_top_of_it_wins():
    process = running()
    process.stop(10.0, again=True)
    crash(process, 11.0, 0)
    assert process.due(11.0, line_open=True) is Step.SPAWN
    process.spawned(9, 11.0)
    process.stop(12.0, again=True)
    process.stop(12.1)
    crash(process, 12.2, 0)
    assert process.state == "stopped"
