"""A server elsewhere in the engine's place: one that behaves (our own door) and one that does not."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from bad_server import BadServer
from door_helpers import ANY_PORT, Running, client_of, settings_for, url_of
from waiting import until_true

from services.api.service import ApiService
from services.llm.backend import Backend, check_backend
from services.llm.once import answer_once
from services.llm.outputs import Ended, Output, Piece, RefusedError
from services.llm.service import LlmService
from shared.broker import Broker
from shared.bus import Bus, Message
from shared.commands import Cancel, CancelReply, ChatTurn, Generate
from shared.config import LlmSettings, Settings
from shared.events import Finished, Health, LlmStats, Token
from shared.model.errors import ModelError

pytest_plugins = ("door_fixtures",)

HELLO = [ChatTurn(role="user", content="Hello!")]


@pytest.fixture
def bad() -> Iterator[BadServer]:
    server = BadServer()
    yield server
    server.close()


class Driven:
    """A Backend and what it has reported."""

    def __init__(self, url: str, **changes: Any) -> None:
        self.woken = threading.Event()
        values = {"backend_url": url, "backend_timeout_s": 5.0, "slots": 2, "queue_limit": 2, **changes}
        self.backend = Backend(LlmSettings(**values), self.woken.set, env={"AKANE_BACKEND_KEY": "secret"})
        self.outputs: list[Output] = []

    def ask(self, name: str, **changes: Any) -> int:
        return self.backend.submit(Generate(**{"generation": name, "messages": HELLO, **changes}))

    def look(self) -> None:
        self.woken.wait(0.02)
        self.woken.clear()
        if self.backend.busy:
            self.outputs += self.backend.step()

    def ended(self, name: str) -> Ended:
        def found() -> Ended | None:
            self.look()
            ends = [one for one in self.outputs if isinstance(one, Ended) and one.request.generation == name]
            return ends[0] if ends else None

        end: Ended = until_true(found)
        return end


Drive = Callable[..., Driven]


@pytest.mark.parametrize("model", ["good", "no-done", "no-reason", "crlf", "comments"])
def test_all_manners_of_a_good_stream(bad: BadServer, model: str) -> None:
    driven = Driven(bad.url, backend_model=model)
    driven.ask("a", seed=0, max_tokens=7, stop=["x"], repetition_penalty=1.2, top_k=0)
    end = driven.ended("a")
    assert (end.reason, end.text, end.pieces) == ("stop", "Hello you", 2)
    assert [one.text for one in driven.outputs if isinstance(one, Piece)] == ["Hello", " you"]
    (asked,) = bad.requests
    assert asked["messages"] == [{"role": "user", "content": "Hello!"}]
    wanted = {"stream": True, "seed": 0, "max_tokens": 7, "stop": ["x"], "repetition_penalty": 1.2}
    assert wanted.items() <= asked.items()
    assert not {"top_k", "presence_penalty", "response_format"} & asked.keys()
    assert bad.headers[0]["Authorization"] == "Bearer secret"


@pytest.mark.parametrize(
    ("model", "reason", "text", "sentence"),
    [
        ("cut", "lost", "Hello", "closed the stream in the middle"),
        ("cut-in-a-line", "error", "Hello", "not JSON"),
        ("nothing", "lost", "", "closed the stream in the middle"),
        ("not-json", "error", "Hello", "not JSON: '<html>'"),
        ("not-an-object", "error", "", "no completion"),
        ("wrong-choices", "error", "", "no completion"),
        ("wrong-content", "error", "", "no completion"),
        ("wrong-usage", "error", "", "no completion"),
        ("error-object", "error", "Hello", "The backend failed: out of memory."),
        ("long-line", "error", "", "more than a megabyte"),
        ("deep", "error", "", "not JSON"),
        ("binary", "lost", "", "closed the stream"),
        ("500", "error", "", "answered 500: it broke"),
        ("502", "error", "", "answered 502: <h1>Bad gateway</h1>"),
        ("401", "error", "", "refuses the key (who are you?): set AKANE_BACKEND_KEY"),
        ("whole", "error", "", "did not stream its reply, but sent 'application/json'"),
        ("hangs-up", "lost", "", "broke the connection off"),
        ("endless", "error", "on and on ", "does not come to an end"),
    ],
)
def test_what_a_bad_server_does_is_said_and_ends(
    bad: BadServer, model: str, reason: str, text: str, sentence: str
) -> None:
    driven = Driven(bad.url, backend_model=model)
    driven.ask("a")
    end = driven.ended("a")
    assert end.reason == reason
    assert sentence in end.error
    assert end.text.startswith(text) if text else end.text == ""
    driven.backend.model = "good"
    driven.ask("b")
    assert driven.ended("b").reason == "stop"


@pytest.mark.parametrize("model", ["silent", "drips", "stalls"])
def test_silence_has_an_end(bad: BadServer, model: str) -> None:
    driven = Driven(bad.url, backend_model=model, backend_timeout_s=0.3)
    driven.ask("a")
    end = driven.ended("a")
    assert end.reason == "error"
    assert "said nothing for 0.3 s" in end.error
    assert bad.hung_up.wait(10)


@pytest.mark.parametrize("model", ["silent", "stalls", "drips"])
def test_who_is_cancelled_hangs_up(bad: BadServer, model: str) -> None:
    driven = Driven(bad.url, backend_model=model)
    driven.ask("a")
    until_true(lambda: (driven.look(), bad.requests)[1])
    (end,) = driven.backend.cancel(lambda one: one.generation == "a")
    assert end.reason == "cancelled"
    assert bad.hung_up.wait(10)
    assert driven.backend.occupancy() == (0, 0)


def test_slots_and_queue_are_finite(bad: BadServer) -> None:
    driven = Driven(bad.url, backend_model="silent")
    assert [driven.ask(name) for name in "abcd"] == [0, 0, 1, 2]
    with pytest.raises(RefusedError, match="2 generations are waiting already") as refused:
        driven.ask("e")
    assert refused.value.code == "busy"
    with pytest.raises(RefusedError, match="'c' exists already"):
        driven.ask("c")
    assert driven.backend.occupancy() == (2, 2)
    driven.backend.cancel(lambda one: one.generation == "a")
    assert driven.backend.occupancy() == (2, 1)


def test_who_waits_too_long_in_line_is_told(bad: BadServer) -> None:
    driven = Driven(bad.url, backend_model="silent", slots=1)
    driven.ask("a")
    driven.ask("b", queue_deadline_s=0.05)
    end = driven.ended("b")
    assert (end.reason, end.error) == ("lost", "no slot was free within 0.05 s")


def test_the_first_model_is_taken_and_its_context_believed(bad: BadServer) -> None:
    bad.models = {"data": [{"id": "first", "max_model_len": 4096}, {"id": "second"}]}
    assert (Driven(bad.url).backend.model, Driven(bad.url).backend.context) == ("first", 4096)
    named = Driven(bad.url, backend_model="second").backend
    assert (named.model, named.context) == ("second", 2048)


@pytest.mark.parametrize("models", [{"data": []}, {}, [], b"<html>", {"data": [{"id": 7}]}])
def test_a_server_that_names_no_model(bad: BadServer, models: Any) -> None:
    bad.models = models
    driven = Driven(bad.url)
    assert driven.backend.trouble
    with pytest.raises(RefusedError, match="lists no model|did not answer in JSON"):
        driven.ask("a")
    finding = check_backend(LlmSettings(backend_url=bad.url))
    assert not finding.ok
    bad.models = {"data": [{"id": "good"}]}
    assert check_backend(LlmSettings(backend_url=bad.url)).detail.startswith("good at 127.0.0.1:")


def test_once_asks_the_backend_too(bad: BadServer) -> None:
    out, err = io.StringIO(), io.StringIO()
    assert answer_once(LlmSettings(backend_url=bad.url), "Hello!", 9, out, err) == 0
    assert out.getvalue() == "Hello you\n"
    assert "good at 127.0.0.1" in err.getvalue()


def test_old_turns_are_left_out_as_whole_turns(bad: BadServer) -> None:
    driven = Driven(bad.url, context=512)
    talk = [ChatTurn(role="system", content="Be kind.")]
    for index in range(30):
        talk += [
            ChatTurn(role="user", content=f"Question {index} " + "why " * 10),
            ChatTurn(role="assistant", content="Because."),
        ]
    driven.ask("a", messages=[*talk, *HELLO], pinned=1, max_tokens=64)
    driven.ended("a")
    sent = bad.requests[0]["messages"]
    assert sent[0]["content"] == "Be kind."
    assert sent[1]["role"] == "user"
    assert sent[-1]["content"] == "Hello!"
    assert len(sent) < len(talk)


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:8000", "ftp://x/v1", "http://", "http://x:99999/v1", "http://x/?a=b"]
)
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(ModelError, match=r"write it like http://127\.0\.0\.1:8000/v1"):
        Driven(url)


def test_a_server_that_comes_late_is_found(bad: BadServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.llm.backend.PROBE_S", 0.05)
    driven = Driven("http://127.0.0.1:1/v1")
    assert "cannot be reached" in driven.backend.trouble
    driven.backend._server = Driven(bad.url).backend._server
    until_true(lambda: (driven.look(), not driven.backend.trouble)[1])
    driven.ask("a")
    assert driven.ended("a").text == "Hello you"


# -- our own door as the backend of another llm -----------------------------------------------------------


@pytest.fixture(scope="module")
def second(url: str) -> Iterator[tuple[Running, str]]:
    """A second bus, whose llm is the first bus's door, with a door of its own."""
    with Broker(ANY_PORT) as broker, Running(broker.settings) as chained:
        settings = settings_for("")
        llm = LlmSettings(backend_url=url, slots=3, queue_limit=2, context=1024)
        chained.start(LlmService, settings.model_copy(update={"llm": llm}))
        opened, _ = chained.start(ApiService, settings)
        with client_of(url_of(opened)) as client:
            until_true(lambda: client.models.list().data)
        yield chained, url_of(opened)


