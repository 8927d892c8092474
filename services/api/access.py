"""Who may come in: the key, the Host and Origin headers, the size of what is sent. ASGI middleware."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.api.answers import error_response
from services.api.errors import ApiError

MAX_BODY_BYTES = 4 << 20
KEY_FREE_PATHS = ("/health",)
"""Need no key: what a load balancer or a container asks."""
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Rules:
    """`is_local`: the door listens where only this machine can reach it."""

    keys: Sequence[str]
    origins: Sequence[str]
    host: str
    is_local: bool


def judge(rules: Rules, path: str, headers: Mapping[str, str]) -> ApiError | None:
    """None for a request that may pass. A page of a foreign site must not use the door through a visitor's
    browser, neither by a script (Origin) nor by a name that it makes point to this machine (Host)."""
    has_key = _has_key(rules.keys, headers.get("authorization", ""))
    if path not in KEY_FREE_PATHS and rules.keys and not has_key:
        message = "An API key is needed: send it as `Authorization: Bearer KEY`."
        if headers.get("authorization"):
            message = "The API key is wrong."
        return ApiError(401, message, code="invalid_api_key")
    origin = headers.get("origin")
    if origin is not None and not is_known_origin(rules, origin):
        return ApiError(
            403, f"Scripts of {origin[:100]} may not use this server: add it to api.origins.", code="origin"
        )
    if rules.is_local and not has_key:
        host = _hostname(f"//{headers.get('host', '')}")
        if host not in (*LOCAL_HOSTS, rules.host) and not host.endswith(".localhost"):
            return ApiError(403, f"The Host header names {host[:100]!r}, not this machine.", code="host")
    return None


def is_known_origin(rules: Rules, origin: str) -> bool:
    """A page of this machine, or one that the settings name."""
    return origin in rules.origins or _hostname(origin) in LOCAL_HOSTS


def _has_key(keys: Sequence[str], authorization: str) -> bool:
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() != "bearer":
        return False
    return any(hmac.compare_digest(given.strip().encode(), key.encode()) for key in keys)


def _hostname(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


class Access:
    """Lets pass what the rules allow and answers browsers' questions about it (CORS)."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self._app = app
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if scope["method"] == "OPTIONS" and origin and is_known_origin(self._rules, origin):
            allowed = {"Access-Control-Allow-Methods": "GET, POST", "Access-Control-Max-Age": "600"}
            asked = headers.get("access-control-request-headers", "authorization, content-type")
            response = Response(status_code=204, headers={**allowed, "Access-Control-Allow-Headers": asked})
            await response(scope, receive, _opened(send, origin))
            return
        refusal = judge(self._rules, scope["path"], headers)
        if refusal is None and _length(headers) > MAX_BODY_BYTES:
            refusal = ApiError(413, f"The request is larger than {MAX_BODY_BYTES >> 20} MB.")
        opened = _opened(send, origin) if origin and is_known_origin(self._rules, origin) else send
        if refusal is not None:
            await error_response(refusal)(scope, receive, opened)
            return
        await self._app(scope, receive, opened)


def _opened(send: Send, origin: str) -> Send:
    async def with_origin(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["Access-Control-Allow-Origin"] = origin
            headers["Vary"] = "Origin"
        await send(message)

    return with_origin


def _length(headers: Headers) -> int:
    try:
        return int(headers.get("content-length", "0"))
    except ValueError:
        return 0
