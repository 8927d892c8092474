"""Who may read the bus and who may command her: token, Host and Origin; and the headers of every answer."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.access import LOCAL_HOSTS, bearer, hostname, is_key, names_this_machine

COMMANDING = ("/control", "/command/")
"""Paths that begin so always need the token."""
READING = ("/bus", "/model.vrm")
"""What she says, and a model that may not be everybody's: for pages of this stage and who has the token."""
PASSED_ON = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
"""Headers of a proxy: whoever asked it may sit anywhere."""
LINK = "`python -m services.stage --link` prints the addresses"
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "font-src 'self'; connect-src 'self' blob:; base-uri 'none'; form-action 'none'"
)
"""Nothing from elsewhere, no script and no style inside a page: chat text can be nothing but text. A blob is
what a script of the page has made itself: a model's pictures, cut out of its file."""
HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True)
class Rules:
    """`is_local`: the stage listens where only this machine can reach it; `host` is where."""

    token: str
    origins: Sequence[str]
    host: str
    is_local: bool


@dataclass(frozen=True)
class Refusal:
    """An HTTP status and one sentence."""

    status: int
    sentence: str


def is_from_here(rules: Rules, headers: Mapping[str, str], peer: str) -> bool:
    """A program of this machine asks, at a loopback address.

    The name it asks for counts as well as the address `peer` that it has: a foreign page can give its own
    name this machine's address, and so reach the stage from a browser here.
    """
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    own = rules.host if rules.is_local else LOCAL_HOSTS[0]
    is_named = names_this_machine(headers.get("host", ""), own)
    return address.is_loopback and is_named and not any(name in headers for name in PASSED_ON)


def judge(rules: Rules, path: str, headers: Mapping[str, str], given: str, peer: str) -> Refusal | None:
    """None for what may pass. `given` is the token of the query, a header may bring it too; `peer` asks."""
    given = bearer(headers.get("authorization", "")) or given
    if is_key((rules.token,), given):
        return None
    if path.startswith(COMMANDING):
        return Refusal(401, "The token is wrong." if given else f"{path} needs the token: ?token=…")
    host = headers.get("host", "")
    if rules.is_local and not names_this_machine(host, rules.host):
        return Refusal(403, f"The Host header names {hostname(f'//{host}')[:100]!r}, not this machine.")
    if path not in READING:
        return None
    if given:
        return Refusal(401, f"The token is wrong: {LINK} with the right one.")
    if not is_from_here(rules, headers, peer):
        return Refusal(401, f"From here the token is needed (?token=…): {LINK} with it.")
    origin = headers.get("origin")
    if origin is None or origin in (f"http://{host}", *rules.origins):  # no Origin: no browser
        return None
    return Refusal(403, f"Pages of {origin[:100]} need the token, or a place in stage.origins.")


def refusal_of(rules: Rules, path: str, scope: Scope) -> Refusal | None:
    """`judge` for who sent the request of `scope`."""
    given = QueryParams(scope["query_string"]).get("token", "")
    peer = (scope.get("client") or ("",))[0]
    return judge(rules, path, Headers(scope=scope), given, peer)


class Access:
    """ASGI middleware: lets pass what the rules allow, and adds the headers that keep pages harmless."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self._app = app
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] not in ("http", "websocket"):
            return
        path = scope["path"]
        is_open = path.startswith(COMMANDING)
        if scope["type"] == "http":
            send = _with_headers(send, is_open)
            if is_open and scope["method"] == "OPTIONS":
                await Response(status_code=204)(scope, receive, send)
                return
        refusal = refusal_of(self._rules, path, scope)
        if refusal is None:
            await self._app(scope, receive, send)
            return
        await JSONResponse({"error": refusal.sentence}, refusal.status)(scope, receive, send)


def _with_headers(send: Send, is_open: bool) -> Send:
    """Commands may come from any page that has the token: there is nothing else that would let it in."""
    added = dict(HEADERS)
    if is_open:
        added["Access-Control-Allow-Origin"] = "*"
        added["Access-Control-Allow-Headers"] = "authorization, content-type"
        added["Content-Security-Policy"] = f"{CONTENT_POLICY}; frame-ancestors 'none'"

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(added)
        await send(message)

    return sending
