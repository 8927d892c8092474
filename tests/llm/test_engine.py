"""The engine on a real tiny model: what it says never depends on slots, chunks, company or the cache."""

from __future__ import annotations

from typing import Any

import pytest
from engine_helpers import Letters, ends, engine_of, letters, random_gpt, request, run, text_of
from hypothesis import given, settings
from hypothesis import strategies as st

from services.llm import engine as engine_module
from services.llm.engine import Output, RefusedError
from services.llm.generation import Ended, Piece
from shared.model.sampling import SamplingParams

MODEL = random_gpt()
PERSONA = [(7 * index) % 90 for index in range(40)]
SAMPLED = SamplingParams(temperature=1.0, top_k=20)


def alone(tokens: list[int], **options: Any) -> list[int]:
    return list(MODEL.generate(tokens, 10, temperature=0.0, **options))


def test_one_request_equals_plain_generation() -> None:
    engine, _ = engine_of(MODEL)
    assert engine.submit(request("a", PERSONA)) == 0
    outputs = run(engine)
    end = ends(outputs)["a"]
    assert text_of(outputs, "a") == end.text == letters(alone(PERSONA))
    assert (end.reason, end.completion_tokens, end.pieces, end.cached_tokens) == ("length", 10, 10, 0)
    assert not engine.busy


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_company_changes_nothing(slots: int) -> None:
    engine, _ = engine_of(MODEL, slots=slots, prefill_chunk=16)
    prompts = {f"g{index}": [*PERSONA[: 10 + 7 * index], index] for index in range(5)}
    for name, tokens in prompts.items():
        engine.submit(request(name, tokens))
    outputs = run(engine)
    for name, tokens in prompts.items():
        assert text_of(outputs, name) == letters(alone(tokens))


def test_seeded_sampling_does_not_depend_on_company() -> None:
    def sampled(with_company: bool) -> str:
        engine, _ = engine_of(MODEL)
        if with_company:
            engine.submit(request("other", PERSONA[3:], params=SAMPLED, seed=9))
        engine.submit(request("a", PERSONA, params=SAMPLED, seed=5))
        return text_of(run(engine), "a")

    assert sampled(False) == sampled(True)


def test_a_conversation_that_goes_on_is_prefilled_only_where_it_is_new() -> None:
    engine, _ = engine_of(MODEL)
    engine.submit(request("a", PERSONA))
    first = alone(PERSONA)
    run(engine)
    longer = PERSONA + first + [3, 4, 5]
    engine.submit(request("b", longer))
    outputs = run(engine)
    # The last token of a reply was chosen but never fed, so its keys are not there.
    assert ends(outputs)["b"].cached_tokens == len(PERSONA) + len(first) - 1
    assert text_of(outputs, "b") == letters(alone(longer))


def test_the_persona_is_copied_from_a_busy_row() -> None:
    engine, _ = engine_of(MODEL)
    engine.submit(request("a", [*PERSONA, 1], max_tokens=30))
    for _ in range(4):
        engine.step()
    engine.submit(request("b", [*PERSONA, 2]))
    outputs = run(engine)
    assert ends(outputs)["b"].cached_tokens == len(PERSONA)
    assert text_of(outputs, "b") == letters(alone([*PERSONA, 2]))
    assert ends(outputs)["a"].text == letters(list(MODEL.generate([*PERSONA, 1], 30, temperature=0.0)))


def test_the_same_prompt_again_computes_one_token() -> None:
    engine, _ = engine_of(MODEL)
    for name in ("a", "b"):
        engine.submit(request(name, PERSONA))
        outputs = run(engine)
    assert ends(outputs)["b"].cached_tokens == len(PERSONA) - 1
    assert text_of(outputs, "b") == letters(alone(PERSONA))


def test_two_conversations_keep_their_rows() -> None:
    engine, _ = engine_of(MODEL)
    talks = {"x": [*PERSONA, 1] * 2, "y": [*PERSONA, 2] * 2}
    for turn in range(3):
        for name, tokens in talks.items():
            engine.submit(request(f"{name}{turn}", tokens))
            end = ends(run(engine))[f"{name}{turn}"]
            if turn:
                assert end.cached_tokens >= len(tokens) - 4
            talks[name] = tokens + [ord(letter) - 32 for letter in end.text] + [5, 6, 7]


def test_cancel_between_steps_frees_the_row_at_once() -> None:
    engine, _ = engine_of(MODEL, slots=1)
    engine.submit(request("a", PERSONA, max_tokens=50))
    engine.submit(request("b", PERSONA[5:]))
    for _ in range(6):
        engine.step()
    (end,) = engine.cancel(lambda one: one.generation == "a")
    assert end.reason == "cancelled"
    assert 0 < end.completion_tokens < 50
    assert engine.rows.free == {0}
    outputs = run(engine)
    assert not any(one.request.generation == "a" for one in outputs)
    assert text_of(outputs, "b") == letters(alone(PERSONA[5:]))


