"""Commands and buttons: which there are, what they need, what comes back; a panic clears every page at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import OpenBus, until
from stage_helpers import LONG, TOKEN, Stage, is_topic, is_type, progress, read, turn, until_heard
from waiting import until_true

from services.director.service import Director
from shared.bus import Bus, Refused, Request
from shared.commands import (
    COMMANDS,
    Interrupt,
    Panic,
    Reply,
    Say,
    SayReply,
    SetMood,
    StopSpeech,
    Submit,
    SubmitReply,
)
from shared.config import BusSettings, Settings
from shared.events import Cleared, Health
from shared.service import StopSignal, serve

pytest_plugins = ("stage_fixtures",)

KEY = {"Authorization": f"Bearer {TOKEN}"}


class Obeying:
    """Services that note what they are told, in a thread of their own."""

    def __init__(self, settings: BusSettings, names: tuple[str, ...]) -> None:
        self.told: list[Any] = []
        self._stop = threading.Event()
        ready = threading.Barrier(len(names) + 1)
        self._threads = [
            threading.Thread(target=self._serve, args=(settings, name, ready), daemon=True) for name in names
        ]
        for thread in self._threads:
            thread.start()
        ready.wait(10)

    def _serve(self, settings: BusSettings, name: str, ready: threading.Barrier) -> None:
        with Bus.open(name, settings=settings, register=True) as bus:
            for kind in COMMANDS.values():
                if kind.owner == name:
                    bus.handle(kind, self._obey)
            ready.wait(10)
            while not self._stop.is_set():
                bus.poll(0.02)

    def _obey(self, command: Any, _: Request) -> Reply | None:
        self.told.append(command)
        if isinstance(command, Say):
            if "forbidden" in command.text:
                raise Refused("The gate does not let this be said.")
            return SayReply(turn="t1")
        return SubmitReply(message_id="m1") if isinstance(command, Submit) else None

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(10)


@pytest.fixture
def obeying(broker: BusSettings) -> Iterator[Obeying]:
    made = Obeying(broker, ("director", "input"))
    yield made
    made.close()


@pytest.mark.parametrize(
    ("path", "body", "expected", "reply"),
    [
        ("command/director.say", {"text": "Hi!", "mood": "happy"}, Say(text="Hi!", mood="happy"), {"turn": "t1"}),
        ("command/input.submit", {"text": "Hi!", "author": "Bo"}, Submit(text="Hi!", author="Bo"), {"message_id": "m1"}),
        ("command/director.interrupt", None, Interrupt(), {}),
        ("command/director.panic", {"muted": False}, Panic(muted=False), {}),
        ("command/director.mood", {"mood": "shy"}, SetMood(mood="shy"), {}),
        ("control/panic", None, Panic(muted=True), {}),
        ("control/panic?muted=false", {"muted": False}, Panic(muted=True), {}),
        ("control/unmute", None, Panic(muted=False), {}),
        ("control/interrupt", b"", Interrupt(reason="control page"), {}),
        ("control/mood?mood=sad", None, SetMood(mood="sad"), {}),
        ("control/say?text=Hello%20you", None, Say(text="Hello you"), {"turn": "t1"}),
        ("control/say", {"text": "Hello", "mood": "sad"}, Say(text="Hello", mood="sad"), {"turn": "t1"}),
    ],
)  # fmt: skip
def test_a_command_reaches_its_owner(
    stage: Stage, obeying: Obeying, path: str, body: Any, expected: Any, reply: dict[str, str]
) -> None:
    assert stage.ask(path, body or {}, **KEY) == (200, {"ok": True, "reply": reply})
    assert obeying.told == [expected]


def test_a_stream_deck_needs_nothing_but_an_address(stage: Stage, obeying: Obeying) -> None:
    assert stage.ask(f"control/panic?token={TOKEN}", b"")[0] == 200
    assert stage.ask(f"control/interrupt?token={TOKEN}")[0] == 200  # a GET
    assert obeying.told == [Panic(muted=True), Interrupt(reason="control page")]
    status, said = stage.ask(f"control/panic?token={TOKEN}", Sec_Purpose="prefetch;prerender")
    assert (status, len(obeying.told)) == (409, 2), said


@pytest.mark.parametrize(
    ("path", "body", "status", "sentence"),
    [
        ("command/sys.stop", {}, 404, "There is no command 'sys.stop' here"),
        ("command/llm.generate", {}, 404, "There is no command"),
        ("command/tts.speak", {}, 404, "There is no command"),
        ("command/director.say", {}, 400, "text: field required."),
        ("command/director.say", {"text": 5}, 400, "text: "),
        ("command/director.say", {"text": "x", "mood": "hungry"}, 400, "mood: "),
        ("command/director.say", {"text": "x", "loud": 1}, 400, "director.say has no field 'loud'"),
        ("command/director.say", b"[1]", 400, "The body must be a JSON object."),
        ("command/director.say", b"{", 400, "The body is not JSON."),
        ("command/director.say", b"[" * 9000, 400, "The body is not JSON."),
        ("command/director.say", b"x" * 20_000, 413, "larger than 16 kB"),
        ("command/director.say", {"text": "forbidden"}, 409, "The gate does not let this be said."),
        ("control/explode", {}, 404, "There is no /control/explode"),
    ],
)
def test_what_is_refused_is_one_sentence(
    stage: Stage, obeying: Obeying, path: str, body: Any, status: int, sentence: str
) -> None:
    got, said = stage.ask(path, body, **KEY)
    assert got == status
    assert sentence in said["error"]


def test_nothing_happens_without_the_token(stage: Stage, obeying: Obeying) -> None:
    for headers in ({}, {"Authorization": "Bearer guess"}, {"Origin": stage.url.rstrip("/")}):
        for path in ("command/director.panic", "control/panic", "control/health"):
            status, said = stage.ask(path, {}, **headers)
            assert status == 401
            assert set(said) == {"error"}
    assert stage.ask("command/director.panic", None, method="OPTIONS", Origin="https://a.example")[0] == 204
    assert stage.ask("command/director.panic", None, **KEY)[0] == 405  # no GET: a link is no command
    assert obeying.told == []


def test_a_command_that_nobody_obeys_is_503(stage: Stage) -> None:
    status, said = stage.ask("control/interrupt", {}, **KEY)
    assert (status, said["code"]) == (503, "no_such_service")


def test_a_panic_clears_every_page_at_once_whoever_is_there_to_obey(stage: Stage, open_bus: OpenBus) -> None:
    tts = open_bus("tts")
    with stage.socket("topics=speech.") as socket:
        until_heard(tts, lambda: tts.publish("speech.progress", progress(1, 0.2, "Hi")), socket)
        assert stage.ask("control/panic", {}, **KEY)[0] == 503
        read(socket, is_type("clear"))
        assert stage.ask("control/unmute", {}, **KEY)[0] == 503
        assert stage.ask("control/panic", {}, **KEY)[0] == 503
        between = read(socket, is_type("clear"))
        assert sum(is_type("clear")(each) for each in between) == 1  # unmuting cleared nothing


def test_a_panic_overtakes_what_waits_and_holds_for_pages_to_come(stage: Stage, open_bus: OpenBus) -> None:
    tts, director = open_bus("tts"), open_bus("director")
    director.publish("turn.state", turn(1, "speaking", "bad turn", prompt="bad words"))
    slow = stage.small_socket("topics=speech.")
    read(slow, is_type("live"))
    until_heard(tts, lambda: tts.publish("speech.timeline", LONG), slow)
    (page,) = stage.service.hub._pages

    def full() -> bool:
        for _ in range(20):
            tts.publish("speech.timeline", LONG)
        tts.poll(0.01)
        return len(page.outbox) > 100

    until_true(full)
    assert stage.ask("control/panic", {}, **KEY)[0] == 503
    until_true(lambda: len(page.outbox) < 20)
    behind = read(slow, is_type("clear"))
    assert behind[-1]["turns"] == ["bad turn"]
    assert not any(is_type("lost")(each) for each in behind)
    with stage.socket("topics=turn.state") as late:
        assert read(late, is_type("hello"))[0]["cleared"] == ["bad turn"]


def test_a_panic_silences_the_voice_though_the_director_hangs(stage: Stage, open_bus: OpenBus) -> None:
    director = open_bus("director", register=True)  # and it never looks at what it is told
    director.publish("turn.state", turn(5, "speaking"))
    until_true(lambda: stage.service.hub.latest("turn.state"))
    tts, told, answers = open_bus("tts", register=True), [], []
    tts.handle(StopSpeech, lambda command, _: told.append(command))
    pressing = threading.Thread(target=lambda: answers.append(stage.ask("control/panic", {}, **KEY)))
    pressing.start()
    until(tts, lambda _: told)
    assert (told, answers) == ([StopSpeech(epoch=6)], [])
    pressing.join(10)
    assert [status for status, _ in answers] == [503], "and whoever pressed learns that she is not muted"


def test_an_old_panic_that_is_published_again_clears_nothing(stage: Stage, open_bus: OpenBus) -> None:
    director = open_bus("director")
    director.publish("turn.state", turn(4, "done", "before"))
    director.publish("turn.state", turn(6, "speaking", "after"))
    until_true(lambda: stage.service.hub.latest("turn.state"))
    with stage.socket("topics=turn.state,show.cleared") as socket:
        read(socket, is_type("live"))
        director.publish("show.cleared", Cleared(epoch=5))
        assert not any(is_type("clear")(each) for each in read(socket, is_topic("show.cleared")))
        director.publish("show.cleared", Cleared(epoch=6))
        clear = read(socket, is_type("clear"))[-1]
        assert (clear["epoch"], clear["turns"]) == (6, ["before", "after"])
    with stage.socket("topics=turn.state") as late:
        assert read(late, is_type("hello"))[0]["cleared"] == ["before", "after"]


def test_health_and_latencies(stage: Stage, open_bus: OpenBus) -> None:
    director = open_bus("director")
    director.publish("sys.health", Health(phase="ready", pid=7, detail="Akane", gaps={"llm/llm.token": 3}))
    director.publish(
        "turn.state", turn(4, "done", timings_ms={"first_sound": 321.0}, tokens_per_s=99.0, queued=2)
    )
    until_true(
        lambda: stage.ask("control/health", **KEY)[1]["turn"] and stage.service.hub.latest("sys.health")
    )
    status, said = stage.ask("control/health", **KEY)
    assert status == 200
    assert said["turn"] == {
        "phase": "done",
        "queued": 2,
        "timings_ms": {"first_sound": 321.0},
        "tokens_per_s": 99.0,
    }
    assert said["services"]["director"]["phase"] == "ready"
    assert said["services"]["director"]["gaps"] == 3
    assert (said["pages"], said["lost"]) == (0, 0)


def test_the_director_puts_on_the_mood_it_is_told(
    stage: Stage, broker: BusSettings, open_bus: OpenBus
) -> None:
    stop = StopSignal()
    thread = threading.Thread(target=serve, args=(Director, Settings(bus=broker), stop), daemon=True)
    thread.start()
    watcher = open_bus("watcher", "avatar.mood", "turn.state")
    until_true(lambda: stage.ask("control/mood?mood=surprised", {}, **KEY)[0] == 200)
    items = until(watcher, lambda items: any(each.topic == "avatar.mood" for each in items))
    (mood,) = [each.payload for each in items if each.topic == "avatar.mood"]
    idle = [each.payload for each in [*watcher.snapshot(), *items] if each.topic == "turn.state"]
    assert mood.mood == "surprised"
    assert mood.epoch == max(each.epoch for each in idle)
    stop.set()
    thread.join(10)
