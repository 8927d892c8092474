"""The director as a process on a real bus, between a model and a voice that are played by the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from director_show import Show

from services.director.service import Director
from shared.bus import Bus, CommandError
from shared.commands import Interrupt, Panic, Say
from shared.config import BusSettings, DirectorSettings, Settings
from shared.events import ChatMessage, Cleared, SpeechFinished, TurnState
from shared.service import StartError, StopSignal, serve


@pytest.fixture
def show(broker: BusSettings, open_bus: Callable[..., Bus]) -> Iterator[Show]:
    made = Show(broker, open_bus)
    made.begin()
    try:
        yield made
    finally:
        made.end()


def chat(text: str = "hi Akane") -> ChatMessage:
    return ChatMessage(id="m1", channel="terminal", author="Sam", author_id="sam", text=text)


def test_a_line_becomes_speech(show: Show) -> None:
    line = show.input.publish("chat.message", chat())
    show.until(lambda: show.generated)
    assert show.generated[0].messages[-1].content == "Sam: hi Akane"
    show.say("Hello Sam", "! Nice to", " see you.")
    show.until(lambda: len(show.spoken) == 2 and "speaking" in show.phases())
    assert [(speak.text, speak.last) for speak in show.spoken] == [
        ("Hello Sam!", False),
        ("Nice to see you.", True),
    ]
    speak = show.spoken[-1]
    show.tts.publish(
        "speech.finished",
        SpeechFinished(
            turn=speak.turn, epoch=speak.epoch, reason="done", heard="Hello Sam! Nice to see you.", chunks=2
        ),
    )
    show.until(lambda: "done" in show.phases())
    done = show.states[-1]
    assert (done.message_id, done.end, done.heard) == ("m1", "stop", "Hello Sam! Nice to see you.")
    assert 0 <= done.timings_ms["first_token"] < 5000
    assert set(show.causes[-len(show.states) :]) == {line}


def test_interrupt_and_panic(show: Show) -> None:
    show.input.publish("chat.message", chat())
    show.until(lambda: show.generated)
    replies: list[Any] = []
    show.screen.ask(Interrupt(reason="test"), replies.append)
    show.until(lambda: replies and "done" in show.phases())
    assert show.states[-1].end == "interrupted"
    assert show.cleared == []
    show.screen.ask(Panic(), replies.append)
    show.until(lambda: len(replies) == 2 and show.cleared)
    assert show.cleared[0] > max(state.epoch for state in show.states)  # all that was shown is over
    show.screen.ask(Say(text="Hello there."), replies.append)
    show.until(lambda: len(replies) == 3)
    assert isinstance(replies[2], CommandError)
    assert "muted" in str(replies[2])


def test_a_panic_outlives_the_director(show: Show) -> None:
    """Its successor stays silent, says so itself, and has an epoch above that of the panic."""
    replies: list[Any] = []
    show.screen.ask(Panic(), replies.append)
    show.until(lambda: replies and show.cleared and show.muted == [True])
    show.end()
    show.begin_again()
    show.until(lambda: show.muted == [True, True])
    show.input.publish("chat.message", chat())
    show.until(lambda: "done" in show.phases())
    assert (show.states[-1].end, show.generated) == ("refused", [])
    assert show.states[-1].epoch > show.cleared[-1]
    show.screen.ask(Panic(muted=False), replies.append)
    show.until(lambda: len(replies) == 2 and show.muted[-1] is False)
    show.end()
    show.begin_again()
    show.input.publish("chat.message", chat())
    show.until(lambda: show.generated)
    assert show.muted == [True, True, False]
    assert len(show.cleared) == 1, "only a panic clears"


def test_say_passes_the_gate(show: Show) -> None:
    replies: list[Any] = []
    show.screen.ask(Say(text="Stream starts in five minutes!"), replies.append)
    show.screen.ask(Say(text="Mail me at me@mail.example please."), replies.append)
    show.until(lambda: len(replies) == 2 and show.spoken)
    assert [speak.text for speak in show.spoken] == ["Stream starts in five minutes!"]
    assert show.spoken[0].turn == replies[0].turn
    assert isinstance(replies[1], CommandError)
    assert "personal_data" in str(replies[1])


def test_leaving_ends_the_open_turn(show: Show) -> None:
    show.input.publish("chat.message", chat())
    show.until(lambda: "thinking" in show.phases())
    show.stop.set()
    show.until(lambda: "done" in show.phases())
    assert show.states[-1].end == "interrupted"


def test_a_successor_closes_the_turn_of_a_killed_director(
    broker: BusSettings, open_bus: Callable[..., Bus]
) -> None:
    dead = open_bus("director")
    dead.publish(
        "turn.state", TurnState(turn="t1", epoch=9_000_000_000_000, phase="speaking", message_id="m7")
    )
    dead.poll(0.05)
    made = Show(broker, open_bus)
    made.thread.start()
    try:
        made.until(lambda: "idle" in made.phases())
        made.until(lambda: made.stopped)
    finally:
        made.stop.set()
        made.thread.join(5)
    closed = next(state for state in made.states if state.phase == "done")
    assert (closed.turn, closed.message_id, closed.end) == ("t1", "m7", "lost")
    assert made.stopped[0].epoch == closed.epoch > 9_000_000_000_000


def test_a_successor_is_above_a_panic_that_no_turn_followed(
    broker: BusSettings, open_bus: Callable[..., Bus]
) -> None:
    dead = open_bus("director")
    dead.publish("show.cleared", Cleared(epoch=9_000_000_000_000))
    dead.poll(0.05)
    made = Show(broker, open_bus)
    made.begin()
    replies: list[Any] = []
    made.screen.ask(Panic(), replies.append)
    made.until(lambda: replies and made.cleared)
    made.end()
    assert made.cleared[-1] > 9_000_000_000_000


def test_check_names_what_is_wrong(tmp_path: Path) -> None:
    rows = Director.check(Settings())
    assert [(row.part, row.ok) for row in rows] == [("persona", True), ("block-list", True)]
    bad = Settings(director=DirectorSettings(persona="nobody", blocklist=str(tmp_path / "none.txt")))
    rows = Director.check(bad)
    assert [row.ok for row in rows] == [False, False]
    assert all(row.fix for row in rows)


def test_a_bad_persona_stops_the_start(broker: BusSettings) -> None:
    settings = Settings(bus=broker, director=DirectorSettings(persona="nobody"))
    with pytest.raises(StartError, match="no persona 'nobody'"):
        serve(Director, settings, StopSignal())