def test_who_is_cancelled_while_the_model_works_says_nothing_more() -> None:
    """Also when its first token was computed in the same step as another's fiftieth."""
    cancelling: list[str] = []
    ended: list[Ended] = []

    def look_up() -> None:
        ended.extend(engine.cancel(lambda one: one.generation in cancelling))
        cancelling.clear()

    engine, _ = engine_of(MODEL, look_up=look_up)
    engine.submit(request("a", PERSONA, max_tokens=50))
    outputs = engine.step() + engine.step() + engine.step()
    said = text_of(outputs, "a")
    engine.submit(request("b", PERSONA[5:]))
    cancelling.append("b")
    outputs += engine.step()
    assert text_of(outputs, "b") == ""
    assert text_of(outputs, "a") == said + text_of(outputs, "a")[-1]
    cancelling.append("a")
    said = text_of(outputs, "a")
    outputs += engine.step()
    assert text_of(outputs, "a") == said
    assert [(one.request.generation, one.text) for one in ended] == [("b", ""), ("a", said)]
    assert engine.rows.free == {0, 1}
    assert not engine.busy
    engine.submit(request("again", PERSONA))
    assert text_of(run(engine), "again") == letters(alone(PERSONA))


def test_a_waiting_request_can_be_cancelled_and_nothing_matches_nothing() -> None:
    engine, _ = engine_of(MODEL, slots=1)
    engine.submit(request("a", PERSONA))
    engine.submit(request("b", PERSONA))
    engine.step()
    assert [end.request.generation for end in engine.cancel(lambda one: one.generation == "b")] == ["b"]
    assert engine.cancel(lambda one: one.generation == "unheard of") == []
    assert set(ends(run(engine))) == {"a"}


def test_who_waits_too_long_is_lost_and_the_others_go_on() -> None:
    engine, clock = engine_of(MODEL, slots=1)
    engine.submit(request("a", PERSONA))
    engine.submit(request("b", PERSONA, queue_deadline_s=5.0))
    engine.submit(request("c", PERSONA, queue_deadline_s=50.0))
    engine.step()
    clock.advance(6.0)
    assert [one.reason for one in engine.step() if isinstance(one, Ended)] == ["lost"]
    found = ends(run(engine))
    assert {name: end.reason for name, end in found.items()} == {"a": "length", "c": "length"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokens": []}, "empty"),
        ({"tokens": [1] * 120}, "120 prompt tokens and max_tokens 10 do not fit the context of 128"),
        ({"max_tokens": 127}, "do not fit"),
        ({"name": "first"}, "exists already"),
    ],
)
def test_what_cannot_be_run_is_refused(changes: dict[str, Any], message: str) -> None:
    engine, _ = engine_of(MODEL)
    engine.submit(request("first", [1, 2]))
    with pytest.raises(RefusedError, match=message):
        engine.submit(request(**{"name": "second", "tokens": [1, 2], **changes}))
    assert set(ends(run(engine))) == {"first"}


def test_a_full_queue_refuses() -> None:
    engine, _ = engine_of(MODEL, slots=1, queue_limit=2)
    assert [engine.submit(request(name, PERSONA)) for name in "abc"] == [0, 0, 1]
    with pytest.raises(RefusedError, match="2 generations are waiting already"):
        engine.submit(request("d", PERSONA))
    assert len(ends(run(engine))) == 3


def test_exact_fit_runs_to_its_length() -> None:
    engine, _ = engine_of(MODEL)
    engine.submit(request("a", [1] * 118))
    assert ends(run(engine))["a"].completion_tokens == 10


def test_stop_token_and_stop_text() -> None:
    greedy = alone(PERSONA)
    engine, _ = engine_of(MODEL)
    engine.submit(request("token", PERSONA, stop_tokens=frozenset({greedy[4]})))
    stop = letters(greedy[3:6])
    engine.submit(request("text", PERSONA, text=Letters(stop)))
    # A text that might be the beginning of a stop string is given out when the generation ends without it.
    engine.submit(request("nearly", PERSONA, text=Letters(letters(greedy[9:]) + "?!")))
    outputs = run(engine)
    found = ends(outputs)
    at = greedy.index(greedy[4])
    assert (found["token"].reason, found["token"].text) == ("stop", letters(greedy[:at]))
    assert (found["text"].reason, found["text"].text) == ("stop", letters(greedy).split(stop)[0])
    assert (found["nearly"].reason, found["nearly"].text) == ("length", letters(greedy))
    assert text_of(outputs, "nearly") == letters(greedy)


def test_an_exception_ends_its_generation_alone() -> None:
    engine, _ = engine_of(MODEL)
    engine.submit(request("bad", PERSONA, text=Letters(fail_at=3)))
    engine.submit(request("good", PERSONA[1:]))
    outputs = run(engine)
    found = ends(outputs)
    assert (found["bad"].reason, found["bad"].error) == ("error", "RuntimeError: no such letter")
    assert found["good"].text == letters(alone(PERSONA[1:]))
    assert engine.rows.free == {0, 1}


