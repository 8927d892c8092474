"""An llm that loses events, forgets endings, hangs or dies: no client waits for ever or reads half a text."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from door_helpers import ANY_PORT, Running, client_of, settings_for, url_of
from waiting import until_true

from services.api import reading, service
from services.api.service import ApiService
from shared.broker import Broker
from shared.bus import Bus, CommandError, Refused, Request
from shared.commands import Cancel, CancelReply, Generate, GenerateReply, Replay, ReplayReply, ServiceStop
from shared.config import BusSettings
from shared.events import Finished, Health, LlmStats, Token

HELLO: Any = [{"role": "user", "content": "Hello!"}]
PIECES = ["One ", "two ", "three ", "four."]
ENDING = {
    "reason": "stop",
    "text": "".join(PIECES),
    "pieces": len(PIECES),
    "prompt_tokens": 9,
    "completion_tokens": 4,
}

Script = Callable[["FakeLlm", str], None]


class FakeLlm:
    """Registers as `llm`, accepts everything, and then does what `script` says."""

    def __init__(self, settings: BusSettings, script: Script) -> None:
        self.cancelled: list[str] = []
        self.replies: dict[str, ReplayReply] = {}
        self._script = script
        self._settings = settings
        self._leave = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with Bus.open("llm", settings=self._settings, register=True, wait_s=10) as self.bus:
            self.bus.handle(Generate, self._generate)
            self.bus.handle(Cancel, self._cancel)
            self.bus.handle(Replay, self._replay)
            stats = LlmStats(model="tiny", device="cpu", dtype="none", parameters=1, context=99)
            while not self._leave.is_set():
                self.bus.publish("sys.health", Health(phase="ready", pid=1, last_seq=dict(self.bus.last_seq)))
                self.bus.publish("llm.stats", stats)
                self.bus.poll(0.05)

    def _generate(self, command: Generate, _: Request) -> GenerateReply:
        self._script(self, command.generation)
        return GenerateReply(generation=command.generation)

    def _cancel(self, command: Cancel, _: Request) -> CancelReply:
        self.cancelled.append(command.generation or "")
        return CancelReply(cancelled=1)

    def _replay(self, command: Replay, _: Request) -> ReplayReply:
        if command.generation not in self.replies:
            raise Refused("unknown or ended too long ago")
        whole = self.replies[command.generation]
        start = command.from_index
        return whole.model_copy(update={"from_index": start, "pieces": whole.pieces[start:]})

    def say(self, generation: str, *indices: int) -> None:
        for index in indices:
            event = Token(generation=generation, index=index, text=PIECES[index], tokens=index + 1)
            self.bus.publish("llm.token", event)

    def end(self, generation: str, **changes: Any) -> None:
        self.bus.publish("llm.finished", Finished(generation=generation, **{**ENDING, **changes}))

    def die(self) -> None:
        """As after kill -9: no ending, no farewell."""
        self._leave.set()
        self._thread.join()


@pytest.fixture
def door() -> Iterator[Callable[[Script], tuple[openai.OpenAI, FakeLlm]]]:
    """`door(script)`: a client of a door whose llm follows the script."""
    with Broker(ANY_PORT) as broker, Running(broker.settings) as running, contextlib.ExitStack() as stack:

        def start(script: Script) -> tuple[openai.OpenAI, FakeLlm]:
            llm = FakeLlm(broker.settings, script)
            stack.callback(llm.die)
            opened, _ = running.start(ApiService, settings_for(""))
            client = stack.enter_context(client_of(url_of(opened)))
            until_true(lambda: client.models.list().data)
            return client, llm

        start.broker = broker.settings  # type: ignore[attr-defined]
        yield start


def ask(client: openai.OpenAI, **changes: Any) -> str:
    answer = client.chat.completions.create(model="tiny", messages=HELLO, **changes)
    return answer.choices[0].message.content or ""


def test_lost_pieces_are_fetched_again(door: Any) -> None:
    def script(llm: FakeLlm, generation: str) -> None:
        llm.replies[generation] = ReplayReply(from_index=0, pieces=PIECES[:3], finished=False)
        llm.say(generation, 0, 2, 3)

    client, llm = door(script)
    stream = client.chat.completions.create(model="tiny", messages=HELLO, stream=True)
    text = ""
    for chunk in stream:
        text += chunk.choices[0].delta.content or ""
        if text == ENDING["text"]:
            break
    assert text == ENDING["text"]
    stream.close()
    until_true(lambda: client.models.list().data and llm.cancelled)


def test_the_ending_fills_what_is_missing(door: Any) -> None:
    def script(llm: FakeLlm, generation: str) -> None:
        llm.say(generation, 0, 1)
        llm.end(generation)

    client, _ = door(script)
    assert ask(client) == ENDING["text"]


def test_a_lost_ending_is_asked_for(door: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "QUIET_S", 0.1)
    monkeypatch.setattr(service, "TICK_S", 0.05)

    def script(llm: FakeLlm, generation: str) -> None:
        ending = Finished(generation=generation, **ENDING)
        llm.replies[generation] = ReplayReply(from_index=0, pieces=PIECES, finished=True, ending=ending)
        llm.say(generation, 0, 1, 2)

    client, _ = door(script)
    answer = client.chat.completions.create(model="tiny", messages=HELLO)
    assert answer.choices[0].message.content == ENDING["text"]
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.completion_tokens == 4


def test_a_generation_nobody_knows_any_more_is_an_error(door: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "QUIET_S", 0.1)
    monkeypatch.setattr(service, "TICK_S", 0.05)
    client, _ = door(lambda llm, generation: llm.say(generation, 0))
    with pytest.raises(openai.InternalServerError, match="was restarted") as failed:
        ask(client)
    assert failed.value.status_code == 503


def test_a_silent_llm_is_given_up_and_told(door: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LOST_S", 0.3)
    monkeypatch.setattr(service, "TICK_S", 0.05)
    client, llm = door(lambda llm, generation: llm.say(generation, 0))
    with pytest.raises(openai.InternalServerError, match="fallen silent"):
        ask(client)
    until_true(lambda: client.models.list().data and llm.cancelled)


def test_an_llm_that_dies_ends_its_streams_and_a_new_one_answers(door: Any) -> None:
    client, llm = door(lambda llm, generation: llm.say(generation, 0, 1))
    stream = client.chat.completions.create(model="tiny", messages=HELLO, stream=True)
    for _ in range(3):
        next(stream)
    llm.die()

    def script(llm: FakeLlm, generation: str) -> None:
        llm.say(generation, 0, 1, 2, 3)
        llm.end(generation)

    successor = FakeLlm(door.broker, script)
    with pytest.raises(openai.APIError, match="died in the middle") as failed:
        list(stream)
    assert failed.value.code == "model_unavailable"

    def answered() -> str | None:
        with contextlib.suppress(openai.InternalServerError):
            return ask(client)
        return None

    assert until_true(answered) == ENDING["text"]
    successor.die()


@pytest.mark.parametrize(
    ("changes", "status", "sentence"),
    [
        ({"reason": "error", "error": "it burns"}, 500, "The model failed: it burns"),
        ({"reason": "lost", "error": "no slot was free within 60 s"}, 503, "no slot was free"),
        ({"reason": "cancelled"}, 503, "cancelled before its end"),
    ],
)
def test_endings_that_are_no_good(door: Any, changes: Any, status: int, sentence: str) -> None:
    def script(llm: FakeLlm, generation: str) -> None:
        llm.say(generation, 0)
        llm.end(generation, **{"text": PIECES[0], "pieces": 1, **changes})

    client, _ = door(script)
    with pytest.raises(openai.InternalServerError, match=sentence) as failed:
        ask(client)
    assert failed.value.status_code == status
    stream = client.chat.completions.create(model="tiny", messages=HELLO, stream=True)
    with pytest.raises(openai.APIError, match=sentence):
        list(stream)


def test_without_an_llm_the_door_says_so() -> None:
    with Broker(ANY_PORT) as broker, Running(broker.settings) as running:
        opened, _ = running.start(ApiService, settings_for(""))
        with client_of(url_of(opened)) as client:
            with pytest.raises(openai.InternalServerError, match="The model is not ready") as failed:
                ask(client)
            assert failed.value.status_code == 503
            assert failed.value.response.headers["retry-after"] == "2"
            assert client.models.list().data == []
            with pytest.raises(openai.InternalServerError) as unhealthy:
                client.get(url_of(opened).removesuffix("/v1") + "/health", cast_to=object)
            assert unhealthy.value.response.json() == {
                "status": "unavailable", "llm": "absent", "detail": "The model's process is not there.",
            }  # fmt: skip


def test_a_door_that_closes_ends_its_streams(door: Any) -> None:
    client, llm = door(lambda llm, generation: llm.say(generation, 0, 1))
    stream = client.chat.completions.create(model="tiny", messages=HELLO, stream=True)
    next(stream)
    with Bus.open("tester", settings=door.broker) as bus:
        with contextlib.suppress(CommandError):
            bus.request(ServiceStop(), target="api")
        with pytest.raises(openai.APIError, match="The door is closing"):
            list(stream)
    until_true(lambda: llm.cancelled)