@pytest.fixture
def bus(second: tuple[Running, str]) -> Iterator[Bus]:
    topics = ("llm.token", "llm.finished", "llm.stats", "sys.health")
    with Bus.open("tester", topics, settings=second[0].bus) as opened:
        yield opened


def collect(bus: Bus, name: str) -> tuple[list[Token], Finished]:
    tokens: list[Token] = []
    for item in bus.events(20.0):
        payload = item.payload if isinstance(item, Message) else None
        if isinstance(payload, Token) and payload.generation == name:
            tokens.append(payload)
        if isinstance(payload, Finished) and payload.generation == name:
            return tokens, payload
    raise AssertionError("no ending came")


def test_commands_and_events_are_those_of_our_engine(bus: Bus, client: openai.OpenAI) -> None:
    direct: Any = client.chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": "Hello!"}], seed=3, max_tokens=20, temperature=0.7
    )
    command = Generate(
        generation="g", messages=HELLO, seed=3, max_tokens=20, temperature=0.7, turn="t", epoch=5, logprobs=2
    )
    bus.request(command)
    tokens, end = collect(bus, "g")
    assert end.text == direct.choices[0].message.content == "".join(token.text for token in tokens)
    assert [token.index for token in tokens] == list(range(end.pieces))
    assert {(token.turn, token.epoch) for token in tokens} == {("t", 5)} == {(end.turn, end.epoch)}
    assert end.reason == direct.choices[0].finish_reason
    assert (end.prompt_tokens, end.completion_tokens) == (
        direct.usage.prompt_tokens,
        direct.usage.completion_tokens,
    )
    assert b"".join(one.raw for token in tokens for one in token.logprobs).decode() == end.text
    assert all(len(one.top) == 2 for token in tokens for one in token.logprobs)


