"""Who may come in: the key, the Host and Origin headers, the size of what is sent. ASGI middleware."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.api.answers import error_response
from services.api.errors import ApiError
from shared.access import LOCAL_HOSTS, bearer, hostname, is_key, names_this_machine
from shared.config import ApiSettings
from shared.web import AddressInUse, is_local

MAX_BODY_BYTES = 4 << 20
KEY_FREE_PATHS = ("/health",)
"""Need no key: what a load balancer or a container asks."""


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
    has_key = is_key(rules.keys, bearer(headers.get("authorization", "")))
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
        host = headers.get("host", "")
        if not names_this_machine(host, rules.host):
            return ApiError(
                403, f"The Host header names {hostname(f'//{host}')[:100]!r}, not this machine.", code="host"
            )
    return None


def require_safe(settings: ApiSettings) -> None:
    """AddressInUse when other machines could use the door without a key."""
    if not settings.keys and not is_local(settings.host):
        raise AddressInUse(
            f"api.host is {settings.host!r}, which other machines can reach: set api.keys "
            "(or AKANE_API_KEYS), or listen at 127.0.0.1."
        )


def is_known_origin(rules: Rules, origin: str) -> bool:
    """A page of this machine, or one that the settings name."""
    return origin in rules.origins or hostname(origin) in LOCAL_HOSTS


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
