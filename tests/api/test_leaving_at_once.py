"""A client that leaves at any of the first steps: each generation that was begun for it is dropped."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from services.api.app import make_app
from services.api.door import Begin, Call, Door, Drop, LlmView, Update
from services.api.reading import Delta
from shared.config import ApiSettings
from shared.events import LlmStats

STATS = LlmStats(model="tiny", device="cpu", dtype="float32", parameters=1, context=100, slots=2)


class Client:
    """One request over ASGI whose client is gone after `steps` turns of the event loop."""

    def __init__(self, body: dict[str, Any], steps: int) -> None:
        self._body = json.dumps(body).encode()
        self._steps = steps
        self._has_body = False
        self.on_leaving: list[Callable[[Update], None]] = []

    async def receive(self) -> dict[str, Any]:
        if not self._has_body:
            self._has_body = True
            return {"type": "http.request", "body": self._body, "more_body": False}
        for _ in range(self._steps):
            await asyncio.sleep(0)
        for deliver in self.on_leaving:
            deliver(Delta("Hi"))
        await asyncio.sleep(0)
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        await asyncio.sleep(0)


def calls_of(body: dict[str, Any], steps: int) -> list[Call]:
    """What the bus was asked for by a request whose llm accepts, and speaks in the moment that the client goes."""
    calls: list[Call] = []

    def call(asked: Call) -> None:
        calls.append(asked)
        if isinstance(asked, Begin):
            asked.deliver(None)
            client.on_leaving.append(asked.deliver)

    client = Client(body, steps)

    async def run() -> None:
        door = Door(call)
        door.view = LlmView(STATS, "ready")
        app = make_app(door, ApiSettings(), is_local=True)
        headers = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json")]
        scope = {
            "type": "http", "method": "POST", "path": "/v1/chat/completions", "raw_path": b"", "query_string": b"",
            "root_path": "", "scheme": "http", "headers": headers, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 1),
        }  # fmt: skip
        await asyncio.wait_for(app(scope, client.receive, client.send), 10.0)

    asyncio.run(run())
    return calls


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("steps", range(16))
def test_whoever_leaves_at_once_leaves_nothing_running(stream: bool, steps: int) -> None:
    body = {"model": "tiny", "messages": [{"role": "user", "content": "Hello!"}], "stream": stream, "n": 2}
    calls = calls_of(body, steps)
    begun = {one.command.generation for one in calls if isinstance(one, Begin)}
    dropped = {one.generation for one in calls if isinstance(one, Drop)}
    assert begun == dropped