def test_a_raw_prompt_passes_too(bus: Bus) -> None:
    bus.request(Generate(generation="raw", prompt="The moon", max_tokens=8, temperature=0.0, logprobs=1))
    tokens, end = collect(bus, "raw")
    assert end.prompt_tokens == len("The moon")
    assert sum(len(token.logprobs) for token in tokens) == end.completion_tokens == 8


def test_a_cancel_reaches_the_engine_behind(bus: Bus, running: Running) -> None:
    with Bus.open("overhearer", ("llm.finished",), settings=running.bus) as behind:
        bus.request(Generate(generation="long", messages=HELLO, max_tokens=900, temperature=0.0))
        next(item for item in bus.events(20.0) if isinstance(item.payload, Token))
        assert bus.request(Cancel(generation="long")) == CancelReply(cancelled=1)
        assert collect(bus, "long")[1].reason == "cancelled"
        ended = next(item.payload for item in behind.events(20.0) if isinstance(item, Message))
        assert ended.reason == "cancelled"


def test_the_door_of_a_backend_serves_like_any_other(
    second: tuple[Running, str], client: openai.OpenAI
) -> None:
    asked: Any = {
        "model": "tiny", "messages": [{"role": "user", "content": "Hi"}], "seed": 1, "max_tokens": 12, "n": 2,
        "logprobs": True, "top_logprobs": 2, "presence_penalty": 0.5,
    }  # fmt: skip
    with client_of(second[1]) as chained:
        one, other = chained.chat.completions.create(**asked), client.chat.completions.create(**asked)
    for mine, theirs in zip(one.choices, other.choices, strict=True):
        assert (mine.message, mine.finish_reason) == (theirs.message, theirs.finish_reason)
        pairs = list(zip(mine.logprobs.content, theirs.logprobs.content, strict=True))
        assert [(a.token, a.bytes, len(a.top_logprobs)) for a, _ in pairs] == [
            (b.token, b.bytes, len(b.top_logprobs)) for _, b in pairs
        ]
        assert [a.logprob for a, _ in pairs] == pytest.approx([b.logprob for _, b in pairs], abs=1e-3)
    assert one.usage == other.usage.model_copy(
        update={"prompt_tokens_details": one.usage.prompt_tokens_details}
    )


def test_statistics_name_the_place(bus: Bus, url: str) -> None:
    item = next(item for item in bus.events(20.0) if isinstance(item.payload, LlmStats))
    assert item.payload.model == "tiny"
    assert item.payload.device in url


def test_a_backend_that_goes_away_degrades_the_llm_and_ends_its_replies(tiny: Any) -> None:
    with Broker(ANY_PORT) as near, Running(near.settings) as chained:
        bad = BadServer()
        try:
            llm = LlmSettings(backend_url=bad.url, backend_model="good")
            chained.start(LlmService, Settings(llm=llm))
            with Bus.open("tester", ("llm.finished", "sys.health"), settings=near.settings) as bus:
                bad.close()
                bus.request(Generate(generation="a", messages=HELLO))
                seen = []
                for item in bus.events(20.0):
                    seen.append(item.payload)
                    healths = [one for one in seen if isinstance(one, Health) and one.phase == "degraded"]
                    endings = [one for one in seen if isinstance(one, Finished)]
                    if healths and endings:
                        break
                assert endings[0].reason in ("error", "lost")
                assert "cannot be reached" in healths[0].detail
        finally:
            bad.leave.set()
