"""She is asked and answers, aloud: through the launcher, every service real, with a tiny model and the real one."""

from __future__ import annotations

import array
import math
import os
import re
import signal
import sys
import time
import wave

import pytest
from real_show import shows
from tiny_model import make_tiny_model

from shared.events import SpeechFinished, Timeline

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="signals and terminals are POSIX"),
    pytest.mark.timeout(400),
]

STATS = r"\[(\d+) tokens, [\d.]+ tokens/s, first token (\d+) ms, elapsed [\d.]+ s\]"


@pytest.fixture
def start():
    yield from shows()


@pytest.fixture
def script(tmp_path):
    """`script(line, …)`: the path of a file with these lines."""

    def write(*lines):
        path = tmp_path / "script.txt"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return str(path)

    return write


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Flags that run the tiny model."""
    path = make_tiny_model(tmp_path_factory.mktemp("tiny"))
    settings = ("llm.threads=1", "llm.dtype=float32", "llm.context=4096", "tts.device=null")
    flags = (part for setting in settings for part in ("--set", setting))
    return ("--model", str(path), "--device", "cpu", "--seed", "7", *flags)


def loudness(path):
    """Seconds and root mean square (of full scale) of a 16-bit WAV file."""
    with wave.open(str(path)) as sound:
        assert sound.getsampwidth() == 2
        samples = array.array("h", sound.readframes(sound.getnframes()))
        return sound.getnframes() / sound.getframerate(), math.sqrt(
            sum(s * s for s in samples) / max(1, len(samples))
        ) / 32768


def test_a_line_from_a_pipe_is_answered_with_figures_and_status_0(start, tiny):
    show = start("--plain", "--mute", *tiny, stdin=b"hi Akane\n")
    assert show.wait() == 0
    assert re.fullmatch(rf"Akane: .+\n{STATS}\n", show.output), show.output
    assert re.search(r"^llm +ready in", show.chatter, re.MULTILINE)
    assert show.survivors() == []


def test_a_line_that_cannot_be_taken_is_told_and_the_others_are_answered(start, tiny):
    lines = b"caf\xe9\n" + b"x" * 2500 + b"\nhi Akane\n"
    show = start("--plain", "--mute", *tiny, stdin=lines)
    assert show.wait() == 0
    assert re.fullmatch(rf"Akane: .+\n{STATS}\n", show.output), show.output
    assert "input: A line that is not valid UTF-8 was not sent" in show.chatter
    assert "2,500 characters and 2,000 is the limit" in show.chatter


def test_the_real_model_answers_aloud(start, tmp_path):
    out = tmp_path / "spoken"
    flags = ("--set", "tts.device=null", "--seed", "7", "--audio-out", str(out))
    show = start("--plain", *flags, stdin=b"hi Akane\n")
    assert show.wait(110) == 0
    assert re.match(r"Akane: .*[a-z]{3}.*\n", show.output), show.output
    assert re.search(STATS, show.output)
    assert re.search(r"134\.5 M parameters", show.chatter)
    (wav,) = out.glob("*.wav")
    seconds, level = loudness(wav)
    words = len(re.search("Akane: (.*)", show.output).group(1).split())
    assert words * 0.15 < seconds < words * 1.0 + 3
    assert level > 0.01, "silence"


def test_a_script_is_typed_line_by_line_each_after_the_last_answer(start, tiny, script, tmp_path):
    out = tmp_path / "spoken"
    flags = ("--plain", "--script", script("first line", "second line"), "--audio-out", str(out))
    show = start(*flags, *tiny)
    assert show.wait() == 0
    told = re.findall(r"^(?:.*: )?(first line|second line)$|(tokens/s)", show.output, re.MULTILINE)
    assert ["".join(each) for each in told] == ["first line", "tokens/s", "second line", "tokens/s"]
    wavs = sorted(out.glob("*.wav"))
    assert len(wavs) == 2
    for wav in wavs:
        seconds, level = loudness(wav)
        assert seconds > 0.3
        assert level > 0.005


def test_a_headless_script_ends_by_itself(start, tiny, script):
    show = start("--headless", "--without", "tts", "--script", script("only line"), *tiny)
    assert show.wait() == 0
    assert show.output == ""


def test_without_a_voice_she_still_answers(start, tiny):
    show = start("--plain", "--without", "tts", *tiny, stdin=b"hi\nand again\n")
    assert show.wait() == 0
    assert len(re.findall(STATS, show.output)) == 2


@pytest.mark.slow
def test_whoever_is_killed_while_she_speaks_is_back_and_the_show_goes_on(start, tiny):
    """How fast (5 s on a quiet machine) is a figure of `make bench`; here other tests may run beside."""
    show = start("--headless", *tiny)
    show.until_ready()
    for name in ("llm", "tts", "director", "input", "stage", "bus"):
        turn = show.turn(show.submit("tell me something"), "speaking")
        old = show.processes()[name]
        os.kill(old.pid, signal.SIGKILL)
        killed = time.monotonic()
        while (row := show.processes()[name]).pid == old.pid or row.state != "ready":
            assert time.monotonic() < killed + 30, f"{name} is not back: {show.chatter}"
        seen = len(show.events)
        done = show.turn(show.submit("and now?"), "done", timeout_s=60)
        assert done.epoch > turn.epoch
        assert done.text
        later = [each.payload for each in show.events[seen:]]
        ends = [each for each in later if isinstance(each, SpeechFinished) and each.turn == done.turn]
        assert [each.reason for each in ends] == ["done"], name
        begun = next(n for n, each in enumerate(later) if getattr(each, "turn", None) == done.turn)
        stale = [each for each in later[begun:] if isinstance(each, Timeline) and each.turn != done.turn]
        assert stale == [], f"{name}: words of the turn that was lost"
    assert {name: row.restarts for name, row in show.processes().items()} == dict.fromkeys(
        show.processes(), 1
    )


def test_in_the_terminal_the_reply_streams_into_the_chat(start, tiny):
    show = start("--mute", *tiny, terminal=True)
    show.until_output("ay something to Akane")
    show.until_ready()
    show.type("hello there\r")
    message = _typed(show)
    done = show.turn(message, "done", timeout_s=60)
    first = re.escape(done.text.split()[0])
    show.until_output(first, 10)
    show.note_processes()
    begun = time.monotonic()
    show.type("quit\r")
    assert show.wait(10) == 0
    assert time.monotonic() - begun < 5
    assert show.survivors() == []


def _typed(show):
    deadline = time.monotonic() + 10
    while True:
        show.look()
        for each in show.events:
            if each.topic == "chat.message":
                return each.payload.id
        assert time.monotonic() < deadline
