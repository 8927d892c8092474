"""Every example does what it says, started from another folder, on a real bus with a recorded show."""

from __future__ import annotations

import ast
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import OpenBus, until
from example_helpers import EXAMPLES, Program, python

from shared.bus import Bus, Request
from shared.commands import Cancel, CancelReply, Generate, GenerateReply
from shared.config import BusSettings
from shared.events import Event, Finished, Mood, Mouth, Progress, SpeechFinished, Token

Start = Callable[[list[str]], Program]
START_S = 20.0


@pytest.fixture
def start(broker: BusSettings, tmp_path: Path) -> Iterator[Start]:
    started: list[Program] = []

    def start_one(command: list[str]) -> Program:
        started.append(Program(command, tmp_path, broker))
        return started[-1]

    yield start_one
    for program in started:
        program.close()


def token(generation: str, index: int, text: str) -> Token:
    return Token(generation=generation, index=index, text=text, tokens=index + 1)


def finished(generation: str, text: str, pieces: int) -> Finished:
    return Finished(
        generation=generation,
        reason="stop",
        text=text,
        pieces=pieces,
        completion_tokens=pieces,
        tokens_per_s=50,
    )


def publish_until_heard(bus: Bus, program: Program, topic: str, event: Event, sign: str) -> None:
    """Send the same event until the program, which may still be starting, has shown `sign`."""

    def heard(_: object) -> bool:
        bus.publish(topic, event)
        return sign in program.output

    until(bus, heard, START_S)


def wait_for(bus: Bus, program: Program, text: str) -> None:
    until(bus, lambda _: text in program.output, START_S)


def test_print_tokens_shows_them_live_and_repairs_what_it_missed(open_bus: OpenBus, start: Start) -> None:
    llm = open_bus("llm")
    program = start(python("print_tokens.py"))
    publish_until_heard(
        llm, program, "llm.finished", finished("late", "joined too late", 3), "joined too late"
    )
    before = len(program.output)
    for index, text in enumerate(["Hel", "lo あか", "ね!"]):
        llm.publish("llm.token", token("g", index, text))
        wait_for(llm, program, text)  # live: shown before the next one exists
    llm.publish("llm.finished", finished("g", "Hello あかね!", 3))
    llm.publish("llm.token", token("h", 0, "with "))
    llm.publish("llm.token", token("h", 2, "hole"))
    llm.publish("llm.finished", finished("h", "with a hole", 3))
    wait_for(llm, program, "with a hole")
    shown = program.output[before:].lstrip("\n")
    assert [line for line in shown.splitlines() if line != "joined too late"][:3] == [
        "Hello あかね!", "with hole", "with a hole",
    ]  # fmt: skip


def test_print_tokens_is_at_most_ten_lines() -> None:
    source = (EXAMPLES / "print_tokens.py").read_text(encoding="utf-8")
    ast.parse(source)
    assert len([line for line in source.splitlines() if line.strip()]) <= 10


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process alone")
def test_ctrl_c_ends_a_follower_without_a_trace(open_bus: OpenBus, start: Start) -> None:
    llm = open_bus("llm")
    program = start(python("print_tokens.py"))
    publish_until_heard(llm, program, "llm.finished", finished("x", "there", 1), "there")
    llm.publish("llm.finished", finished("y", "the last one", 1))
    wait_for(llm, program, "the last one")  # and now it waits for more
    program.process.send_signal(signal.SIGINT)
    until(llm, lambda _: program.status is not None)
    assert program.status == 0
    assert "Traceback" not in program.output


def progress(epoch: int, heard: str) -> Progress:
    return Progress(
        turn="t", epoch=epoch, chunk=0, position_s=0.1, words_heard=len(heard.split()), heard=heard
    )


def test_captions_follow_what_is_heard_and_drop_what_was_interrupted(open_bus: OpenBus, start: Start) -> None:
    tts = open_bus("tts")
    program = start(python("captions.py"))
    publish_until_heard(tts, program, "speech.progress", progress(1, "I was"), "I was")
    tts.publish("speech.progress", progress(2, "Hi there"))
    tts.publish("speech.progress", progress(1, "I was interrupted"))
    tts.publish(
        "speech.finished", SpeechFinished(turn="t", epoch=2, reason="done", heard="Hi there!", chunks=1)
    )
    wait_for(tts, program, "Hi there!\n")
    assert "interrupted" not in program.output


