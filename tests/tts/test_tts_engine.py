"""The engine's keeper, with children that obey the test: deaths, hangs, retries, plainer voices."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from services.tts.engine import (
    BACKOFF_FIRST_S,
    BACKOFF_MAX_S,
    DEADLINE_PER_CHAR_S,
    DEADLINE_S,
    LOAD_S,
    Engine,
    Failed,
    Rendered,
)
from services.tts.engine_child import answer
from services.tts.manners import MANNERS, Manner
from services.tts.pipe import MAX_BYTES, read_message, write_message
from services.tts.scheduler import Job
from services.tts.voices.silent import SilentVoice

JOB = Job(7, "Hello there.")


class FakeChild:
    def __init__(self, voice: str) -> None:
        self.voice = voice
        self.sent: list[dict[str, Any]] = []
        self.arrived: list[dict[str, Any] | None] = []
        self.killed = False

    def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    def receive(self) -> list[dict[str, Any] | None]:
        arrived, self.arrived = self.arrived, []
        return arrived

    def kill(self) -> None:
        self.killed = True

    def render(self) -> None:
        """Answer the last job."""
        self.arrived.append(answer(SilentVoice(), self.sent[-1]))


class Nursery:
    """An engine and all the children it ever had."""

    def __init__(self, voice: str = "neural", *, expressive: bool = True) -> None:
        self.children: list[FakeChild] = []
        self.engine = Engine(voice, self._spawn, rate=1.5, volume=0.5, expressive=expressive)
        self.now = 100.0

    def _spawn(self, voice: str) -> FakeChild:
        self.children.append(FakeChild(voice))
        return self.children[-1]

    @property
    def child(self) -> FakeChild:
        return self.children[-1]

    def poll(self, after_s: float = 0.0) -> list[Rendered | Failed]:
        self.now += after_s
        return self.engine.poll(self.now)

    def load(self) -> None:
        self.poll()
        self.child.arrived.append({"ready": True})
        self.poll()


def test_a_job_is_rendered_once_the_voice_is_loaded() -> None:
    nursery = Nursery()
    nursery.engine.submit(JOB)
    nursery.poll()
    assert not nursery.child.sent
    nursery.load()
    assert nursery.child.sent == [
        {"job": 7, "text": "Hello there.", "rate": 1.5, "semitones": 0.0, "volume": 0.5}
    ]
    nursery.child.render()
    (done,) = nursery.poll()
    assert isinstance(done, Rendered)
    assert (done.job, [word.text for word in done.rendering.words]) == (7, ["Hello", "there."])
    assert done.rendering.duration_s > 0.3
    assert nursery.poll(1000.0) == []
    assert len(nursery.children) == 1


@pytest.mark.parametrize("expressive", [True, False])
def test_a_mood_bends_the_order(expressive: bool) -> None:
    nursery = Nursery(expressive=expressive)
    nursery.load()
    nursery.engine.submit(Job(8, "Oh no.", "sad"))
    nursery.poll()
    (sent,) = nursery.child.sent
    manner = MANNERS["sad"] if expressive else Manner()
    assert (sent["rate"], sent["semitones"]) == (1.5 * manner.pace, manner.semitones)


def test_a_child_that_downloads_is_waited_for_and_a_silent_one_is_not() -> None:
    nursery = Nursery("kokoro")
    nursery.poll()
    for percent in (1, 50, 99):
        nursery.child.arrived.append({"loading": f"downloading {percent} %"})
        nursery.poll(LOAD_S - 1)
        assert nursery.engine.loading == f"downloading {percent} %"
    assert not nursery.child.killed
    first = nursery.child
    nursery.poll(LOAD_S)
    assert first.killed


def test_a_slow_voice_is_given_more_time() -> None:
    nursery = Nursery("kokoro")
    nursery.load()
    nursery.engine.submit(JOB)
    nursery.poll()
    nursery.poll(10 * DEADLINE_S)
    assert not nursery.child.killed
    nursery.poll(30 * DEADLINE_S)
    assert nursery.children[0].killed


def test_a_dead_child_is_replaced_and_the_chunk_tried_once_more() -> None:
    nursery = Nursery()
    nursery.load()
    nursery.engine.submit(JOB)
    nursery.poll()
    nursery.child.arrived.append(None)
    assert nursery.poll() == []
    assert nursery.poll(BACKOFF_FIRST_S) == []
    nursery.load()
    assert nursery.child.sent[-1]["job"] == 7
    nursery.child.render()
    (done,) = nursery.poll()
    assert isinstance(done, Rendered)
    assert (len(nursery.children), nursery.engine.restarts) == (2, 1)


def test_a_chunk_that_kills_twice_fails_and_the_next_is_spoken() -> None:
    nursery = Nursery()
    nursery.load()
    nursery.engine.submit(JOB)
    nursery.poll()
    outcomes: list[Rendered | Failed] = []
    for _ in range(2):
        nursery.child.arrived.append(None)
        outcomes += nursery.poll()
        nursery.poll(BACKOFF_MAX_S)
        nursery.load()
    assert outcomes == [Failed(7, "The voice engine died.")]
    nursery.engine.submit(Job(8, "Next."))
    nursery.poll()
    nursery.child.render()
    (done,) = nursery.poll()
    assert isinstance(done, Rendered)


def test_a_hanging_child_is_killed_after_a_time_that_depends_on_the_text() -> None:
    nursery = Nursery()
    nursery.load()
    text = "long " * 100
    nursery.engine.submit(Job(1, text))
    nursery.poll()
    hung = nursery.child
    limit_s = DEADLINE_S + DEADLINE_PER_CHAR_S * len(text)
    nursery.poll(limit_s - 0.1)
    assert not hung.killed
    nursery.poll(0.2)
    assert hung.killed


def test_a_restarted_child_that_lived_long_comes_back_at_once() -> None:
    nursery = Nursery()
    nursery.load()
    nursery.now += 60
    nursery.child.arrived.append(None)
    nursery.poll()
    assert len(nursery.children) == 2


def test_restarts_slow_down_when_children_die_young() -> None:
    nursery = Nursery()
    delays = []
    for _ in range(7):
        nursery.load()
        nursery.child.arrived.append(None)
        before = len(nursery.children)
        died = nursery.now
        nursery.poll()
        while len(nursery.children) == before:
            nursery.poll(0.25)
        delays.append(nursery.now - died)
    assert delays[0] == BACKOFF_FIRST_S
    assert delays == sorted(delays)
    assert delays[-1] == BACKOFF_MAX_S


def test_a_voice_that_cannot_load_gives_way_to_a_plainer_one() -> None:
    nursery = Nursery()
    nursery.poll()
    nursery.child.arrived.append({"unavailable": "the model file is gone"})
    nursery.poll()
    assert nursery.child.voice == "pyttsx3"
    assert nursery.engine.complaint == (
        "The model file is gone: speaking with the pyttsx3 voice instead of neural."
    )
    for _ in range(2):
        nursery.child.arrived.append(None)
        nursery.poll()
        nursery.poll(BACKOFF_MAX_S)
    assert nursery.child.voice == "silent"
    nursery.load()
    assert nursery.engine.ready


def test_a_wrong_setting_is_told_and_no_other_voice_taken() -> None:
    nursery = Nursery()
    nursery.poll()
    nursery.child.arrived.append({"refused": "there is no speaker 'nobody'"})
    nursery.poll()
    assert nursery.engine.refused == "there is no speaker 'nobody'"
    nursery.engine.submit(JOB)
    assert nursery.poll(BACKOFF_MAX_S) == [Failed(7, "There is no speaker 'nobody'.")]
    assert [child.voice for child in nursery.children] == ["neural"]


def test_a_child_that_never_gets_ready_is_replaced() -> None:
    nursery = Nursery()
    nursery.poll()
    nursery.poll(LOAD_S - 1)
    assert not nursery.child.killed
    first = nursery.child
    nursery.poll(2)
    assert first.killed


def test_when_no_voice_loads_the_chunk_fails_with_a_sentence() -> None:
    nursery = Nursery("silent")
    nursery.engine.submit(JOB)
    outcomes: list[Rendered | Failed] = []
    for _ in range(4):
        nursery.poll(BACKOFF_MAX_S)
        nursery.child.arrived.append(None)
        outcomes += nursery.poll()
    assert outcomes == [Failed(7, "The voice engine died.")]


def test_a_forgotten_job_is_cancelled_and_its_sound_ignored() -> None:
    nursery = Nursery()
    nursery.load()
    nursery.engine.submit(JOB)
    nursery.poll()
    job = nursery.child.sent[-1]
    nursery.engine.forget()
    assert nursery.child.sent[-1] == {"cancel": 7}
    nursery.child.arrived.append(answer(SilentVoice(), job))
    assert nursery.poll() == []
    assert nursery.poll(1000.0) == []
    assert not nursery.child.killed


def test_the_child_stops_between_sentences_when_cancelled() -> None:
    job = {"job": 3, "text": "Hello there.", "rate": 1.0, "semitones": 0.0, "volume": 1.0}
    assert "pcm" in answer(SilentVoice(), job, lambda number: number < 3)
    assert answer(SilentVoice(), job, lambda number: number <= 3)["error"] == "Cancelled."


def test_a_text_that_breaks_the_voice_is_a_sentence_not_a_dead_child() -> None:
    class Broken:
        def synthesize(self, text: str, rate: float, semitones: float) -> Any:
            raise IndexError("list index out of range")

    reply = answer(Broken(), {"job": 3, "text": "x", "rate": 1.0, "semitones": 0.0, "volume": 1.0})
    assert reply == {"job": 3, "error": "The voice failed (IndexError: list index out of range)."}


def test_pipe_carries_messages_and_survives_garbage() -> None:
    stream = io.BytesIO()
    message = {"job": 1, "pcm": np.arange(5, dtype=np.int16).tobytes(), "words": [("a", 0.0, 1.5)]}
    write_message(stream, message)
    write_message(stream, {"ready": True})
    stream.seek(0)
    assert read_message(stream) == message | {"words": [["a", 0.0, 1.5]]}
    assert read_message(stream) == {"ready": True}
    assert read_message(stream) is None


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x05",
        b"\x05\0\0\0ab",
        (MAX_BYTES + 1).to_bytes(4, "little") + b"x",
        b"\x01\0\0\0\xc1",
        b"\x01\0\0\0\x05",
    ],
)
def test_pipe_ends_at_garbage(garbage: bytes) -> None:
    assert read_message(io.BytesIO(garbage)) is None
