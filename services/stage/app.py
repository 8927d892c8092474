"""The routes: pages, theme, model, `/bus`, commands, and the control page's buttons."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp
from starlette.websockets import WebSocket, WebSocketDisconnect

from services.stage.access import Access, Rules, refusal_of
from services.stage.acting import STATUS, Ask, Bad, button, command_of, fields_of
from services.stage.health import health_of
from services.stage.hub import OFFERED, Full, Hub, Page, notice
from services.stage.model import ADDRESS, ModelError, model_of
from shared.commands import Command, Panic, Reply, StopSpeech
from shared.config import StageSettings
from shared.requests import CommandError

PAGE = Path(__file__).parent / "page"
PAGES = {"/": "index", "/captions": "captions", "/chat": "chat", "/status": "status", "/control": "control"}
THEME = ("accent", "ink", "outline", "background", "font", "caption_px", "chat_px")
"""Settings that the pages are told."""
BAD_REQUEST, TRY_LATER = 1008, 1013
"""WebSocket close codes."""


class Endpoints:
    """What answers the browsers; lives in the event loop's thread. `ask` passes a command to the bus."""

    def __init__(
        self, hub: Hub, settings: StageSettings, rules: Rules, name: str, ask: Callable[[Ask], None]
    ) -> None:
        self._hub = hub
        self._settings = settings
        self._rules = rules
        self._name = name
        self._ask = ask

    def routes(self) -> list[Any]:
        """Path to endpoint."""
        pages = [Route(path, _page(f"{name}.html")) for path, name in PAGES.items()]
        return [
            *pages,
            Route("/theme.json", self.theme),
            Route(ADDRESS, self.model),
            Route("/command/{name}", self.command, methods=["POST"]),
            Route("/control/health", self.health),
            Route("/control/{name}", self.control, methods=["GET", "POST"]),
            WebSocketRoute("/bus", self.bus),
            Mount("/page", StaticFiles(directory=PAGE)),
        ]

    async def theme(self, request: Request) -> Response:
        """GET /theme.json: looks, her name, if there is a model, and why this client may not read the bus.

        A browser tells a page nothing of why its socket was refused.
        """
        colours = dict(colour.split("=") for colour in self._settings.puppet)
        own = self._settings.model_dump(include=set(THEME))
        try:
            model = "there" if await asyncio.to_thread(model_of, self._settings.vrm) else "none"
        except ModelError:
            model = "faulty"  # why is for the terminal: a path has no place on a stream
        refusal = refusal_of(self._rules, "/bus", request.scope)
        refused = refusal.sentence if refusal else ""
        return JSONResponse({**own, **colours, "name": self._name, "model": model, "refused": refused})

    async def model(self, _: Request) -> Response:
        """GET /model.vrm: the file of the settings as it is now; no request can name another one."""
        try:
            file = await asyncio.to_thread(model_of, self._settings.vrm)
        except ModelError:
            raise Bad(404, "The model of the settings cannot be shown: see launcher.py --check.") from None
        if file is None:
            raise Bad(404, "The settings name no model: stage.vrm is empty.")
        return FileResponse(file, media_type="model/gltf-binary")

    async def health(self, _: Request) -> Response:
        """GET /control/health: services, latencies of the last turn, pages."""
        return JSONResponse(health_of(self._hub))

    async def command(self, request: Request) -> Response:
        """POST /command/NAME: the JSON body has the command's fields."""
        return await self._obey(command_of(request.path_params["name"], await fields_of(request)))

    async def control(self, request: Request) -> Response:
        """A button, by GET or POST: fields in the query or in a JSON body."""
        if "prefetch" in request.headers.get("sec-purpose", ""):
            raise Bad(409, "A browser that only guesses presses no buttons.")
        return await self._obey(button(request.path_params["name"], await fields_of(request)))

    async def _obey(self, command: Command) -> Response:
        is_panic = isinstance(command, Panic) and command.muted
        epoch = self._hub.clear() if is_panic else 0  # whatever becomes of the command
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[Reply | CommandError] = loop.create_future()

        def settle(result: Reply | CommandError) -> None:
            if not answered.done():
                answered.set_result(result)

        def answer(result: Reply | CommandError) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits
                loop.call_soon_threadsafe(settle, result)

        self._ask(Ask(command, answer))
        if is_panic:
            # The director may hang; its next epoch is never below this one, so nothing of it is refused.
            self._ask(Ask(StopSpeech(epoch=epoch), lambda _: None))
        result = await answered
        if isinstance(result, CommandError):
            return JSONResponse({"error": str(result), "code": result.code}, STATUS.get(result.code, 503))
        return JSONResponse({"ok": True, "reply": result.model_dump()})

    async def bus(self, socket: WebSocket) -> None:
        """/bus?topics=speech.,turn.state&history=20: events as JSON, state first."""
        await socket.accept()
        try:
            topics = topics_of(socket.query_params.get("topics", ""))
            page = self._hub.join(topics, history_of(socket.query_params.get("history", "1")))
        except Bad as error:
            await _refuse(socket, str(error), BAD_REQUEST)
            return
        except Full as error:
            await _refuse(socket, str(error), TRY_LATER)
            return
        sending = asyncio.ensure_future(_send(socket, page))
        try:
            while True:  # pages only read; what they send is thrown away
                await socket.receive_text()
        except (WebSocketDisconnect, KeyError, RuntimeError):
            return
        finally:
            self._hub.leave(page)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)


async def _send(socket: WebSocket, page: Page) -> None:
    with contextlib.suppress(WebSocketDisconnect, RuntimeError, OSError):
        while True:
            await socket.send_text(await page.next())


async def _refuse(socket: WebSocket, sentence: str, code: int) -> None:
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        await socket.send_text(notice("error", error=sentence).text)
        await socket.close(code, sentence[:100])


def topics_of(text: str) -> list[str]:
    """Names at commas; one that ends with a dot takes all that start with it; none takes all. Raises Bad."""
    wanted = [part.strip() for part in text.split(",") if part.strip()]
    if not wanted:
        return list(OFFERED)
    for name in wanted:
        if not any(_matches(name, topic) for topic in OFFERED):
            raise Bad(400, f"There is no topic {name[:50]!r}: known are {', '.join(OFFERED)}.")
    return [topic for topic in OFFERED if any(_matches(name, topic) for name in wanted)]


def history_of(text: str) -> int:
    """Endings of each source that a page wants to begin with, 1 to 64. Raises Bad."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 64):
        raise Bad(400, "history is a number from 1 to 64.")
    return int(text)


def _matches(wanted: str, topic: str) -> bool:
    return topic == wanted or (wanted.endswith(".") and topic.startswith(wanted))


def _page(name: str) -> Callable[[Request], Any]:
    async def page(_: Request) -> Response:
        return FileResponse(PAGE / name)

    return page


async def _on_bad(_: Request, error: Exception) -> Response:
    assert isinstance(error, Bad)
    return JSONResponse({"error": str(error)}, error.status)


def make_app(
    hub: Hub, settings: StageSettings, rules: Rules, name: str, ask: Callable[[Ask], None]
) -> ASGIApp:
    """The ASGI application; `name` is hers."""
    routes = Endpoints(hub, settings, rules, name, ask).routes()
    return Access(Starlette(routes=routes, exception_handlers={Bad: _on_bad}), rules)
