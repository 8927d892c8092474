"""From a viewer's line in one show to the prompt of the next, by the director's own process on a bus."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conversation import PERSONA, Conversation
from director_show import Show

from services.director.inputs import MuteAsked
from services.director.memory import Memory
from services.director.regulars import Regulars, regulars_path
from shared.bus import Bus
from shared.commands import ChatTurn, Generate
from shared.config import BusSettings, DirectorSettings
from shared.events import ChatMessage, ChatRetracted, Finished, SpeechFinished, TurnState
from shared.persona import with_memory

_numbers = itertools.count(1)
HEAD = PERSONA.system.strip()


@pytest.fixture
def show(
    broker: BusSettings, open_bus: Callable[..., Bus], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Show]:
    monkeypatch.setenv("AKANE_STATE", str(tmp_path))
    made = Show(broker, open_bus)
    made.begin()
    try:
        yield made
    finally:
        made.end()


def line(text: str, author: str = "Mia", channel: str = "twitch", author_id: str = "17") -> ChatMessage:
    return ChatMessage(
        id=f"r{next(_numbers)}", channel=channel, author=author, author_id=author_id, text=text
    )


def answered(show: Show, message: ChatMessage, reply: str = "Good to hear that.") -> list[ChatTurn]:
    """The prompt with which `message` was answered, when its turn is over."""
    show.generated.clear()
    show.spoken.clear()
    show.states.clear()
    show.input.publish("chat.message", message)
    show.until(lambda: any(command.turn for command in show.generated))
    prompt = next(command for command in show.generated if command.turn).messages
    show.say(reply)
    spoken(show, reply)
    return prompt


def spoken(show: Show, reply: str) -> None:
    show.until(lambda: show.spoken and show.spoken[-1].last)
    last = show.spoken[-1]
    end = SpeechFinished(turn=last.turn, epoch=last.epoch, reason="done", heard=reply, chunks=1)
    show.tts.publish("speech.finished", end)
    show.until(lambda: "done" in show.phases())


def test_the_second_show_knows_her_and_no_impostor(show: Show) -> None:
    first = answered(show, line("i have a parrot called kiwi and work nights"))
    assert first[0].content == HEAD
    show.end()
    show.begin_again()
    known = answered(show, line("do you remember me?"), "Of course I do.")
    assert known[0].content == with_memory(HEAD, "Mia works nights and has a parrot called Kiwi.")
    elsewhere = line("do you remember me?", channel="api")
    same_name = line("do you remember me?", author_id="18")
    for impostor, reply in ((elsewhere, "Who could you be?"), (same_name, "We never met before.")):
        prompt = answered(show, impostor, reply)
        assert prompt[0].content == HEAD
        assert "Kiwi" not in str(prompt)


def test_the_person_at_the_keyboard_and_forgetme(show: Show) -> None:
    def typed(text: str) -> ChatMessage:
        return line(text, "you", "terminal", "you")

    answered(show, typed("my dog's name is Bruno"))
    show.end()
    show.begin_again()
    known = answered(show, typed("what is my dog called?"), "He is your best friend.")
    assert known[0].content == with_memory(HEAD, "Your friend has a dog called Bruno.")
    show.generated.clear()
    show.spoken.clear()
    show.states.clear()
    show.input.publish("chat.message", typed("!forgetme"))
    show.until(lambda: show.spoken and show.spoken[-1].last)
    assert " ".join(speak.text for speak in show.spoken) == PERSONA.forgotten
    assert not any(command.turn for command in show.generated), "the model is not asked"
    assert b"Bruno" not in regulars_path().read_bytes()
    spoken(show, PERSONA.forgotten)
    after = answered(show, typed("what is my dog called?"), "You have to tell me that.")
    assert "Bruno" not in str(after)
    assert [turn.content for turn in after if turn.role == "user"][-1:] == ["what is my dog called?"]


def remembering(tmp_path: Path) -> Conversation:
    """The machine by hand, with a memory that reaches beyond the show."""
    regulars = Regulars(tmp_path / "regulars.sqlite3", DirectorSettings())
    return Conversation(memory=Memory(PERSONA, 2, regulars))


def reply(show: Conversation, text: str, author: str = "Mia", say: str = "Sure thing!") -> Generate:
    for warm in [command for command in show.all(Generate) if command.turn is None]:
        show.do(Finished(generation=warm.generation, reason="length", text="x", pieces=1))
    show.ask(text, author)
    request: Generate = show.last(Generate)
    assert request.turn
    show.generate(say)
    show.accept_speech()
    show.finish_speech(heard=say)
    return request


def test_what_stands_in_the_history_is_not_remembered_twice(tmp_path: Path) -> None:
    show = remembering(tmp_path)
    reply(show, "i keep bees")
    assert "You remember" not in reply(show, "what do i keep?", say="Hmm.").messages[0].content
    reply(show, "hello", "Leo", "Oh, hi there.")
    reply(show, "hello again", "Leo", "Twice, how nice.")
    assert reply(show, "and now?", say="Bees.").messages[0].content == with_memory(HEAD, "Mia keeps bees.")


def test_everybody_else_shares_one_head_of_the_prompt(tmp_path: Path) -> None:
    """Instructions come first and what she remembers last: the KV cache keeps all before that line."""
    show = remembering(tmp_path)
    reply(show, "i keep bees")
    for number in range(3):
        reply(show, "hi", f"Viewer{number}", f"Hi number {number}.")
    mia, leo = reply(show, "hi", say="Hello again."), reply(show, "hi", "Leo", "New here?")
    plain = PERSONA.pinned()
    assert leo.messages[: leo.pinned] == plain
    assert mia.pinned == leo.pinned
    assert mia.messages[0].content.startswith(plain[0].content)
    assert mia.messages[1 : mia.pinned] == plain[1:]


def test_moderation_takes_back_what_was_learned(tmp_path: Path) -> None:
    show = remembering(tmp_path)
    told = show.ask("i keep bees", "Mia")
    show.do(ChatRetracted(channel="terminal", message_id=told.id, reason="deleted"))
    show.generate("Bees!")
    for number in range(3):
        reply(show, "hi", f"Viewer{number}", f"Hi number {number}.")
    assert "You remember" not in reply(show, "hi", say="Back again.").messages[0].content


def test_a_hostile_line_and_a_cry_for_help_leave_nothing(tmp_path: Path) -> None:
    show = remembering(tmp_path)
    show.ask("i want to kill myself. i have a dog called bruno", "Mia")
    show.accept_speech()
    show.finish_speech(heard=PERSONA.care)
    assert show.last(TurnState).end == "refused"
    listed = Regulars(tmp_path / "regulars.sqlite3", DirectorSettings())
    assert listed.listed() == []
    listed.close()


def test_forgetme_is_obeyed_while_she_is_muted(tmp_path: Path) -> None:
    show = remembering(tmp_path)
    reply(show, "i keep bees")
    show.do(MuteAsked(True))
    show.ask("!ForgetMe", "Mia")
    assert show.last(TurnState).end == "refused"
    listed = Regulars(tmp_path / "regulars.sqlite3", DirectorSettings())
    assert listed.listed() == []
    listed.close()
