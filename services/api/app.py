"""The routes: OpenAI's completions and models, health, metrics."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, TypeVar

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from services.api.access import MAX_BODY_BYTES, Access, Rules
from services.api.answers import ClientGone, EventStream, error_response, event, json_body, while_connected
from services.api.asked import Asked, ChatAsked, TextAsked, new_id
from services.api.door import Answers, Door
from services.api.errors import ApiError, of_validation, unavailable
from services.api.metrics import Metrics
from services.api.reading import Delta
from services.api.shapes import ChatShape, Shape, TextShape, usage
from shared.commands import Generate
from shared.config import ApiSettings
from shared.events import Finished

log = logging.getLogger(__name__)

KEEP_ALIVE_S = 15.0
"""A comment is sent into a stream that is silent for this long, so that nobody on the way closes it."""
ANY_MODEL = ("", "akane", "default")
"""Names that mean whatever model is loaded."""
CLIENT_CLOSED = 499

AskedT = TypeVar("AskedT", bound=Asked)


class Endpoints:
    """What answers the requests; lives in the event loop's thread."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._metrics = Metrics()
        self._started = int(time.time())

    def routes(self) -> list[Route]:
        """Path to endpoint."""
        return [
            Route("/v1/chat/completions", self.chat, methods=["POST"]),
            Route("/v1/completions", self.text, methods=["POST"]),
            Route("/v1/models", self.models),
            Route("/v1/models/{model:path}", self.model),
            Route("/health", self.health),
            Route("/metrics", self.metrics),
        ]

    async def chat(self, request: Request) -> Response:
        """POST /v1/chat/completions."""
        asked = _parse(ChatAsked, await json_body(request, MAX_BODY_BYTES))
        model = self._model(asked.model)
        request_id = new_id("chatcmpl")
        shape = ChatShape(request_id, model, bool(asked.logprobs))
        return await self._complete(request, asked, asked.commands(request_id), shape)

    async def text(self, request: Request) -> Response:
        """POST /v1/completions."""
        asked = _parse(TextAsked, await json_body(request, MAX_BODY_BYTES))
        model = self._model(asked.model)
        request_id = new_id("cmpl")
        commands = asked.commands(request_id)
        echoes = [(command.prompt or "") if asked.echo else "" for command in commands]
        shape = TextShape(request_id, model, asked.logprobs is not None, echoes)
        return await self._complete(request, asked, commands, shape)

    async def models(self, _: Request) -> Response:
        """GET /v1/models: the one that is loaded."""
        stats = self._door.view.stats
        return JSONResponse({"object": "list", "data": [self._describe(stats.model)] if stats else []})

    async def model(self, request: Request) -> Response:
        """GET /v1/models/NAME."""
        return JSONResponse(self._describe(self._model(request.path_params["model"])))

    async def health(self, _: Request) -> Response:
        """GET /health: 200 when completions will be answered."""
        view = self._door.view
        is_well = view.phase == "ready"
        body = {"status": "ok" if is_well else "unavailable", "llm": view.phase, "detail": view.detail}
        return JSONResponse(body, 200 if is_well else 503)

    async def metrics(self, _: Request) -> Response:
        """GET /metrics."""
        kind = "text/plain; version=0.0.4"
        return PlainTextResponse(self._metrics.render(self._door.view), media_type=kind)

    async def on_error(self, request: Request, error: Exception) -> Response:
        """Everything that goes wrong before an answer has begun."""
        if isinstance(error, ClientGone):
            self._metrics.abandoned += 1
            return self._counted(request, Response(status_code=CLIENT_CLOSED))
        if isinstance(error, HTTPException):
            what = "There is no" if error.status_code == 404 else "Wrong method for"
            error = ApiError(
                error.status_code, f"{what} {request.method} {request.url.path}.", code="not_found"
            )
        if not isinstance(error, ApiError):
            log.error("%s failed", request.url.path, exc_info=error)
            error = ApiError(500, "The server failed: its log says why.", kind="server_error")
        return self._counted(request, error_response(error))

    # -- completions -------------------------------------------------------------------------------------

    async def _complete(
        self, request: Request, asked: Asked, commands: list[Generate], shape: Shape
    ) -> Response:
        began_s = time.monotonic()
        answers = await while_connected(request.receive, self._door.begin(commands))
        choices = len(commands) // (asked.n or 1)
        count = len(commands) // choices
        if asked.stream:
            stream = self._stream(answers, len(commands), count, asked.includes_usage, shape, began_s)
            return self._counted(request, EventStream(stream, answers.close))
        work = self._whole(answers, len(commands), count, shape, began_s)
        try:
            return self._counted(request, JSONResponse(await while_connected(request.receive, work)))
        finally:
            answers.close()

    async def _whole(
        self, answers: Answers, total: int, choices_a_prompt: int, shape: Shape, began_s: float
    ) -> dict[str, Any]:
        deltas: list[list[Delta]] = [[] for _ in range(total)]
        endings: dict[int, Finished] = {}
        async with aclosing(self._updates(answers, began_s)) as updates:
            async for index, update in updates:
                if isinstance(update, Finished):
                    endings[index] = update
                elif isinstance(update, Delta):
                    deltas[index].append(update)
        ordered = [endings[index] for index in range(total)]
        choices = [shape.whole(index, deltas[index], ordered[index]) for index in range(total)]
        return {**shape.head(False), "choices": choices, "usage": usage(ordered, choices_a_prompt)}

    async def _stream(
        self,
        answers: Answers,
        total: int,
        choices_a_prompt: int,
        includes_usage: bool,
        shape: Shape,
        began_s: float,
    ) -> AsyncGenerator[bytes, None]:
        head = shape.head(True) | ({"usage": None} if includes_usage else {})
        endings: dict[int, Finished] = {}
        is_whole = False
        try:
            for choice in filter(None, map(shape.first, range(total))):
                yield event({**head, "choices": [choice]})
            async with aclosing(self._updates(answers, began_s, KEEP_ALIVE_S)) as updates:
                async for index, update in updates:
                    if update is None:
                        yield b": waiting\n\n"
                    elif isinstance(update, Finished):
                        endings[index] = update
                        yield event({**head, "choices": [shape.last(index, update)]})
                    else:
                        yield event({**head, "choices": [shape.piece(index, update)]})
            if includes_usage:
                ordered = [endings[index] for index in range(total)]
                yield event({**head, "choices": [], "usage": usage(ordered, choices_a_prompt)})
            is_whole = True
        except ApiError as error:
            is_whole = True
            yield event(error.body())
        finally:
            self._metrics.abandoned += not is_whole
        yield event("[DONE]")

    async def _updates(
        self, answers: Answers, began_s: float, idle_s: float | None = None
    ) -> AsyncGenerator[tuple[int, Delta | Finished | None], None]:
        """Texts and endings, counted."""
        self._metrics.active += 1
        is_first = True
        try:
            async for index, update in answers.updates(idle_s):
                if isinstance(update, Delta) and is_first:
                    self._metrics.first_token_s.add(time.monotonic() - began_s)
                    is_first = False
                elif isinstance(update, Finished):
                    self._metrics.prompt_tokens += update.prompt_tokens
                    self._metrics.completion_tokens += update.completion_tokens
                yield index, update
        finally:
            self._metrics.active -= 1

    def _model(self, wanted: str | None) -> str:
        """The loaded model's name. Raises ApiError when it is not ready or another one is wanted."""
        view = self._door.view
        if not view.takes_requests or view.stats is None:
            raise unavailable(f"The model is not ready: {view.detail or 'it is loading.'}")
        if (wanted or "") not in (*ANY_MODEL, view.stats.model):
            raise ApiError(
                404,
                f"The model {wanted!r} is not loaded: this server runs {view.stats.model!r}.",
                param="model",
                code="model_not_found",
            )
        return view.stats.model

    def _describe(self, name: str) -> dict[str, Any]:
        stats = self._door.view.stats
        context = {"max_model_len": stats.context} if stats else {}
        return {"id": name, "object": "model", "created": self._started, "owned_by": "akane", **context}

    def _counted(self, request: Request, response: Response) -> Response:
        route = request.scope.get("route")
        path = route.path if isinstance(route, Route) else "other"
        self._metrics.requests[(path, response.status_code)] += 1
        return response


def make_app(door: Door, settings: ApiSettings, *, is_local: bool) -> ASGIApp:
    """The ASGI application."""
    endpoints = Endpoints(door)
    kinds: tuple[type[Exception], ...] = (ApiError, ClientGone, HTTPException, Exception)
    app = Starlette(routes=endpoints.routes(), exception_handlers=dict.fromkeys(kinds, endpoints.on_error))
    return Access(app, Rules(settings.keys, settings.origins, settings.host, is_local))


def _parse(model: type[AskedT], body: dict[str, Any]) -> AskedT:
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise of_validation(error) from None
