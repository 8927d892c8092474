"""The Bus on real sockets: no lost first message, gaps, late joiners, commands, restarts of the broker."""

from __future__ import annotations

import threading

import msgpack
import pytest
import zmq
from conftest import ANY_PORT, OpenBus, until
from waiting import until_true

from shared.broker import Broker
from shared.bus import Bus, BusError, CommandError, Message, Refused, SourceLost
from shared.commands import Cancel, CancelReply, Generate, StopSpeech
from shared.config import BusSettings
from shared.events import Finished, Health, LlmStats, Processes, ProcessInfo, Token
from shared.wire import header, pack, topic_frame


def token(index: int) -> Token:
    return Token(generation="g", index=index, text=f"t{index}", tokens=index + 1)


def stats(active: int) -> LlmStats:
    return LlmStats(model="m", device="cpu", dtype="float32", parameters=1, context=8, active=active)


def ended(generation: str) -> Finished:
    return Finished(generation=generation, reason="stop", text="all", pieces=1)


def messages(items: list[object], topic: str) -> list[Message]:
    return [item for item in items if isinstance(item, Message) and item.topic == topic]


def test_first_message_is_never_lost(open_bus: OpenBus) -> None:
    reader = open_bus("reader", "llm.token")
    for attempt in range(20):
        with Bus.open("llm", settings=reader.settings) as writer:
            sent = [writer.publish("llm.token", token(index)) for index in range(10)]
            got = until(reader, lambda items: len(messages(items, "llm.token")) == 10)
        assert [message.id for message in messages(got, "llm.token")] == sent, f"attempt {attempt}"
    assert not reader.gaps


def test_topic_prefix_never_matches_a_longer_name(open_bus: OpenBus) -> None:
    reader = open_bus("reader", "llm.token")
    raw = zmq.Context.instance().socket(zmq.PUB)
    raw.connect(reader.settings.publish)
    head = msgpack.packb(header("Token", "x", "s", seq=0))
    writer = open_bus("llm")
    raw.send_multipart([b"llm.tokens\0", head, pack(token(0))])
    writer.publish("llm.token", token(1))
    got = until(reader, lambda items: items)
    raw.close(0)
    assert [item.payload.index for item in got] == [1]
    assert reader.malformed == 0


def test_gaps_are_counted_even_when_the_last_message_is_the_lost_one(open_bus: OpenBus) -> None:
    reader, writer = open_bus("reader", "llm.token"), open_bus("llm")
    writer.publish("llm.token", token(0))
    writer.last_seq["llm.token"] += 3  # what an overloaded socket does: three sequence numbers never arrive
    writer.publish("llm.token", token(4))
    until(reader, lambda items: len(items) == 2)
    assert reader.gaps == {"llm/llm.token": 3}
    writer.last_seq["llm.token"] += 2
    writer.publish("sys.health", Health(phase="ready", pid=1, last_seq={"llm.token": 6}))
    until(reader, lambda _: reader.gaps == {"llm/llm.token": 5})


def test_late_joiner_gets_state_once(open_bus: OpenBus) -> None:
    writer = open_bus("llm")
    first = open_bus("first", "llm.")
    for active in range(3):
        writer.publish("llm.stats", stats(active))
    for number in range(70):
        writer.publish("llm.finished", ended(str(number)))
    until(first, lambda items: len(items) == 73)
    late = open_bus("late", "llm.")
    kept = late.snapshot()
    assert [m.payload.active for m in kept if m.topic == "llm.stats"] == [2]
    assert [m.payload.generation for m in kept if m.topic == "llm.finished"] == [str(n) for n in range(6, 70)]
    writer.publish("llm.stats", stats(9))
    fresh = until(late, lambda items: items)
    assert [(item.topic, item.payload.active) for item in fresh] == [("llm.stats", 9)]


def test_a_snapshot_covers_what_was_already_on_its_way(open_bus: OpenBus) -> None:
    late = open_bus("late", "llm.stats")
    writer = open_bus("llm")
    for active in range(50):
        writer.publish("llm.stats", stats(active))
    first = open_bus("first", "llm.stats")
    until(first, lambda _: first.snapshot() and first.snapshot()[-1].payload.active == 49)
    assert [m.payload.active for m in late.snapshot()] == [49]
    writer.publish("llm.stats", stats(50))
    assert [m.payload.active for m in until(late, lambda items: items)] == [50]


