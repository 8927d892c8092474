"""The bus for browsers: topics, state first, the mouth's twenty places, slow pages, what the dead leave."""

from __future__ import annotations

import json
import math
import shutil
import socket as sockets
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import OpenBus, until
from stage_helpers import LONG, Stage, is_topic, is_type, mouth, progress, read, timeline, turn, until_heard
from waiting import until_true
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from services.stage.hub import MOUTH_PAGES
from services.stage.outbox import MAX_STREAM
from shared.config import ROOT, BusSettings
from shared.events import ChatRetracted, Health, Mood, Token, TokenLogprob
from shared.topics import TOPICS

pytest_plugins = ("stage_fixtures",)


def opened(stage: Stage, query: str) -> tuple[ClientConnection, list[dict[str, Any]]]:
    """A socket, and what it said up to `live`."""
    socket = stage.socket(query)
    return socket, read(socket, is_type("live"))


def test_state_comes_first_then_what_happens(stage: Stage, open_bus: OpenBus) -> None:
    director, tts = open_bus("director"), open_bus("tts")
    director.publish("turn.state", turn(1, "done", "old"))
    director.publish("turn.state", turn(2, "thinking", "new"))
    director.publish("avatar.mood", Mood(mood="sad"))
    director.publish("avatar.mood", Mood(mood="happy"))
    until_true(lambda: len(stage.service.hub.latest("avatar.mood")) == 1 and mood_now(stage) == "happy")
    socket, first = opened(stage, "topics=turn.state,avatar.mood,speech.")
    assert first[0]["type"] == "hello"
    assert first[0]["topics"] == [
        "avatar.mood", "speech.finished", "speech.progress", "speech.timeline", "turn.state",
    ]  # fmt: skip
    assert [each["data"].get("turn") or each["data"]["mood"] for each in first[1:-1]] == ["new", "happy"]
    found = until_heard(tts, lambda: tts.publish("speech.progress", progress(2, 0.5, "Hi")), socket)
    assert found["data"] == progress(2, 0.5, "Hi").model_dump()
    assert (found["source"], found["session"]) == ("tts", tts.session)
    assert set(found) == {"topic", "source", "session", "seq", "host", "ts_ms", "mono_ms", "cause", "data"}
    socket.close()
    socket, first = opened(stage, "topics=turn.state&history=64")
    assert [each["data"]["turn"] for each in first[1:-1]] == ["old", "new"]
    socket.close()


def mood_now(stage: Stage) -> str:
    return str(stage.service.hub.latest("avatar.mood")[0].payload.mood)


def test_only_what_was_asked_for_is_sent_and_read(stage: Stage, open_bus: OpenBus) -> None:
    llm, tts = open_bus("llm"), open_bus("tts")
    assert "llm.token" not in stage.service.bus._events.topics  # no page: streams are not even read
    socket, _ = opened(stage, "topics=speech.timeline")

    def publish() -> None:
        llm.publish("llm.token", Token(generation="g", index=0, text="x", tokens=1))
        tts.publish("avatar.mouth", mouth(1))
        tts.publish("speech.timeline", timeline(1, "one two"))

    assert until_heard(tts, publish, socket)["topic"] == "speech.timeline"
    publish()
    topics = {each["topic"] for each in read(socket, is_topic("speech.timeline"))}
    assert topics == {"speech.timeline"}
    assert "llm.token" not in stage.service.bus._events.topics
    socket.close()


def test_every_event_has_a_form_in_json(stage: Stage, open_bus: OpenBus) -> None:
    """Raw bytes and infinities too."""
    llm = open_bus("llm")
    odd = TokenLogprob(raw=b"\xff\x00", logprob=-math.inf, top=[(b"\xc3", math.nan)])
    event = Token(generation="g", index=0, text="あ🙂\u2028", tokens=1, logprobs=[odd])
    socket, _ = opened(stage, "topics=llm.token")
    found = until_heard(llm, lambda: llm.publish("llm.token", event), socket)
    assert found["data"]["text"] == "あ🙂\u2028"
    assert found["data"]["logprobs"] == [{"raw": "_wA=", "logprob": None, "top": [["ww==", None]]}]
    socket.close()


def test_a_wrong_question_is_answered_with_a_sentence(stage: Stage) -> None:
    for query, sentence in (
        ("topics=speech.nothing", "There is no topic 'speech.nothing': known are"),
        ("topics=bus.probe", "There is no topic 'bus.probe'"),
        ("history=0", "history is a number from 1 to 64."),
        ("history=x", "history is a number from 1 to 64."),
    ):
        with stage.socket(query) as socket:
            assert sentence in json.loads(socket.recv(timeout=5))["error"]
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(timeout=5)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1008
    with stage.socket() as socket:  # nothing named: everything
        (hello,) = read(socket, is_type("hello"))
        assert set(hello["topics"]) == set(TOPICS) - {"bus.probe"}


