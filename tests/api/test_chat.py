"""Chat completions as the official client sees them."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest

pytest_plugins = ("door_fixtures",)

HELLO: Any = [{"role": "user", "content": "Hello!"}]


def text_of(client: openai.OpenAI, **changes: Any) -> str:
    values = {"model": "tiny", "messages": HELLO, "max_tokens": 24, "seed": 1, **changes}
    return client.chat.completions.create(**values).choices[0].message.content or ""


def test_a_completion(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="tiny", messages=HELLO, max_tokens=20, seed=1)
    choice = answer.choices[0]
    assert answer.object == "chat.completion"
    assert answer.model == "tiny"
    assert choice.message.role == "assistant"
    assert choice.message.content
    assert choice.finish_reason in ("stop", "length")
    assert answer.usage is not None
    assert 0 < answer.usage.completion_tokens <= 20
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_stream_is_the_completion_in_pieces(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="tiny", messages=HELLO, max_tokens=30, seed=5)
    stream = client.chat.completions.create(
        model="tiny",
        messages=HELLO,
        max_tokens=30,
        seed=5,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert len(chunks) > 5
    reasons = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
    assert reasons[-1] == whole.choices[0].finish_reason
    assert set(reasons[:-1]) == {None}
    assert chunks[-1].choices == []
    assert whole.usage is not None
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert len({chunk.id for chunk in chunks}) == 1


def test_one_seed_one_text(client: openai.OpenAI) -> None:
    assert text_of(client, seed=3) == text_of(client, seed=3) != text_of(client, seed=4)


def test_stop_strings_end_it_before_them(client: openai.OpenAI) -> None:
    whole = text_of(client, temperature=0)
    stop = whole[6:9]
    answer = client.chat.completions.create(
        model="tiny", messages=HELLO, max_tokens=24, temperature=0, stop=["never said", stop]
    )
    assert answer.choices[0].message.content == whole[: whole.index(stop)]
    assert answer.choices[0].finish_reason == "stop"


def test_the_newer_name_of_max_tokens(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="tiny", messages=HELLO, max_completion_tokens=3, max_tokens=50, temperature=0
    )
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 3
    assert answer.choices[0].finish_reason == "length"


def test_without_max_tokens_it_goes_on_until_the_context_is_full(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="tiny", messages=HELLO, temperature=0)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 1024


def test_penalties_change_what_is_said(client: openai.OpenAI) -> None:
    plain = text_of(client, temperature=0)
    assert text_of(client, temperature=0, frequency_penalty=0.0, presence_penalty=0.0) == plain
    most_common = max(set(plain), key=plain.count)
    frequency = text_of(client, temperature=0, frequency_penalty=2.0)
    presence = text_of(client, temperature=0, presence_penalty=2.0)
    assert frequency.count(most_common) < plain.count(most_common)
    assert len(set(presence)) > len(set(plain))


def test_several_choices_differ_and_repeat_with_their_seed(client: openai.OpenAI) -> None:
    asked: Any = {"model": "tiny", "messages": HELLO, "max_tokens": 16, "seed": 9, "n": 3}
    answer = client.chat.completions.create(**asked)
    texts = [choice.message.content for choice in answer.choices]
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert len(set(texts)) == 3
    assert answer.usage is not None
    assert answer.usage.prompt_tokens < 60  # the prompt counts once
    streamed = ["", "", ""]
    for chunk in client.chat.completions.create(**asked, stream=True):
        streamed[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert streamed == texts


def test_log_probabilities_whole_and_streamed(client: openai.OpenAI) -> None:
    asked: Any = {
        "model": "tiny", "messages": HELLO, "max_tokens": 12, "temperature": 0, "logprobs": True, "top_logprobs": 3
    }  # fmt: skip
    answer = client.chat.completions.create(**asked)
    choice = answer.choices[0]
    assert choice.logprobs is not None
    entries = choice.logprobs.content or []
    assert answer.usage is not None
    assert len(entries) == answer.usage.completion_tokens == 12
    assert "".join(entry.token for entry in entries) == choice.message.content
    for entry in entries:
        assert entry.logprob <= 0.0
        assert bytes(entry.bytes or []).decode() == entry.token
        assert len(entry.top_logprobs) == 3
        assert entry.top_logprobs[0].logprob == entry.logprob  # greedy takes the best
        assert sum(math.exp(top.logprob) for top in entry.top_logprobs) <= 1.0 + 1e-6
    streamed = []
    for chunk in client.chat.completions.create(**asked, stream=True):
        if (part := chunk.choices[0].logprobs) is not None:
            streamed += part.content or []
    assert streamed == entries


def test_without_asking_there_are_no_log_probabilities(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="tiny", messages=HELLO, max_tokens=3)
    assert answer.choices[0].logprobs is None


SCHEMA: Any = {
    "type": "object",
    "properties": {
        "mood": {"enum": ["happy", "sad"]},
        "age": {"type": "integer", "minimum": 0, "maximum": 99},
        "friends": {"type": "array", "items": {"type": "boolean"}, "maxItems": 3},
    },
    "required": ["mood", "age", "friends"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("seed", range(5))
def test_a_reply_follows_its_json_schema(client: openai.OpenAI, seed: int) -> None:
    form: Any = {"type": "json_schema", "json_schema": {"name": "guest", "schema": SCHEMA, "strict": True}}
    answer = client.chat.completions.create(
        model="tiny", messages=HELLO, seed=seed, temperature=1.5, max_tokens=200, response_format=form
    )
    assert answer.choices[0].finish_reason == "stop"
    said = json.loads(answer.choices[0].message.content or "")
    assert list(said) == ["mood", "age", "friends"]
    assert said["mood"] in ("happy", "sad")
    assert 0 <= said["age"] <= 99
    assert len(said["friends"]) <= 3
    assert all(isinstance(one, bool) for one in said["friends"])


def test_a_json_object_is_one_as_far_as_it_gets(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="tiny", messages=HELLO, seed=1, max_tokens=300, response_format={"type": "json_object"}
    )
    text = answer.choices[0].message.content or ""
    assert text.startswith("{")
    if answer.choices[0].finish_reason == "stop":
        assert isinstance(json.loads(text), dict)


def test_messages_in_all_their_forms(client: openai.OpenAI) -> None:
    said = text_of(client, messages=[{"role": "user", "content": [
        {"type": "text", "text": "Hel"}, {"type": "text", "text": "lo!"}]}])  # fmt: skip
    assert said == text_of(client)
    assert text_of(client, messages=[{"role": "developer", "content": "Be kind."}, *HELLO]) == text_of(
        client, messages=[{"role": "system", "content": "Be kind."}, *HELLO]
    )
    assert text_of(client, messages=[*HELLO, {"role": "assistant", "content": None}, *HELLO])


def test_more_clients_than_slots_all_get_their_own_answer(client: openai.OpenAI) -> None:
    alone = [text_of(client, seed=seed) for seed in range(5)]
    with ThreadPoolExecutor(5) as pool:
        together = list(pool.map(lambda seed: text_of(client, seed=seed), range(5)))
    assert together == alone


@pytest.mark.parametrize("name", ["tiny", "akane", "default"])
def test_names_of_the_loaded_model(client: openai.OpenAI, name: str) -> None:
    assert client.chat.completions.create(model=name, messages=HELLO, max_tokens=1).model == "tiny"


def test_models(client: openai.OpenAI) -> None:
    (only,) = client.models.list().data
    assert (only.id, only.object, only.owned_by) == ("tiny", "model", "akane")
    assert client.models.retrieve("tiny") == only
    with pytest.raises(openai.NotFoundError, match="'gpt-9' is not loaded: this server runs 'tiny'") as found:
        client.models.retrieve("gpt-9")
    assert found.value.code == "model_not_found"