def serve_cancel(bus: Bus, answer: int = 1) -> list[Cancel]:
    seen: list[Cancel] = []

    def on_cancel(command: Cancel, _: object) -> CancelReply:
        seen.append(command)
        if command.generation == "bad":
            raise Refused("There is no such generation.")
        return CancelReply(cancelled=answer)

    bus.handle(Cancel, on_cancel)
    return seen


def ask(buses: list[Bus], bus: Bus, command: object, timeout_s: float = 2.0) -> object:
    answers: list[object] = []
    bus.ask(command, answers.append, timeout_s)  # type: ignore[arg-type]
    until(buses, lambda _: answers)
    return answers[0]


def test_commands_are_acknowledged_and_refusals_reach_the_sender(open_bus: OpenBus) -> None:
    llm, director = open_bus("llm", register=True), open_bus("director")
    seen = serve_cancel(llm, answer=2)
    assert ask([llm, director], director, Cancel(generation="a")) == CancelReply(cancelled=2)
    refused = ask([llm, director], director, Cancel(generation="bad"))
    assert isinstance(refused, CommandError)
    assert (refused.code, str(refused)) == ("refused", "There is no such generation.")
    assert [command.generation for command in seen] == ["a", "bad"]
    unknown = ask([llm, director], director, StopSpeech(epoch=1))
    assert isinstance(unknown, CommandError)
    assert unknown.code == "no_such_service"
    with pytest.raises(CommandError, match="No service is registered as 'tts'"):
        director.request(StopSpeech(epoch=1))


def test_commands_are_obeyed_between_two_polls(open_bus: OpenBus) -> None:
    llm, director = open_bus("llm", register=True), open_bus("director")
    seen = serve_cancel(llm)
    director.ask(Cancel(generation="a"), lambda _: None)
    until_true(lambda: llm.obey() or seen)
    assert [command.generation for command in seen] == ["a"]


def test_a_repeated_request_is_obeyed_once(open_bus: OpenBus) -> None:
    llm, director = open_bus("llm", register=True), open_bus("director")
    seen = serve_cancel(llm)
    answers: list[object] = []
    llm.publish("sys.health", Health(phase="ready", pid=1))
    until(director, lambda _: director._events.tracker.sessions.get("llm"))
    pending = director.ask(Cancel(generation="a"), answers.append, timeout_s=20.0)
    pending.retry_at = 0.0  # half time is over before the first copy was answered
    until([director, llm], lambda _: answers)
    assert pending.retried
    until(llm, lambda _: not llm._commands.waiting)
    assert len(seen) == 1
    assert answers == [CancelReply(cancelled=1)]


def test_bad_commands_are_refused_with_the_field_that_is_wrong(open_bus: OpenBus) -> None:
    llm, director = open_bus("llm", register=True), open_bus("director")
    llm.handle(Generate, lambda command, request: None)
    bad = Generate.model_construct(generation="g", messages=[{"role": "user", "content": "x"}], max_tokens=-1)
    error = ask([llm, director], director, bad)
    assert isinstance(error, CommandError)
    assert error.code == "invalid"
    assert "max_tokens" in str(error)


def test_expired_commands_are_not_obeyed(open_bus: OpenBus) -> None:
    llm, director = open_bus("llm", register=True), open_bus("director")
    seen = serve_cancel(llm)
    answers: list[object] = []
    pending = director.ask(Cancel(generation="late"), answers.append, timeout_s=0.0)
    until(director, lambda _: answers)
    assert isinstance(answers[0], CommandError)
    until(llm, lambda _: llm._commands._obeyed.get(pending.id))
    assert not seen


def test_a_held_name_is_refused_and_a_dead_ones_is_free(broker: BusSettings) -> None:
    first = Bus.open("llm", settings=broker, register=True)
    with pytest.raises(BusError, match="held by another process"):
        Bus.open("llm", settings=broker, register=True, wait_s=0.3)
    first.close()
    with (
        Bus.open("llm", settings=broker, register=True) as second,
        Bus.open("director", settings=broker) as director,
    ):
        serve_cancel(second)
        assert ask([second, director], director, Cancel(generation="a")) == CancelReply(cancelled=1)


