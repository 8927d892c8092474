"""The older completions endpoint: a text that goes on."""

from __future__ import annotations

from typing import Any

import openai
import pytest

pytest_plugins = ("door_fixtures",)


def test_a_text_goes_on(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="tiny", prompt="Hello there my d", temperature=0)
    choice = answer.choices[0]
    assert answer.object == "text_completion"
    assert choice.text.strip()
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 16
    assert answer.usage.prompt_tokens == len("Hello there my d")  # no template, a token a byte
    assert choice.finish_reason == "length"


def test_a_stream_with_echo(client: openai.OpenAI) -> None:
    asked: Any = {"model": "tiny", "prompt": "The moon", "temperature": 0, "max_tokens": 8, "echo": True}
    whole = client.completions.create(**asked).choices[0].text
    pieces = [chunk.choices[0].text for chunk in client.completions.create(**asked, stream=True)]
    assert whole.startswith("The moon")
    assert "".join(pieces) == whole
    assert len(pieces) == 10  # the echo, eight tokens, the end


def test_several_prompts_with_several_choices(client: openai.OpenAI) -> None:
    answer = client.completions.create(
        model="tiny", prompt=["Hello", "What a"], n=2, seed=4, max_tokens=10, echo=True
    )
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert [choice.text[:5] for choice in answer.choices] == ["Hello", "Hello", "What ", "What "]
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == len("Hello") + len("What a")


def test_log_probabilities_in_their_older_form(client: openai.OpenAI) -> None:
    answer = client.completions.create(
        model="tiny", prompt="Hello th", temperature=0, max_tokens=6, logprobs=2
    )
    choice = answer.choices[0]
    found = choice.logprobs
    assert found is not None
    assert "".join(found.tokens or []) == choice.text
    assert found.text_offset == list(range(6))
    assert [max(top.values()) for top in found.top_logprobs or []] == found.token_logprobs


@pytest.mark.parametrize(
    ("changes", "param", "sentence"),
    [
        ({"suffix": "!"}, "suffix", "not supported"),
        ({"best_of": 3}, "best_of", "not supported"),
        ({"echo": True, "logprobs": 1}, "echo", "cannot be combined"),
        ({"prompt": []}, "prompt", "must be from 1 to 16"),
        ({"prompt": ["a"] * 9, "n": 2}, "prompt", "must be from 1 to 16"),
        ({"prompt": [1, 2, 3]}, "prompt.str", "valid string"),
        ({"prompt": ""}, "prompt", "at least 1 character"),
        ({"prompt": "x" * 2000}, "messages", "do not fit the context of 1024"),
    ],
)
def test_what_is_refused(client: openai.OpenAI, changes: Any, param: str, sentence: str) -> None:
    body = {"model": "tiny", "prompt": "Hello", **changes}
    with pytest.raises(openai.BadRequestError, match=sentence) as refused:
        client.post("/completions", body=body, cast_to=object)
    assert refused.value.param == param
