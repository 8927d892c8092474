"""Whoever leaves takes his generations with him: the llm is told at once."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest
from door_helpers import Running
from waiting import until_true

from shared.bus import Bus, Message
from shared.events import Finished, Token

pytest_plugins = ("door_fixtures",)

HELLO: Any = [{"role": "user", "content": "Hello!"}]
LONG: Any = {"model": "tiny", "messages": HELLO, "temperature": 0}


@pytest.fixture
def bus(running: Running, url: str) -> Iterator[Bus]:
    """Hears what the llm says."""
    with Bus.open("overhearer", ("llm.token", "llm.finished"), settings=running.bus) as opened:
        yield opened


def endings(bus: Bus, count: int) -> list[Finished]:
    found: list[Finished] = []
    for item in bus.events(20.0):
        if isinstance(item, Message) and isinstance(item.payload, Finished):
            found.append(item.payload)
            if len(found) == count:
                break
    return found


def first_token(bus: Bus) -> None:
    next(item for item in bus.events(20.0) if isinstance(item.payload, Token))


def test_a_stream_that_is_closed_is_cancelled(client: openai.OpenAI, bus: Bus) -> None:
    stream = client.chat.completions.create(**LONG, stream=True, n=2)
    for _ in range(8):
        next(stream)
    stream.close()
    assert [ending.reason for ending in endings(bus, 2)] == ["cancelled", "cancelled"]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
def test_a_client_that_hangs_up_while_it_waits_is_cancelled(url: str, bus: Bus, path: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    body = {**LONG, "prompt": "Hello", "max_tokens": 900}
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    first_token(bus)
    connection.close()
    (ending,) = endings(bus, 1)
    assert ending.reason == "cancelled"
    assert ending.completion_tokens < 900


def test_who_hangs_up_while_he_waits_in_line_loses_his_place(
    client: openai.OpenAI, bus: Bus, url: str
) -> None:
    running = [client.chat.completions.create(**LONG, stream=True) for _ in range(3)]
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    connection.request("POST", "/v1/chat/completions", json.dumps(LONG), {"Content-Type": "application/json"})
    metrics = url.removesuffix("/v1") + "/metrics"

    def queued() -> bool:
        return "akane_llm_generations_queued 1" in client.get(metrics, cast_to=str)

    until_true(queued)
    connection.close()
    until_true(lambda: not queued())
    for stream in running:
        stream.close()
    assert {ending.reason for ending in endings(bus, 4)} <= {"cancelled", "length"}


def test_metrics_tell_of_it(client: openai.OpenAI, url: str) -> None:
    page = client.get(url.removesuffix("/v1") + "/metrics", cast_to=str)
    found = dict(line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#"))
    assert int(found["akane_api_abandoned_total"]) >= 3
    assert found["akane_api_requests_active"] == "0"
    assert found["akane_llm_ready"] == "1"
    count = int(found["akane_api_first_token_seconds_count"])
    assert count == int(found['akane_api_first_token_seconds_bucket{le="+Inf"}']) > 0