def test_a_replaced_source_is_reported_lost_and_its_late_words_are_dropped(open_bus: OpenBus) -> None:
    reader = open_bus("reader", "llm.token")
    old = open_bus("llm")
    old.publish("llm.token", token(0))
    until(reader, lambda items: items)
    new = open_bus("llm")
    new.session = new._events.session = f"{int(old.session[:12], 16) + 1000:012x}-ffffffff"
    new.publish("llm.token", token(0))
    got = until(reader, lambda items: any(isinstance(item, SourceLost) for item in items))
    assert got[0] == SourceLost("llm", old.session)
    old.publish("llm.token", token(1))
    new.publish("llm.token", token(1))
    assert [item.session for item in until(reader, lambda items: items)] == [new.session]


def test_a_dead_process_is_reported_lost_once(open_bus: OpenBus) -> None:
    reader = open_bus("reader", "llm.token", "sys.processes")
    launcher, llm = open_bus("launcher"), open_bus("llm")
    llm.publish("llm.token", token(0))
    until(reader, lambda items: items)
    dead = Processes(processes=[ProcessInfo(name="llm", state="backoff", session=llm.session)])
    launcher.publish("sys.processes", dead)
    launcher.publish("sys.processes", dead)
    got = until(reader, lambda items: len(messages(items, "sys.processes")) == 2)
    assert sum(isinstance(item, SourceLost) for item in got) == 1


def test_after_the_broker_was_restarted_state_and_commands_are_back() -> None:
    first = Broker(ANY_PORT)
    addresses = first.settings
    with (
        Bus.open("llm", settings=addresses, register=True) as llm,
        Bus.open("reader", ["llm."], settings=addresses) as reader,
    ):
        serve_cancel(llm)
        llm.publish("llm.stats", stats(1))
        until(reader, lambda items: items)
        first.close()
        llm.publish("llm.stats", stats(2))  # lost with the broker
        llm.publish("llm.finished", ended("during the outage"))
        with Broker(addresses) as second:
            got = until([reader, llm], lambda items: len(messages(items, "llm.finished")) == 1, timeout_s=10)
            assert [m.payload.active for m in messages(got, "llm.stats")] == [2]
            until([reader, llm], lambda _: llm.connected and llm._broker_session == second.session)
            with Bus.open("late", ["llm."], settings=addresses) as late:
                assert {m.topic for m in late.snapshot()} == {"llm.stats", "llm.finished"}
                assert ask([llm, late], late, Cancel(generation="a")) == CancelReply(cancelled=1)


def test_wake_ends_a_poll_from_another_thread(open_bus: OpenBus) -> None:
    bus = open_bus("reader")
    threading.Timer(0.05, bus.wake).start()
    bus._next_beat += 100
    assert bus.poll(60) == []


def test_no_bus_is_one_sentence() -> None:
    nowhere = BusSettings(
        publish="tcp://127.0.0.1:9", subscribe="tcp://127.0.0.1:9", commands="tcp://127.0.0.1:9"
    )
    with pytest.raises(BusError, match="start Akane with"):
        Bus.open("reader", settings=nowhere, wait_s=0.05)


def test_garbage_is_dropped_and_counted(open_bus: OpenBus) -> None:
    reader, llm = open_bus("reader", "llm.token"), open_bus("llm")
    good = msgpack.packb(header("Token", "x", "s", seq=0))
    frame = topic_frame("llm.token")
    bad: list[list[bytes]] = [
        [frame],
        [frame, b"\xff", b"\x80"],
        [frame, good, b"\xc1"],
        [frame, good, msgpack.packb({"generation": 1})],
        [frame, msgpack.packb({"v": 99, "source": "future"}), pack(token(0))],
        [frame, good, b"\x91" * 600],
    ]
    for frames in bad:
        llm._pub.send_multipart(frames)
    llm.publish("llm.token", token(7))
    got = until(reader, lambda items: items)
    assert [item.payload.index for item in got] == [7]
    assert reader.malformed == len(bad)


def test_only_the_publisher_of_a_topic_may_publish_it(open_bus: OpenBus) -> None:
    with pytest.raises(ValueError, match="may not publish"):
        open_bus("director").publish("llm.token", token(0))
