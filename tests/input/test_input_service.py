"""The service on a real bus, with a director played by the test."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import OpenBus, until
from input_helpers import FakeTwitch

from services.input import stdin_reader
from services.input.answering import ABSENT_S, GRACE_S
from services.input.service import InputService
from shared.bus import Bus, CommandError, SourceLost
from shared.clock import FakeClock
from shared.commands import StopShow, Submit, SubmitReply
from shared.config import ROOT, BusSettings, DashboardSettings, DirectorSettings, InputSettings, Settings
from shared.events import (
    ChatMessage,
    ChatRetracted,
    Health,
    Processes,
    ProcessInfo,
    ProcessState,
    ServicePhase,
    TurnState,
)
from shared.service import StartError


class Pipe(io.RawIOBase):
    """Standard input as the test writes it: one packet a `write`, end of file at `close_writing`."""

    def __init__(self) -> None:
        self._read_fd, self._write_fd = os.pipe()

    def readinto(self, buffer: Any) -> int:
        data = os.read(self._read_fd, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def write(self, data: Any) -> int:
        return os.write(self._write_fd, data)

    def close_writing(self) -> None:
        os.close(self._write_fd)


class Show:
    """An input service that the test turns by hand, and a director and a launcher that are the test."""

    def __init__(
        self, settings: InputSettings, open_bus: OpenBus, plain: bool = False, directed: bool = True
    ) -> None:
        self.clock = FakeClock()
        self.director = open_bus("director", "chat.", register=True)
        self.launcher = open_bus("launcher", register=True)
        self.stops: list[StopShow] = []
        self.launcher.handle(StopShow, lambda command, _: self.stops.append(command))
        self.bus = open_bus("input", *InputService.topics, register=True)
        self.service = InputService(
            Settings(input=settings, dashboard=DashboardSettings(plain=plain)), self.bus, self.clock
        )
        self.service.start()
        self.heard: list[Any] = []
        if directed:
            self.beat()
            self.run(lambda: not self.service._answering.away(self.clock()))

    def run(self, done: Callable[[], object]) -> None:
        """Let everybody work until `done`."""

        def turn(_: list[Any]) -> object:
            for item in self.bus.poll(0.0):
                if isinstance(item, SourceLost):
                    self.service.on_lost(item)
                else:
                    self.service.on_event(item)
            self.service.tick()
            return done()

        before = len(self.heard)

        def hear(items: list[Any]) -> object:
            self.heard[before:] = items
            return turn(items)

        until([self.director, self.launcher], hear)

    def said(self) -> list[str]:
        return [item.payload.text for item in self.heard if isinstance(item.payload, ChatMessage)]

    def wait_said(self, *texts: str) -> None:
        self.run(lambda: len(self.said()) >= len(texts))
        assert self.said() == list(texts)

    def answer(self, text: str) -> None:
        """The director finishes the turn of the line `text`."""
        (message,) = [item.payload for item in self.heard if getattr(item.payload, "text", "") == text]
        state = TurnState(turn="t", epoch=1, phase="done", message_id=message.id, end="stop")
        self.director.publish("turn.state", state)

    def beat(self, phase: ServicePhase = "ready") -> None:
        self.director.publish("sys.health", Health(phase=phase, pid=1))

    def supervise(self, state: ProcessState) -> None:
        """The launcher says how its director is."""
        table = Processes(processes=[ProcessInfo(name="director", state=state)])
        self.launcher.publish("sys.processes", table)


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Pipe:
    pipe = Pipe()
    monkeypatch.setattr(stdin_reader, "_raw_stdin", lambda: pipe)
    return pipe


@pytest.fixture
def script(tmp_path: Path) -> Path:
    file = tmp_path / "script.txt"
    file.write_text("# opening\none\n\ntwo\n", encoding="utf-8")
    return file


def test_typed_lines_reach_the_bus_and_the_show_ends_when_all_are_answered(
    open_bus: OpenBus, typed: Pipe
) -> None:
    show = Show(InputSettings(stdin=True), open_bus)
    typed.write("hi あか".encode()[:-1])
    typed.write("か".encode()[-1:] + b"ne\n\n  \n\x1b[31msecond\n")
    typed.write(b"without a line end")
    typed.close_writing()
    show.wait_said("hi あかne")
    first = show.heard[0].payload
    assert (first.channel, first.author) == ("terminal", "you")
    show.answer("hi あかne")
    show.wait_said("hi あかne", "second")
    show.answer("second")
    show.wait_said("hi あかne", "second", "without a line end")
    show.run(lambda: not show.service._typed.finished)
    assert show.stops == []
    show.answer("without a line end")
    show.run(lambda: show.stops)
    assert len(show.stops) == 1


def test_bad_lines_degrade_the_service_with_a_sentence_and_the_show_goes_on(
    open_bus: OpenBus, typed: Pipe
) -> None:
    show = Show(InputSettings(stdin=True), open_bus)
    typed.write(b"\xff\xff\n")
    show.run(lambda: show.service.phase == "degraded")
    assert "not valid UTF-8" in show.service.detail
    typed.write(b"x" * 2_500 + b"\n")
    show.run(lambda: "2,500 characters" in show.service.detail)
    typed.write(b"good\n")
    show.wait_said("good")
    show.run(lambda: show.service.phase == "ready")


def test_a_book_in_the_pipe_is_fed_as_it_is_answered(open_bus: OpenBus, typed: Pipe) -> None:
    show = Show(InputSettings(stdin=True), open_bus)
    lines = [f"line {number}" for number in range(40)]
    typed.write("\n".join(lines).encode())
    typed.close_writing()
    for count, line in enumerate(lines, 1):
        show.wait_said(*lines[:count])
        show.answer(line)
    show.run(lambda: show.stops)


def test_quit_is_an_end_of_file(open_bus: OpenBus, typed: Pipe) -> None:
    show = Show(InputSettings(stdin=True), open_bus)
    typed.write(b"hi\nquit\nnever\n")
    show.wait_said("hi")
    show.answer("hi")
    show.run(lambda: show.stops)
    assert show.said() == ["hi"]


def test_each_line_of_a_script_waits_for_the_answer_to_the_one_before(
    open_bus: OpenBus, script: Path
) -> None:
    show = Show(InputSettings(script=str(script)), open_bus, plain=True)
    show.wait_said("one")
    assert show.heard[0].payload.channel == "script"
    show.answer("one")
    show.wait_said("one", "two")
    show.answer("two")
    show.run(lambda: show.stops)


def test_with_a_screen_the_show_goes_on_after_the_script(open_bus: OpenBus, script: Path) -> None:
    show = Show(InputSettings(script=str(script)), open_bus)
    show.wait_said("one")
    show.answer("one")
    show.wait_said("one", "two")
    show.answer("two")
    show.run(lambda: show.service._script.finished)
    reply = ask(show, Submit(text="still here"))
    assert isinstance(reply, SubmitReply)
    assert show.stops == []


def test_a_director_that_dies_is_waited_for_before_the_next_line(open_bus: OpenBus, script: Path) -> None:
    show = Show(InputSettings(script=str(script)), open_bus, plain=True)
    show.wait_said("one")
    show.service.on_lost(SourceLost("director", show.director.session))
    show.service.tick()
    assert "restarted" in show.service.detail
    assert show.service._answering.away(show.clock())
    show.beat()
    show.wait_said("one", "two")
    show.answer("two")
    show.run(lambda: show.stops)


def test_without_a_director_the_wait_ends_and_says_why(open_bus: OpenBus, typed: Pipe) -> None:
    show = Show(InputSettings(stdin=True), open_bus, directed=False)
    typed.write(b"anybody?")
    typed.close_writing()
    show.clock.advance(GRACE_S)
    show.wait_said("anybody?")
    show.clock.advance(ABSENT_S + 1)
    show.run(lambda: show.stops)
    assert "director is not running" in show.service.detail


def test_lines_wait_for_a_director_that_still_starts(open_bus: OpenBus, typed: Pipe) -> None:
    show = Show(InputSettings(stdin=True), open_bus, directed=False)
    show.supervise("starting")
    show.run(lambda: show.service._answering._expected)
    show.clock.advance(100.0)
    typed.write(b"early bird\n")
    early = ask(show, Submit(text="from the screen"))
    assert isinstance(early, SubmitReply)
    show.beat("loading")
    show.run(lambda: show.service._answering._session)
    assert show.said() == []
    show.beat("ready")
    show.wait_said("from the screen", "early bird")
    assert show.heard[0].payload.id == early.message_id


def test_when_the_launcher_gave_the_director_up_nobody_waits(open_bus: OpenBus, typed: Pipe) -> None:
    show = Show(InputSettings(stdin=True), open_bus, directed=False)
    show.supervise("starting")
    show.run(lambda: show.service._answering._expected)
    typed.write(b"anybody?")
    typed.close_writing()
    show.clock.advance(ABSENT_S)
    show.supervise("failed")
    show.wait_said("anybody?")
    show.clock.advance(ABSENT_S)
    show.run(lambda: show.stops)
    assert "director is not running" in show.service.detail


def ask(show: Show, command: Submit) -> object:
    answers: list[object] = []
    show.launcher.ask(command, answers.append)
    show.run(lambda: answers)
    return answers[0]


def test_submit_publishes_a_clean_message_and_returns_its_id(open_bus: OpenBus) -> None:
    show = Show(InputSettings(), open_bus)
    reply = ask(show, Submit(text=" \x1b[2Jhello \n Akane ", author="Bo\x07b<|x|>", channel="api"))
    show.wait_said("hello Akane")
    message = show.heard[0].payload
    assert isinstance(reply, SubmitReply)
    assert (message.id, message.author, message.channel) == (reply.message_id, "Bobx", "api")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("x" * 2_001, "2,001 characters and 2,000 is the limit"), ("\u200b \x00", "type some words")],
)
def test_submit_refuses_with_a_sentence(open_bus: OpenBus, text: str, sentence: str) -> None:
    show = Show(InputSettings(), open_bus)
    error = ask(show, Submit(text=text))
    assert isinstance(error, CommandError)
    assert sentence in str(error)
    assert show.said() == []


def test_twitch_chat_and_its_retractions_pass_and_a_flood_does_not(open_bus: OpenBus) -> None:
    with FakeTwitch() as server:
        settings = InputSettings(twitch="#Akane", twitch_server=server.address, twitch_tls=False)
        show = Show(settings, open_bus)
        connection = server.accept()
        connection.welcome()
        show.run(lambda: show.service.phase == "ready")
        assert "connected" in show.service.detail
        flood = [f"@id=f{number};user-id=9 :f!f@f PRIVMSG #akane :{number}\r\n" for number in range(50)]
        connection.send("".join(flood).encode(), b"@id=1;user-id=1 :bo!b@b PRIVMSG #akane :hi\r\n")
        connection.send(b"@target-user-id=9 :tmi.twitch.tv CLEARCHAT #akane :f\r\n")
        show.run(lambda: any(isinstance(item.payload, ChatRetracted) for item in show.heard))
        assert "hi" in show.said()
        assert len(show.said()) <= 5
        assert show.heard[-1].payload == ChatRetracted(channel="twitch", author_id="9", reason="banned")
        connection.close()
        show.run(lambda: "reconnecting" in show.service.detail)
        show.service.stop()


def test_every_line_is_judged_by_the_block_list_before_anybody_sees_it(
    open_bus: OpenBus, script: Path, tmp_path: Path
) -> None:
    script.write_text("you f.u.c.k\n", encoding="utf-8")
    with FakeTwitch() as server:
        settings = InputSettings(
            twitch="akane", twitch_server=server.address, twitch_tls=False, script=str(script)
        )
        show = Show(settings, open_bus)
        connection = server.accept()
        connection.welcome()
        connection.send(b"@id=1;user-id=1 :shithead!b@b PRIVMSG #akane :hi\r\n")
        connection.send(b"@id=2;user-id=2 :bo!b@b PRIVMSG #akane :good evening\r\n")
        ask(show, Submit(text="I want to kill myself"))
        show.run(lambda: len(show.said()) == 4)
        rules = {item.payload.text: item.payload.rule for item in show.heard if hasattr(item.payload, "rule")}
        connection.close()
        show.service.stop()
    assert rules == {
        "you f.u.c.k": "profanity", "hi": "profanity", "good evening": "", "I want to kill myself": "self_harm",
    }  # fmt: skip


def test_without_its_block_list_it_does_not_start(open_bus: OpenBus, tmp_path: Path) -> None:
    settings = Settings(director=DirectorSettings(blocklist=str(tmp_path / "none.txt")))
    with pytest.raises(StartError, match="block-list"):
        InputService(settings, open_bus("input"), FakeClock()).start()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (InputSettings(script="/nowhere/s.txt"), "There is no script"),
        (InputSettings(twitch="not a name"), "is not a Twitch channel"),
        (InputSettings(twitch="akane", twitch_server="nonsense"), "should look like host:port"),
        (InputSettings(twitch="akane", twitch_ca="/nowhere/ca.pem"), "there is no such file"),
    ],
)
def test_what_cannot_be_right_stops_the_start_and_shows_in_the_check(
    open_bus: OpenBus, settings: InputSettings, sentence: str
) -> None:
    with pytest.raises(StartError, match=sentence):
        Show(settings, open_bus)
    (row,) = InputService.check(Settings(input=settings))
    assert not row.ok
    assert sentence in row.detail
    assert row.fix


def test_the_check_is_silent_about_what_is_not_wanted_and_counts_the_script(script: Path) -> None:
    assert InputService.check(Settings()) == []
    (row,) = InputService.check(Settings(input=InputSettings(script=str(script))))
    assert (row.ok, row.detail) == (True, f"2 lines in {script}")


Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(broker: BusSettings) -> Iterator[Start]:
    """`start("input.stdin=true")`: the service as a process on the test's broker."""
    started: list[subprocess.Popen[bytes]] = []

    def start_one(*overrides: str) -> subprocess.Popen[bytes]:
        addresses = [f"bus.{name}={address}" for name, address in broker.model_dump().items() if address]
        flags = [flag for setting in (*addresses, *overrides) for flag in ("--set", setting)]
        process = subprocess.Popen(
            [sys.executable, "-m", "services.input", *flags],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        started.append(process)
        return process

    yield start_one
    for process in started:
        process.kill()
        process.communicate()


def test_run_by_hand_it_reads_a_pipe_waits_for_the_answer_and_leaves(open_bus: OpenBus, start: Start) -> None:
    director = open_bus("director", "chat.message")
    process = start("input.stdin=true")
    assert process.stdin
    process.stdin.write(b"hi Akane\n\xff\n")
    process.stdin.close()
    process.stdin = None
    (message, *_) = until(director, lambda items: items, timeout_s=15.0)
    assert message.payload.text == "hi Akane"
    assert process.poll() is None
    done = TurnState(turn=uuid.uuid4().hex, epoch=1, phase="done", message_id=message.payload.id)
    director.publish("turn.state", done)
    until(director, lambda _: process.poll() is not None, timeout_s=10.0)
    _, errors = process.communicate()
    assert process.returncode == 0, errors.decode()
    assert b"not valid UTF-8" in errors
    assert b"Traceback" not in errors


def test_it_leaves_at_once_when_told_although_a_reader_waits_for_the_terminal(
    open_bus: OpenBus, start: Start
) -> None:
    watcher: Bus = open_bus("watcher", "sys.health")
    process = start("input.stdin=true")
    until(watcher, lambda items: any(item.payload.phase == "ready" for item in items), timeout_s=15.0)
    process.terminate()
    until(watcher, lambda _: process.poll() is not None, timeout_s=3.0)
    _, errors = process.communicate()
    assert process.returncode == 0, errors.decode()
    assert b"Fatal" not in errors


def test_a_bad_script_is_one_sentence_and_exit_2(start: Start, tmp_path: Path) -> None:
    process = start(f"input.script={tmp_path / 'none.txt'}")
    _, errors = process.communicate(timeout=15)
    assert process.returncode == 2
    assert errors.decode() == f"input: There is no script {tmp_path / 'none.txt'}: check the path.\n"
