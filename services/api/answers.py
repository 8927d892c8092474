"""HTTP answers: JSON, errors, streams of server-sent events; a client that leaves ends the work for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from services.api.errors import ApiError, invalid

Result = TypeVar("Result")
_ESCAPES = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}
"""Line ends to some readers of event streams, though not to the standard."""


BODY_S = 30.0
"""Longest that a request's body may take to arrive."""


class ClientGone(Exception):
    """Nobody waits for the answer any more."""


def error_response(error: ApiError) -> Response:
    """The error as an answer of its own."""
    headers = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(error.body(), error.status, headers)


async def json_body(request: Request, limit: int) -> dict[str, Any]:
    """The request's JSON object. Raises ApiError."""
    try:
        raw = await asyncio.wait_for(_body(request, limit), BODY_S)
    except asyncio.TimeoutError:
        raise ApiError(408, f"The request did not arrive within {BODY_S:.0f} s.") from None
    except ClientDisconnect:
        raise ClientGone from None
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        raise invalid("The body is not JSON.") from None
    if not isinstance(body, dict):
        raise invalid("The body must be a JSON object.")
    return body


async def _body(request: Request, limit: int) -> bytearray:
    raw = bytearray()
    async for part in request.stream():
        raw += part
        if len(raw) > limit:
            raise ApiError(413, f"The request is larger than {limit >> 20} MB.")
    return raw


async def while_connected(receive: Receive, work: Coroutine[Any, Any, Result]) -> Result:
    """The result of `work`, which is cancelled when the client leaves: then ClientGone is raised."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientGone
    finally:
        task.cancel()
        gone.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def event(data: Any) -> bytes:
    """One server-sent event."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return f"data: {text.translate(_ESCAPES)}\n\n".encode("utf-8", "replace")


class EventStream(Response):
    """Sends `events` as they come; at the end, or when the client leaves, closes them and calls `close`.

    `close` frees what stands behind the events: a generator that was never begun, or is left at an early
    yield, runs none of its own clean-up.
    """

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[bytes, None], close: Callable[[], None]) -> None:
        super().__init__(headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._events = events
        self._close = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        try:
            await while_connected(receive, self._send(send))
        except (ClientGone, OSError):
            return
        finally:
            await self._events.aclose()
            self._close()

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for data in self._events:
            await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
