"""Whatever JSON a client or a backend sends, it becomes a command, a chunk, or one sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from services.api.access import KEY_FREE_PATHS, Rules, judge
from services.api.asked import ChatAsked, TextAsked
from services.api.errors import ApiError
from services.api.reading import Delta
from services.api.shapes import ChatShape, TextShape
from services.llm.backend_stream import BackendError, Chunk, chunks, parse_chunk, request_of
from shared.commands import Generate

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


def like(good: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A good body in which any field may be anything."""
    fields = {name: st.just(value) | json_values for name, value in good.items()}
    return st.fixed_dictionaries({}, optional=fields)


CHAT = {
    "model": "tiny", "messages": [{"role": "user", "content": "hi"}], "stream": True, "n": 2, "seed": 1,
    "stop": ["a"], "temperature": 0.5, "top_p": 0.5, "max_tokens": 5, "max_completion_tokens": 5, "logprobs": True,
    "top_logprobs": 1, "response_format": {"type": "json_object"}, "tools": [], "logit_bias": {},
    "stream_options": {"include_usage": True}, "top_k": 3, "min_p": 0.1, "presence_penalty": 0.1,
}  # fmt: skip
MESSAGE = {"role": "user", "content": [{"type": "text", "text": "hi"}], "name": "x", "tool_calls": None}
TEXT = {
    "prompt": ["a", "b"],
    "n": 1,
    "echo": True,
    "logprobs": None,
    "suffix": None,
    "best_of": 1,
    "max_tokens": 3,
}
CHUNK = {
    "choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop", "logprobs": {"content": [
        {"token": "hi", "logprob": -1.0, "bytes": [104, 105], "top_logprobs": []}]}}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 0}},
    "error": None,
}  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.one_of(like(CHAT), like(MESSAGE).map(lambda one: {**CHAT, "messages": [one]})))
def test_any_chat_request(body: dict[str, Any]) -> None:
    try:
        asked = ChatAsked.model_validate(body)
        commands = asked.commands("id")
    except (ValidationError, ApiError):
        return
    assert 1 <= len(commands) == (asked.n or 1)
    assert len({command.generation for command in commands}) == len(commands)


@settings(max_examples=100, deadline=None)
@given(like(TEXT))
def test_any_text_request(body: dict[str, Any]) -> None:
    try:
        commands = TextAsked.model_validate(body).commands("id")
    except (ValidationError, ApiError):
        return
    assert all(command.prompt and not command.messages for command in commands)


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        like(CHUNK),
        like(CHUNK["choices"][0]).map(lambda choice: {"choices": [choice]}),
        like(CHUNK["choices"][0]["logprobs"]["content"][0]).map(
            lambda entry: {"choices": [{"delta": {}, "logprobs": {"content": [entry]}}]}
        ),
        like({"tokens": ["a"], "token_logprobs": [-1.0], "top_logprobs": [{"a": -1.0}]}).map(
            lambda logprobs: {"choices": [{"text": "a", "logprobs": logprobs}]}
        ),
        json_values,
    )
)
def test_any_chunk_of_a_backend(data: Any) -> None:
    try:
        chunk = parse_chunk(json.dumps(data))
    except BackendError:
        return
    assert isinstance(chunk, Chunk)
    assert isinstance(chunk.text, str)
    if chunk.text:
        delta = Delta(chunk.text, chunk.logprobs)
        for shape in (ChatShape("id", "m", True), TextShape("id", "m", True, [""])):
            json.dumps(shape.piece(0, delta), allow_nan=False)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=30), max_size=8))
def test_any_bytes_of_a_backend(lines: list[bytes]) -> None:
    try:
        found = list(chunks([*lines, b"data: [DONE]\n", b"\n"]))
    except BackendError:
        return
    assert any(chunk.reason for chunk in found)


@given(st.dictionaries(st.sampled_from(["host", "origin", "authorization"]), st.text(max_size=30)))
def test_any_headers(headers: dict[str, str]) -> None:
    rules = Rules(keys=("k" * 20,), origins=(), host="0.0.0.0", is_local=False)
    assert judge(rules, "/v1/models", headers) is not None
    assert set(KEY_FREE_PATHS) == {"/health"}


@pytest.mark.parametrize("prompt", [None, "raw"])
def test_every_field_of_a_command_reaches_a_backend(prompt: str | None) -> None:
    messages = [] if prompt else [{"role": "user", "content": "hi"}]
    command = Generate(
        generation="g", messages=messages, prompt=prompt, max_tokens=None, temperature=0.5, top_k=7, top_p=0.9, min_p=0.1,
        repetition_penalty=1.5, presence_penalty=0.25, frequency_penalty=-0.25, logprobs=3, json_schema='{"type": "null"}',
        stop=["x"], seed=4,
    )  # fmt: skip
    path, body = request_of(command, command.messages, "m")
    assert path == ("/completions" if prompt else "/chat/completions")
    assert body["response_format"]["json_schema"]["schema"] == {"type": "null"}
    assert {name: body[name] for name in ("temperature", "top_k", "top_p", "min_p", "seed", "stop")} == {
        "temperature": 0.5, "top_k": 7, "top_p": 0.9, "min_p": 0.1, "seed": 4, "stop": ["x"]}  # fmt: skip
    assert (body["presence_penalty"], body["frequency_penalty"]) == (0.25, -0.25)
    assert body["repetition_penalty"] == body["repeat_penalty"] == 1.5
    assert "max_tokens" not in body
    assert (body["logprobs"], body.get("top_logprobs")) == ((3, None) if prompt else (True, 3))