def test_the_mouth_goes_to_twenty_pages_and_a_place_is_inherited(stage: Stage, open_bus: OpenBus) -> None:
    tts = open_bus("tts")
    pages = [opened(stage, "topics=avatar.mouth,speech.progress") for _ in range(MOUTH_PAGES + 2)]
    assert [first[0]["waiting"] for _, first in pages] == [[]] * MOUTH_PAGES + [["avatar.mouth"]] * 2

    def publish() -> None:
        tts.publish("avatar.mouth", mouth(1))
        tts.publish("speech.progress", progress(1, 0.1, "Hi"))

    assert until_heard(tts, publish, pages[0][0])["topic"] == "avatar.mouth"
    late, later = pages[MOUTH_PAGES][0], pages[MOUTH_PAGES + 1][0]
    assert until_heard(tts, publish, late)["topic"] == "speech.progress"
    pages[3][0].close()
    granted = read(late, is_type("granted"))
    assert not any(is_topic("avatar.mouth")(each) for each in granted)
    assert granted[-1]["granted"] == "avatar.mouth"
    publish()
    assert read(late, is_topic("avatar.mouth"))
    pages[5][0].close()
    read(later, is_type("granted"))
    for socket, _ in pages:
        socket.close()


def test_a_page_that_does_not_read_loses_streams_only_and_is_told(stage: Stage, open_bus: OpenBus) -> None:
    tts, director = open_bus("tts"), open_bus("director")
    socket = stage.small_socket("topics=speech.,turn.state,avatar.mood")
    read(socket, is_type("live"))
    until_heard(tts, lambda: tts.publish("speech.timeline", LONG), socket)
    page = next(iter(stage.service.hub._pages))
    for number in range(3):
        director.publish("turn.state", turn(number + 1, "done", f"turn {number}"))

    def flooded() -> bool:
        for _ in range(50):
            tts.publish("speech.timeline", LONG)
        director.publish("avatar.mood", Mood(mood="sad"))
        tts.poll(0.02)
        return page.outbox.lost_total > 300

    until_true(flooded)
    assert len(page.outbox) <= MAX_STREAM + 4  # however long it sleeps
    director.publish("turn.state", turn(9, "done", "last turn"))
    director.publish("avatar.mood", Mood(mood="excited"))
    moods: list[str] = []

    def last(message: dict[str, Any]) -> bool:
        if is_topic("avatar.mood")(message):
            moods.append(message["data"]["mood"])
        return moods[-1:] == ["excited"]

    found = read(socket, last)
    turns = [each["data"]["turn"] for each in found if is_topic("turn.state")(each)]
    assert turns == ["turn 0", "turn 1", "turn 2", "last turn"]
    told = sum(sum(each["lost"].values()) for each in found if is_type("lost")(each))
    assert told == page.outbox.lost_total
    assert all(set(each["lost"]) == {"speech.timeline"} for each in found if is_type("lost")(each))
    seqs = [each["seq"] for each in found if is_topic("speech.timeline")(each)]
    assert seqs == sorted(seqs)
    socket.close()
    until_true(lambda: len(stage.service.hub) == 0)
    assert stage.service.hub.lost_total == told


def test_one_slow_page_does_not_hold_up_another(stage: Stage, open_bus: OpenBus) -> None:
    tts = open_bus("tts")
    stage.small_socket("topics=speech.")
    quick, _ = opened(stage, "topics=speech.")
    until_heard(tts, lambda: tts.publish("speech.timeline", LONG), quick)
    while stage.service.hub.lost_total == 0:
        seq = int(tts.publish("speech.timeline", LONG).rsplit("/", 1)[1])
        found = read(quick, lambda message, seq=seq: message.get("seq") == seq)  # type: ignore[misc]
        assert not any(is_type("lost")(each) for each in found)


