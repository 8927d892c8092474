"""What is typed: bad lines get a sentence, good ones go out no faster than they are answered."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.input.answering import ABSENT_S, GRACE_S, IDLE_S, Answering
from services.input.lines import BadLine, Lines, check_line, decode_line, read_script
from shared.events import Processes, TurnState


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (b"\xff\xfe hi", "not valid UTF-8"),
        (b"x" * 2_001, "The line has 2,001 characters and 2,000 is the limit"),
        ("é".encode() * 2_500, "The line has 2,500 characters"),
        (None, "more than 32,000 bytes"),
    ],
)
def test_bad_lines_get_one_sentence(raw: bytes | None, sentence: str) -> None:
    with pytest.raises(BadLine, match=sentence) as caught:
        decode_line(raw)
    assert "\n" not in str(caught.value)


def test_good_lines_are_made_harmless() -> None:
    assert decode_line("  hé \x1b[31mllo\t あかね ".encode()) == "hé llo あかね"
    assert decode_line(b"\xef\xbb\xbfhi") == "hi"
    assert decode_line(b"   ") == ""
    assert check_line(" " * 5_000 + "x" * 2_000 + "\n") == "x" * 2_000


def test_a_script_is_read_without_comments_and_blank_lines(tmp_path: Path) -> None:
    script = tmp_path / "s.txt"
    script.write_bytes("\ufeff# greeting\nhi Akane\r\n\n   # more\n  how are you? # not a comment\n".encode())
    assert read_script(script) == ["hi Akane", "how are you? # not a comment"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"ok\n\xff\xff\n", r"Line 2 of .*s\.txt is not valid UTF-8"),
        (b"# c\n" + b"y" * 3_000, r"Line 2 of .*s\.txt is wrong: The line has 3,000 characters"),
        (b"z" * 10_000_001, "larger than 10,000,000 bytes"),
    ],
)
def test_a_bad_script_is_refused_by_file_and_line(tmp_path: Path, content: bytes, sentence: str) -> None:
    script = tmp_path / "s.txt"
    script.write_bytes(content)
    with pytest.raises(BadLine, match=sentence):
        read_script(script)


def test_a_missing_script_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadLine, match=r"There is no script .*nothing\.txt"):
        read_script(tmp_path / "nothing.txt")
    with pytest.raises(BadLine, match="There is no script"):
        read_script(tmp_path)


def test_each_line_waits_for_the_answer_to_the_one_before() -> None:
    lines = Lines("terminal")
    for text in ("a", "b"):
        lines.put(text)
    lines.end()
    assert lines.take() == "a"
    lines.sent("1")
    assert lines.take() is None
    lines.answered("somebody else's")
    lines.answered(None)
    assert lines.take() is None
    lines.answered("1")
    assert lines.take() == "b"
    lines.sent("2")
    assert not lines.finished
    lines.answered("2")
    assert lines.finished


@pytest.mark.parametrize("word", ["quit", "exit", "q", "QUIT"])
def test_a_quit_word_ends_the_source_and_what_follows_is_ignored(word: str) -> None:
    lines = Lines("terminal")
    for text in ("hi", "quit it", word, "never said"):
        lines.put(text)
    assert (lines.quit, lines.hungry) == (True, False)
    taken = []
    while (text := lines.take()) is not None:
        taken.append(text)
    assert taken == ["hi", "quit it"]


def test_lines_given_up_no_longer_hold_the_end() -> None:
    lines = Lines("script")
    lines.put("a")
    lines.end()
    assert lines.take() == "a"
    lines.sent("1")
    assert lines.give_up()
    assert not lines.give_up()
    assert lines.finished


def state(phase: str, queued: int = 0) -> TurnState:
    return TurnState.model_validate({"turn": "t", "epoch": 1, "phase": phase, "queued": queued})


def test_without_a_director_lines_are_hopeless_after_a_while() -> None:
    answering = Answering(now=0.0)
    assert answering.hopeless(last_sent_at=5.0, now=5.0 + ABSENT_S - 1) is None
    assert "not running" in (answering.hopeless(5.0, 5.0 + ABSENT_S) or "")
    answering.heard("s", 30.0, ready=True)
    assert answering.hopeless(5.0, 31.0) is None


def test_at_the_start_a_first_sign_of_a_director_is_waited_for() -> None:
    answering = Answering(now=0.0)
    assert answering.away(GRACE_S - 0.1)
    assert not answering.away(GRACE_S)  # by hand, without one: somebody else may want the lines
    answering.heard("one", GRACE_S - 0.5, ready=True)
    assert not answering.away(GRACE_S - 0.1)


def test_a_director_that_died_is_waited_for_but_not_for_ever() -> None:
    answering = Answering(now=0.0)
    answering.heard("one", 1.0, ready=True)
    assert not answering.away(2.0)
    assert answering.lost("one", 3.0)
    assert answering.away(3.0 + ABSENT_S - 1)
    assert not answering.away(3.0 + ABSENT_S)
    answering.heard("two", 9.0, ready=False)  # it loads: it does not read yet
    assert answering.away(9.0)
    answering.heard("two", 10.0, ready=True)
    assert not answering.away(11.0)
    assert not answering.lost("one", 12.0)  # old news
    assert not answering.away(12.0)


def test_an_idle_director_has_missed_the_line() -> None:
    answering = Answering(now=0.0)

    def beat_until(now: float) -> float:
        answering.heard("s", now, ready=True)
        return now

    answering.turned(state("idle"), 0.0)
    assert answering.hopeless(10.0, beat_until(10.0 + IDLE_S - 1)) is None
    assert "missed" in (answering.hopeless(10.0, beat_until(10.0 + IDLE_S)) or "")
    for busy in (state("thinking"), state("speaking"), state("done", queued=1)):
        answering.turned(busy, 60.0)
        assert answering.hopeless(10.0, beat_until(500.0)) is None
        answering.turned(state("done"), 0.0)


def table(**states: str) -> Processes:
    return Processes.model_validate({"processes": [{"name": k, "state": v} for k, v in states.items()]})


def test_lines_wait_for_a_model_and_a_voice_that_load() -> None:
    answering = Answering(now=0.0)
    answering.heard("s", now=1.0, ready=True)
    assert not answering.away(now=1.0)
    answering.supervised(table(director="ready", llm="starting", tts="ready"))
    assert answering.away(now=2.0)
    answering.supervised(table(director="ready", llm="ready", tts="starting"))
    assert answering.away(now=3.0)
    answering.supervised(table(director="ready", llm="ready", tts="failed"))
    assert not answering.away(now=4.0)
