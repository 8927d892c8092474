"""The service on a real broker with a real tiny model: commands in, tokens and endings out."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_model import make_tiny_model

from services.llm.service import NICENESS, LlmService
from shared.bus import Bus, CommandError, Message
from shared.commands import Cancel, CancelReply, ChatTurn, Generate, GenerateReply, Replay, ReplayReply
from shared.config import BusSettings, LlmSettings, Settings
from shared.events import Finished, LlmStats, Token
from shared.service import StopSignal, serve

LONG = {"max_tokens": 1500, "temperature": 0.0}
"""Greedy, the tiny model never ends by itself."""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def llm(broker: BusSettings, tiny: Path) -> Iterator[StopSignal]:
    """The service, running in a thread; setting the signal makes it leave."""
    model = LlmSettings(model=str(tiny), threads=1, dtype="float32", device="cpu", queue_limit=2)
    stop = StopSignal()
    thread = threading.Thread(target=serve, args=(LlmService, Settings(bus=broker, llm=model), stop))
    thread.start()
    yield stop
    stop.set()
    thread.join(10)
    assert not thread.is_alive()


@pytest.fixture
def bus(llm: StopSignal, open_bus: Callable[..., Bus]) -> Bus:
    """A client that hears everything the llm says; the service is ready."""
    client = open_bus("tester", "llm.token", "llm.finished", "llm.stats", "sys.health")
    collect(client, lambda seen: any(is_ready(one) for one in seen), snapshot=True)
    return client


def is_ready(item: Any) -> bool:
    return (
        isinstance(item, Message) and item.source == "llm" and getattr(item.payload, "phase", "") == "ready"
    )


def collect(bus: Bus, done: Callable[[list[Any]], object], snapshot: bool = False) -> list[Any]:
    """Items until `done`; fails when that takes more than 20 s."""
    items: list[Any] = list(bus.snapshot()) if snapshot else []
    for _ in range(2000):
        if done(items):
            return items
        items += bus.poll(0.01)
    raise AssertionError(f"not reached; arrived: {items[-5:]}")


def generate(bus: Bus, name: str, text: str = "Hello!", **changes: Any) -> GenerateReply:
    messages = [ChatTurn(role="user", content=text)]
    values = {"generation": name, "messages": messages, "pinned": 0, "max_tokens": 20, "seed": 1, **changes}
    reply = bus.request(Generate(**values))
    assert isinstance(reply, GenerateReply)
    return reply


def payloads(items: list[Any], kind: type) -> list[Any]:
    return [one.payload for one in items if isinstance(one, Message) and isinstance(one.payload, kind)]


def finished(items: list[Any], name: str) -> Finished | None:
    return next((one for one in payloads(items, Finished) if one.generation == name), None)


def run(bus: Bus, name: str, **changes: Any) -> tuple[list[Token], Finished]:
    generate(bus, name, **changes)
    items = collect(bus, lambda seen: finished(seen, name))
    end = finished(items, name)
    assert end is not None
    return [one for one in payloads(items, Token) if one.generation == name], end


def test_tokens_come_in_order_and_the_ending_carries_it_all(bus: Bus) -> None:
    tokens, end = run(bus, "a", turn="t1", epoch=7)
    assert end.text == "".join(token.text for token in tokens)
    assert [token.index for token in tokens] == list(range(len(tokens))) == list(range(end.pieces))
    assert {(token.turn, token.epoch) for token in tokens} == {("t1", 7)} == {(end.turn, end.epoch)}
    assert end.reason in ("stop", "length")
    assert 0 < end.completion_tokens <= 20
    assert end.prompt_tokens > 0
    assert end.first_token_ms > 0


def test_events_name_the_request_as_their_cause(bus: Bus) -> None:
    generate(bus, "a")
    items = collect(bus, lambda seen: finished(seen, "a"))
    causes = {one.cause for one in items if isinstance(one, Message) and one.topic.startswith("llm.")
              and one.topic != "llm.stats"}  # fmt: skip
    assert len(causes) == 1
    assert causes.pop()


def test_one_seed_one_text(bus: Bus) -> None:
    texts = [run(bus, f"g{index}", seed=seed)[1].text for index, seed in enumerate((3, 3, 4))]
    assert texts[0] == texts[1] != texts[2]


def test_stop_strings_end_a_reply_before_them(bus: Bus) -> None:
    whole = run(bus, "whole", temperature=0.0)[1].text
    stop = whole[6:9]
    _, end = run(bus, "cut", temperature=0.0, stop=[stop])
    assert (end.reason, end.text) == ("stop", whole[: whole.index(stop)])


def test_a_cancelled_generation_ends_at_once_and_the_next_one_runs(bus: Bus) -> None:
    generate(bus, "long", **LONG)
    collect(bus, lambda seen: len(payloads(seen, Token)) > 3)
    reply = bus.request(Cancel(generation="long"))
    assert reply == CancelReply(cancelled=1)
    items = collect(bus, lambda seen: finished(seen, "long"))
    end = finished(items, "long")
    assert end is not None
    assert end.reason == "cancelled"
    assert items.index(next(one for one in items if isinstance(one.payload, Finished))) >= len(
        payloads(items, Token)
    )
    assert run(bus, "next")[1].reason in ("stop", "length")


def test_cancel_below_an_epoch_spares_the_new_and_those_of_nobody(bus: Bus) -> None:
    generate(bus, "old", epoch=5, **LONG)
    generate(bus, "new", epoch=6)
    generate(bus, "api")
    assert bus.request(Cancel(below_epoch=6)) == CancelReply(cancelled=1)
    items = collect(bus, lambda seen: all(finished(seen, name) for name in ("old", "new", "api")))
    reasons = {one.generation: one.reason for one in payloads(items, Finished)}
    assert reasons["old"] == "cancelled"
    assert "cancelled" not in (reasons["new"], reasons["api"])
    with pytest.raises(CommandError, match="epoch 5 is over: the show is at 6"):
        generate(bus, "late", epoch=5)


def test_what_is_unknown_cannot_be_cancelled_and_does_no_harm(bus: Bus) -> None:
    assert bus.request(Cancel(generation="never heard of")) == CancelReply(cancelled=0)
    with pytest.raises(CommandError, match="needs a generation or below_epoch"):
        bus.request(Cancel())


def test_a_generation_id_is_used_once(bus: Bus) -> None:
    run(bus, "a")
    with pytest.raises(CommandError, match="'a' exists already"):
        generate(bus, "a")


def test_more_than_the_queue_holds_is_refused(bus: Bus) -> None:
    replies = [generate(bus, f"g{index}", **LONG) for index in range(4)]
    assert [reply.queued for reply in replies[2:]] == [0, 1]
    with pytest.raises(CommandError, match="2 generations are waiting already: try again later"):
        generate(bus, "too many")
    assert bus.request(Cancel(generation="g3")) == CancelReply(cancelled=1)
    for index in range(3):
        bus.request(Cancel(generation=f"g{index}"))
    items = collect(bus, lambda seen: all(finished(seen, f"g{index}") for index in range(4)))
    assert {one.reason for one in payloads(items, Finished)} == {"cancelled"}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"messages": [ChatTurn(role="user", content="x" * 2100)]}, "do not fit the context of 2048"),
        ({"max_tokens": 2048}, "do not fit the context"),
    ],
)
def test_what_cannot_fit_is_refused(bus: Bus, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence) as refusal:
        generate(bus, "a", **changes)
    assert refusal.value.code == "too_long"


@pytest.mark.parametrize(
    ("field", "value"),
    [("role", "wizard"), ("content", 7), ("content", None)],
)
def test_malformed_messages_are_refused_in_a_sentence(bus: Bus, field: str, value: object) -> None:
    turn = ChatTurn.model_construct(**{"role": "user", "content": "hi", field: value})
    broken = Generate.model_construct(generation="a", messages=[turn])
    with pytest.raises(CommandError, match=f"llm.generate is wrong at messages.0.{field}"):
        bus.request(broken)


def test_pieces_can_be_read_again(bus: Bus) -> None:
    tokens, end = run(bus, "a")
    reply = bus.request(Replay(generation="a", from_index=2))
    pieces = [token.text for token in tokens[2:]]
    assert reply == ReplayReply(from_index=2, pieces=pieces, finished=True, ending=end)
    with pytest.raises(CommandError, match="unknown or ended too long ago"):
        bus.request(Replay(generation="nobody's"))


def test_a_conversation_that_goes_on_is_served_from_the_cache(bus: Bus) -> None:
    first = run(bus, "a")[1]
    talk = [
        ChatTurn(role="user", content="Hello!"),
        ChatTurn(role="assistant", content=first.text),
        ChatTurn(role="user", content="And then?"),
    ]
    second = run(bus, "b", messages=talk)[1]
    # All of the first prompt and reply, but for white space at the reply's borders.
    assert second.cached_tokens >= first.prompt_tokens
    assert second.prompt_tokens > second.cached_tokens


def test_an_outgrown_conversation_loses_its_oldest_turns_only(bus: Bus) -> None:
    talk = [ChatTurn(role="system", content="You are Akane.")]
    for index in range(40):
        talk.append(ChatTurn(role="user", content=f"Question {index}: " + "why " * 10))
        talk.append(ChatTurn(role="assistant", content="Because " * 5))
    talk.append(ChatTurn(role="user", content="And now?"))
    end = run(bus, "a", messages=talk, pinned=1)[1]
    assert end.reason in ("stop", "length")
    assert end.dropped_turns > 0
    assert end.dropped_turns % 2 == 0
    assert end.prompt_tokens <= 2048 - 20


def test_statistics_say_what_runs_and_how_much(bus: Bus) -> None:
    generate(bus, "long", **LONG)
    items = collect(bus, lambda seen: any(one.active for one in payloads(seen, LlmStats)))
    busy = next(one for one in payloads(items, LlmStats) if one.active)
    assert (busy.model, busy.device, busy.dtype, busy.threads) == ("tiny", "cpu", "float32", 1)
    assert (busy.slots, busy.context, busy.kv_capacity) == (2, 2048, 4096)
    assert busy.parameters > 100_000
    collect(bus, lambda seen: len(payloads(seen, Token)) > 3)
    bus.request(Cancel(generation="long"))
    items = collect(bus, lambda seen: any(one.active == 0 for one in payloads(seen, LlmStats)))
    idle = payloads(items, LlmStats)[-1]
    assert idle.tokens_total > 0
    assert idle.tokens_per_s > 0
    assert idle.kv_used > 0


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a priority belongs to a whole process")
def test_the_threads_that_compute_let_others_go_first(bus: Bus) -> None:
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    own = os.getpriority(os.PRIO_PROCESS, 0)
    nicer = [name for number, name in names.items() if os.getpriority(os.PRIO_PROCESS, number or 0) > own]
    assert len(nicer) == (1 if own < NICENESS else 0)
    assert "MainThread" not in nicer


def test_leaving_ends_what_runs(bus: Bus, llm: StopSignal) -> None:
    generate(bus, "long", **LONG)
    collect(bus, lambda seen: payloads(seen, Token))
    llm.set()
    items = collect(bus, lambda seen: finished(seen, "long"))
    end = finished(items, "long")
    assert end is not None
    assert end.reason == "cancelled"


def test_check_reports_the_model_or_what_is_wrong_with_it(tiny: Path, tmp_path: Path) -> None:
    (good,) = LlmService.check(Settings(llm=LlmSettings(model=str(tiny), threads=1)))
    assert good.ok
    assert "tiny: 0.2 M parameters" in good.detail
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"\xff" * 100)
    (bad,) = LlmService.check(Settings(llm=LlmSettings(model=str(broken), threads=1)))
    assert not bad.ok
    assert "broken.safetensors" in bad.detail
    assert bad.fix
