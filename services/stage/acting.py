"""What browsers may have her do: a table of commands, and how a request becomes one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from starlette.requests import ClientDisconnect, Request

from shared.commands import COMMANDS, Command, Reply
from shared.requests import CommandError

ALLOWED = ("input.submit", "director.say", "director.interrupt", "director.panic", "director.mood")
"""`POST /command/NAME` sends these; all others are the services' own business."""
BUTTONS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "say": ("director.say", {}),
    "mood": ("director.mood", {}),
    "interrupt": ("director.interrupt", {"reason": "control page"}),
    "panic": ("director.panic", {"muted": True}),
    "unmute": ("director.panic", {"muted": False}),
}
"""`/control/BUTTON` -> the command and those of its fields that the button fixes."""
STATUS = {"refused": 409, "invalid": 400, "busy": 429}
"""Answer to a command that was not obeyed; 503 for all else: nobody is there to obey."""
MAX_BODY_BYTES = 16_384
BODY_S = 10.0


class Bad(Exception):
    """An answer other than 200, with one sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True)
class Ask:
    """A command on its way to the thread that owns the bus; `answer` is called there."""

    command: Command
    answer: Callable[[Reply | CommandError], None]


def command_of(name: str, fields: Mapping[str, Any]) -> Command:
    """Raises Bad for a command that is not offered, and for wrong or unknown fields."""
    if name not in ALLOWED:
        raise Bad(404, f"There is no command {name[:100]!r} here: known are {', '.join(ALLOWED)}.")
    kind = COMMANDS[name]
    unknown = [field for field in fields if field not in kind.model_fields]
    if unknown:
        known = ", ".join(kind.model_fields) or "none"
        raise Bad(400, f"{name} has no field {unknown[0][:100]!r}: known are {known}.")
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise Bad(400, f"{field}: {first['msg'][0].lower()}{first['msg'][1:]}.") from None


def button(name: str, fields: Mapping[str, Any]) -> Command:
    """The command of a button of the control page. Raises Bad."""
    if name not in BUTTONS:
        raise Bad(404, f"There is no /control/{name[:100]}: known are {', '.join(BUTTONS)}, health.")
    command, fixed = BUTTONS[name]
    return command_of(command, {**fields, **fixed})


async def fields_of(request: Request) -> dict[str, Any]:
    """The query's fields (but not its token) and those of a JSON body. Raises Bad."""
    fields: dict[str, Any] = {key: value for key, value in request.query_params.items() if key != "token"}
    if request.method != "POST":
        return fields
    try:
        raw = await asyncio.wait_for(_body(request), BODY_S)
    except (asyncio.TimeoutError, ClientDisconnect):
        raise Bad(408, f"The request did not arrive within {BODY_S:.0f} s.") from None
    if not raw.strip():
        return fields
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        raise Bad(400, "The body is not JSON.") from None
    if not isinstance(body, dict):
        raise Bad(400, "The body must be a JSON object.")
    return {**fields, **body}


async def _body(request: Request) -> bytes:
    raw = bytearray()
    async for part in request.stream():
        raw += part
        if len(raw) > MAX_BODY_BYTES:
            raise Bad(413, f"The request is larger than {MAX_BODY_BYTES >> 10} kB.")
    return bytes(raw)