def test_the_mouth_moves_and_the_mood_shows(open_bus: OpenBus, start: Start) -> None:
    tts, director = open_bus("tts"), open_bus("director")
    program = start(python("mouth.py"))
    openly = Mouth(turn="t", epoch=1, shape="O", openness=0.8, position_s=0.2)
    publish_until_heard(tts, program, "avatar.mouth", openly, "(• ○ •)")
    director.publish("avatar.mood", Mood(turn="t", epoch=1, mood="happy"))
    wait_for(tts, program, "(^ ‿ ^)")
    tts.publish("avatar.mouth", openly.model_copy(update={"shape": "A"}))
    wait_for(tts, program, "(^ ◠ ^)")


def serve_one_answer(llm: Bus) -> list[Generate]:
    """Answer every `llm.generate` with the same four pieces, as a recording would."""
    asked: list[Generate] = []

    def generate(command: Generate, _: Request) -> GenerateReply:
        asked.append(command)
        llm.publish("llm.token", token("somebody else's", 0, "NOT OURS"))
        for index, text in enumerate(["Blue", " like", " あか", "ね."]):
            llm.publish("llm.token", token(command.generation, index, text))
        llm.publish("llm.finished", finished(command.generation, "Blue like あかね.", 4))
        return GenerateReply(generation=command.generation)

    llm.handle(Generate, generate)
    return asked


def test_ask_prints_the_answer_and_leaves(open_bus: OpenBus, start: Start) -> None:
    llm = open_bus("llm", register=True)
    asked = serve_one_answer(llm)
    program = start(python("ask.py", "Why", "is the sky blue?"))
    until(llm, lambda _: program.status is not None, START_S)
    assert program.output.splitlines() == ["Blue like あかね.", "[stop, 4 tokens, 50/s]"]
    assert program.status == 0
    assert [turn.content for turn in asked[0].messages] == ["Why is the sky blue?"]


def start_an_answer(llm: Bus) -> None:
    """Answer with a first piece and then think for ever."""

    def generate(command: Generate, _: Request) -> GenerateReply:
        llm.publish("llm.token", token(command.generation, 0, "Well,"))
        return GenerateReply(generation=command.generation)

    llm.handle(Generate, generate)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process alone")
def test_ctrl_c_takes_the_question_back(open_bus: OpenBus, start: Start) -> None:
    llm = open_bus("llm", register=True)
    start_an_answer(llm)
    cancelled: list[Cancel] = []

    def cancel(command: Cancel, _: Request) -> CancelReply:
        cancelled.append(command)
        return CancelReply(cancelled=1)

    llm.handle(Cancel, cancel)
    program = start(python("ask.py"))
    wait_for(llm, program, "Well,")
    program.process.send_signal(signal.SIGINT)
    until(llm, lambda _: program.status is not None)
    assert program.output == "Well,"
    assert program.status == 0
    assert cancelled[0].generation


def test_a_model_that_was_restarted_forgot_the_question(open_bus: OpenBus, start: Start) -> None:
    llm = open_bus("llm", register=True)
    start_an_answer(llm)
    program = start(python("ask.py"))
    wait_for(llm, program, "Well,")
    successor = open_bus("llm")
    successor.publish("llm.token", token("another", 0, "x"))
    until(successor, lambda _: program.status is not None)
    assert program.status == 1
    assert "the model was restarted" in program.output


def test_without_a_model_ask_says_so(open_bus: OpenBus, start: Start) -> None:
    idle = open_bus("idle")
    program = start(python("ask.py"))
    until(idle, lambda _: program.status is not None, START_S)
    assert program.status == 1
    assert program.output.startswith("ask: ")
    assert program.output.count("\n") == 1


def test_without_a_bus_every_example_gives_one_sentence(tmp_path: Path) -> None:
    nowhere = BusSettings(
        publish="tcp://127.0.0.1:1", subscribe="tcp://127.0.0.1:1", commands="tcp://127.0.0.1:1"
    )
    examples = sorted(path.name for path in EXAMPLES.glob("*.py"))
    assert "captions.py" in examples
    programs = [Program(python(example), tmp_path, nowhere) for example in examples]
    try:
        for program in programs:
            assert program.wait(START_S) in (1, 2)
            assert "No bus answers at tcp://127.0.0.1:1: start Akane with" in program.output
            assert program.output.count("\n") == 1
    finally:
        for program in programs:
            program.close()