def test_a_failing_batch_is_retried_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, _ = engine_of(MODEL)
    real = engine.decode

    def decode(rows: Any, tokens: Any) -> Any:
        if 0 in rows and engine.rows.cache.lengths[0] == len(PERSONA) + 3:
            raise RuntimeError("row 0 is cursed")
        return real(rows, tokens)

    monkeypatch.setattr(engine, "decode", decode)
    engine.submit(request("bad", PERSONA))
    engine.submit(request("good", PERSONA[1:]))
    found = ends(run(engine))
    assert (found["bad"].reason, found["bad"].completion_tokens) == ("error", 4)
    assert found["good"].text == letters(alone(PERSONA[1:]))


def test_a_failing_prefill_ends_its_generation(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, _ = engine_of(MODEL)
    monkeypatch.setattr(engine_module, "prefill", lambda *_: 1 / 0)
    engine.submit(request("a", PERSONA))
    end = ends(run(engine))["a"]
    assert (end.reason, end.error, end.pieces) == ("error", "ZeroDivisionError: division by zero", 0)
    assert engine.rows.used == 0


def test_a_running_stream_gets_a_token_at_every_step_while_others_join() -> None:
    engine, _ = engine_of(MODEL, prefill_chunk=16)
    engine.submit(request("running", PERSONA[:5], max_tokens=40))
    engine.step()
    engine.submit(request("joining", PERSONA * 2))
    # The clock stands still, so the engine knows no speed and takes its smallest chunk: 80 / 16 steps.
    joined_at = None
    for step in range(10):
        outputs = engine.step()
        names = [one.request.generation for one in outputs if isinstance(one, Piece)]
        assert names.count("running") == 1
        if "joining" in names and joined_at is None:
            joined_at = step
    assert joined_at == 4


def test_chunks_for_company_follow_the_measured_speed() -> None:
    engine, _ = engine_of(MODEL, prefill_chunk=64)
    engine.submit(request("running", PERSONA[:5], max_tokens=60))
    engine.step()
    engine.prefill_tokens_per_s = 1000.0
    engine.submit(request("joining", PERSONA * 2))
    engine.step()
    (joining,) = [one for one in engine.running if not one.is_decoding]
    assert joining.filled - joining.cached_tokens == 30


def test_figures_of_an_ending() -> None:
    engine, clock = engine_of(MODEL, prefill_chunk=128)
    engine.submit(request("a", PERSONA))
    clock.advance(0.5)
    engine.step()
    for _ in range(9):
        clock.advance(0.1)
        outputs = engine.step()
    end = ends(outputs)["a"]
    assert end.first_token_ms == pytest.approx(500)
    assert end.tokens_per_s == pytest.approx(10)
    assert end.elapsed_ms == pytest.approx(1400)
    assert engine.tokens_total == 10
    assert engine.rows.used == len(PERSONA) + 9


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["submit", "cancel", "step"]), st.integers(0, 5), st.integers(1, 60)),
        max_size=40,
    ),
    st.integers(1, 3),
)
def test_whatever_happens_every_text_is_what_it_would_be_alone(
    script: list[tuple[str, int, int]], slots: int
) -> None:
    engine, _ = engine_of(MODEL, slots=slots, prefill_chunk=16, queue_limit=100)
    prompts: dict[str, list[int]] = {}
    outputs: list[Output] = []
    for action, which, length in script:
        if action == "submit":
            # Six conversations that share beginnings of different lengths.
            name = f"g{len(prompts)}"
            prompts[name] = [*PERSONA[: 8 * which], *PERSONA[which : which + length]]
            engine.submit(request(name, prompts[name]))
        elif action == "cancel":
            outputs += engine.cancel(lambda one, which=which: one.generation == f"g{which}")
        else:
            for _ in range(which):
                outputs += engine.step()
    outputs += run(engine)
    found = ends(outputs)
    assert set(found) == set(prompts)
    assert engine.rows.free == set(range(slots))
    for name, end in found.items():
        whole = letters(alone(prompts[name]))
        assert end.reason in ("length", "cancelled")
        assert whole.startswith(end.text)
        assert end.text == whole or end.reason == "cancelled"
    for row, held in enumerate(engine.rows.held):
        assert len(held) == engine.rows.cache.lengths[row]


def test_slots_share_one_budget_and_what_does_not_fit_waits() -> None:
    engine, _ = engine_of(MODEL, slots=3, kv_tokens=120)
    prompts = {name: [*PERSONA, index] for index, name in enumerate("abc")}
    for name, tokens in prompts.items():
        engine.submit(request(name, tokens))
    outputs = engine.step()
    assert {one.request.generation for one in engine.running} == {"a", "b"}  # each may grow to 51
    outputs += run(engine)
    for name, tokens in prompts.items():
        assert text_of(outputs, name) == letters(alone(tokens))
    assert engine.rows.used <= 120


def test_a_conversation_larger_than_the_budget_is_refused() -> None:
    engine, _ = engine_of(MODEL, slots=3, kv_tokens=50)
    assert engine.context == 50
    with pytest.raises(RefusedError, match="do not fit the context of 50"):
        engine.submit(request("a", [*PERSONA, 1]))
    engine.submit(request("b", PERSONA))
    assert text_of(run(engine), "b") == letters(alone(PERSONA))
