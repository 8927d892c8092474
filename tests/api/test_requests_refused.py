"""What is wrong with a request is said in OpenAI's shape, in one sentence, and does no harm."""

from __future__ import annotations

import contextlib
import http.client
import json
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest
from waiting import until_true

pytest_plugins = ("door_fixtures",)

HELLO: Any = [{"role": "user", "content": "Hello!"}]
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


@pytest.mark.parametrize(
    ("changes", "param", "sentence"),
    [
        ({"temperature": 3}, "temperature", "less than or equal to 2"),
        ({"temperature": "warm"}, "temperature", "valid number"),
        ({"top_p": 0}, "top_p", "greater than 0"),
        ({"max_tokens": 0}, "max_tokens", "greater than or equal to 1"),
        ({"n": 99}, "n", "less than or equal to 16"),
        ({"presence_penalty": 9}, "presence_penalty", "less than or equal to 2"),
        ({"stop": ["x"] * 17}, "stop", "at most 16"),
        ({"stop": 7}, "stop.str", "string"),
        ({"messages": []}, "messages", "at least 1"),
        ({"messages": "hi"}, "messages", "list"),
        ({"messages": [{"content": "hi"}]}, "messages.0.role", "must be one of system"),
        ({"messages": [{"role": "tool", "content": "hi"}]}, "messages.0.role", "must be one of"),
        ({"messages": [{"role": "user"}]}, "messages.0.content", "must be a text"),
        (
            {"messages": [{"role": "user", "content": [IMAGE]}]},
            "messages.0.content",
            "Only parts of type text",
        ),
        ({"messages": [{"role": "user", "content": "x" * 33_000}]}, "messages.0.content", "at most 32000"),
        ({"tools": [{"type": "function"}]}, "tools", "not supported"),
        ({"logit_bias": {"50": 1}}, "logit_bias", "not supported"),
        ({"top_logprobs": 2}, "top_logprobs", "needs logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "less than or equal to 20"),
        ({"response_format": {"type": "xml"}}, "response_format.type", "json_object"),
        ({"response_format": {"type": "json_schema"}}, "response_format", "json_schema is missing"),
    ],
)
def test_a_wrong_field_is_named(client: openai.OpenAI, changes: Any, param: str, sentence: str) -> None:
    body = {"model": "tiny", "messages": HELLO, **changes}
    with pytest.raises(openai.BadRequestError, match=sentence) as refused:
        client.post("/chat/completions", body=body, cast_to=object)
    assert refused.value.param == param
    assert refused.value.type == "invalid_request_error"


@pytest.mark.parametrize(
    ("schema", "sentence"),
    [
        ({"type": "nonsense"}, "Invalid type: nonsense"),
        ({"$ref": "http://127.0.0.1:1/schema"}, "json_schema is wrong"),
        ({"not": {"type": "string"}}, "Unimplemented keys"),
        ({"type": "string", "pattern": "(("}, "json_schema is wrong"),
    ],
)
def test_a_schema_that_cannot_be_followed(client: openai.OpenAI, schema: Any, sentence: str) -> None:
    form: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    with pytest.raises(openai.BadRequestError, match=sentence):
        client.chat.completions.create(model="tiny", messages=HELLO, response_format=form)


def test_a_conversation_that_does_not_fit(client: openai.OpenAI) -> None:
    talk: Any = [{"role": "user", "content": "why " * 100}, {"role": "assistant", "content": "because"}] * 4
    with pytest.raises(openai.BadRequestError, match="do not fit the context of 1024") as refused:
        client.chat.completions.create(model="tiny", messages=[*talk, *HELLO])
    assert refused.value.code == "context_length_exceeded"


def test_another_model(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="'gpt-9' is not loaded") as refused:
        client.chat.completions.create(model="gpt-9", messages=HELLO)
    assert (refused.value.code, refused.value.param) == ("model_not_found", "model")


def answered(url: str, data: bytes | None, **headers: str) -> tuple[int, Any]:
    request = urllib.request.Request(url, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


@pytest.mark.parametrize(
    ("path", "data", "status", "sentence"),
    [
        ("/chat/completions", b"{", 400, "not JSON"),
        ("/chat/completions", b"\xff\xfe", 400, "not JSON"),
        ("/chat/completions", b"[" * 100_000, 400, "not JSON"),
        ("/chat/completions", b"[]", 400, "must be a JSON object"),
        ("/chat/completions", None, 405, "Wrong method for GET"),
        ("/embeddings", b"{}", 404, "There is no POST /v1/embeddings"),
    ],
)
def test_requests_that_are_none(url: str, path: str, data: bytes | None, status: int, sentence: str) -> None:
    found, body = answered(url + path, data)
    assert found == status
    assert sentence in body["error"]["message"]
    assert body["error"].keys() == {"message", "type", "param", "code"}


def test_a_lone_surrogate_is_text_like_any_other(url: str) -> None:
    body = {"messages": [{"role": "user", "content": "\ud800 hi"}], "max_tokens": 2}
    status, answer = answered(f"{url}/chat/completions", json.dumps(body).encode())
    assert status in (200, 400), answer


def test_a_body_that_is_too_large_is_refused_unread(url: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    connection.putrequest("POST", "/v1/chat/completions")
    connection.putheader("Content-Length", str(5 << 20))
    connection.endheaders(b"{")
    answer = connection.getresponse()
    assert answer.status == 413
    assert "larger than 4 MB" in json.loads(answer.read())["error"]["message"]
    connection.close()


def test_a_body_that_turns_out_too_large_is_refused(url: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    parts = (b"x" * (1 << 20) for _ in range(5))
    headers = {"Transfer-Encoding": "chunked"}
    with contextlib.suppress(OSError):  # the door may close as soon as it has answered
        connection.request("POST", "/v1/chat/completions", parts, headers, encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()


def test_the_queue_is_finite_and_frees_itself(client: openai.OpenAI) -> None:
    """Three slots, two places in line: the sixth is told to come again, and who leaves makes room."""
    asked: Any = {"model": "tiny", "messages": HELLO, "temperature": 0, "stream": True}
    streams: list[Any] = []

    def one_more() -> openai.RateLimitError | None:
        try:
            streams.append(client.chat.completions.create(**asked))
        except openai.RateLimitError as refused:
            return refused
        return None

    try:
        refused = until_true(one_more)
        assert "are waiting already" in str(refused)
        assert refused.response.headers["retry-after"] == "1"
        assert len(streams) >= 5
    finally:
        for stream in streams:
            stream.close()

    def answered_again() -> bool:
        try:
            return bool(client.chat.completions.create(model="tiny", messages=HELLO, max_tokens=2).choices)
        except openai.RateLimitError:
            return False

    until_true(answered_again)