def test_the_dead_are_announced_and_leave_no_state(stage: Stage, open_bus: OpenBus) -> None:
    first = open_bus("tts")
    first.publish("sys.health", Health(phase="ready", pid=1))
    until_true(lambda: any(each.source == "tts" for each in stage.service.hub.latest("sys.health")))
    socket, _ = opened(stage, "topics=sys.health")
    second = open_bus("tts")
    second.publish("sys.health", Health(phase="loading", pid=2))
    found = read(socket, lambda each: is_topic("sys.health")(each) and each["source"] == "tts")
    while found[-1]["session"] != second.session:
        found += read(socket, lambda each: is_topic("sys.health")(each) and each["source"] == "tts")
    (lost,) = [each for each in found if is_type("source_lost")(each)]
    assert (lost["source"], lost["session"]) == ("tts", first.session)
    socket.close()
    socket, kept = opened(stage, "topics=sys.health")
    of_tts = [each for each in kept if each.get("source") == "tts"]
    assert [each["session"] for each in of_tts if is_topic("sys.health")(each)] == [second.session]
    assert [each["session"] for each in of_tts if is_type("source_lost")(each)] == [first.session]
    socket.close()


def test_what_moderation_took_back_is_not_in_a_late_page_s_history(stage: Stage, open_bus: OpenBus) -> None:
    """Though this stage, started again perhaps, never saw the lines themselves."""
    director, chat = open_bus("director"), open_bus("input")
    for author in ("good", "bad"):
        for number in range(2):
            name = f"{author}{number}"
            about = {"message_id": name, "channel": "twitch", "author_id": author, "prompt": "x"}
            director.publish("turn.state", turn(1, "done", name, **about))
    until_true(lambda: known(stage) == ["good0", "good1", "bad0", "bad1"])
    chat.publish("chat.retracted", ChatRetracted(channel="twitch", author_id="bad", reason="banned"))
    chat.publish("chat.retracted", ChatRetracted(channel="twitch", message_id="good0", reason="deleted"))
    until_true(lambda: known(stage) == ["good1"])


def test_what_the_director_took_back_is_not_in_the_history_of_a_stage_that_came_later(
    broker: BusSettings, open_bus: OpenBus
) -> None:
    director = open_bus("director", "turn.state")
    for name in ("good", "bad"):
        director.publish("turn.state", turn(1, "thinking", name, prompt=f"{name} line"))
        director.publish("turn.state", turn(1, "done", name, prompt=f"{name} line"))
    director.publish("turn.state", turn(1, "done", "bad", end="retracted"))
    until(director, lambda items: len(items) == 5)
    stage = Stage(broker)
    socket, first = opened(stage, "topics=turn.state&history=64")
    socket.close()
    stage.close()
    assert [each["data"]["prompt"] for each in first[1:-1]] == ["good line", "good line", ""]


def known(stage: Stage) -> list[str]:
    socket, first = opened(stage, "topics=turn.state&history=64")
    socket.close()
    return [each["data"]["turn"] for each in first[1:-1]]


def test_what_pages_send_is_thrown_away(stage: Stage) -> None:
    with stage.socket("topics=turn.state") as socket:
        read(socket, is_type("live"))
        for _ in range(100):
            socket.send("x" * 4000)
        assert len(stage.service.hub) == 1
    socket, _ = opened(stage, "topics=turn.state")
    socket.send("x" * 5000)  # more than any page has to say
    until_true(lambda: len(stage.service.hub) == 0)


def test_a_page_that_vanishes_is_forgotten(stage: Stage) -> None:
    socket, _ = opened(stage, "topics=turn.state,avatar.mouth")
    assert len(stage.service.hub) == 1
    socket.socket.shutdown(sockets.SHUT_RDWR)
    until_true(lambda: len(stage.service.hub) == 0)


def test_the_five_lines_of_the_document(stage: Stage, open_bus: OpenBus, tmp_path: Path) -> None:
    """They are taken from docs/stage.md, given this stage's address, and run."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    if "--experimental-websocket" not in subprocess.check_output([node, "--help"], text=True):
        pytest.skip("this node has no WebSocket of its own")
    block = (ROOT / "docs" / "stage.md").read_text("utf-8").split("```js\n")[1].split("```")[0]
    assert len(block.strip().splitlines()) == 5
    script = tmp_path / "five.mjs"
    script.write_text(block.replace("ws://127.0.0.1:7780/", stage.url.replace("http", "ws", 1)), "utf-8")
    program = subprocess.Popen(
        [node, "--experimental-websocket", str(script)], stdout=subprocess.PIPE, text=True
    )
    try:
        until_true(lambda: len(stage.service.hub) == 1)
        tts = open_bus("tts")
        until_true(lambda: "speech.progress" in stage.service.bus._events.topics)
        for _ in range(20):  # until the broker has passed the subscription on
            tts.publish("speech.progress", progress(1, 0.5, "Hello from the bus"))
            tts.poll(0.02)
        assert program.stdout is not None
        assert program.stdout.readline() == "Hello from the bus\n"
    finally:
        program.kill()
        program.wait()
