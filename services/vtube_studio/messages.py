"""Messages of the VTube Studio Public API 1.0: requests as text, answers and events as objects.

Source: https://github.com/DenchiSoft/VTubeStudio (README.md, Events/README.md, Files/ErrorID.cs).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from shared.sanitize import clean_text

API_NAME = "VTubeStudioPublicAPI"
API_VERSION = "1.0"
PLUGIN = {"pluginName": "Akane", "pluginDeveloper": "Akane contributors"}
"""3 to 32 characters each; a token is only good for the names it was asked with."""
ERROR = "APIError"
TAKE_OFF = "take-off"
"""Id of the requests that switch an expression off."""

ACCESS_OFF = 1
NEEDS_AUTHENTICATION = 8
DENIED, POPUP_IS_OPEN = 50, 51
HOTKEY_LATER = (200, 203)
"""The queue is full, the cooldown is not over."""
HOTKEY_GONE = 202
PARAMETER_UNKNOWN, PARAMETER_TAKEN = 453, 454
MAX_SENTENCE = 160


@dataclass(frozen=True)
class Answer:
    """What VTube Studio sent: an answer to the request `id`, or an event."""

    kind: str
    """`messageType`."""
    id: str
    data: Mapping[str, Any]

    @property
    def error(self) -> int | None:
        """`errorID` of an error (-1 when it has none), None of anything else."""
        if self.kind != ERROR:
            return None
        number = self.data.get("errorID")
        return number if isinstance(number, int) else -1

    def text(self, field: str, max_chars: int = MAX_SENTENCE) -> str:
        """A text of the data, fit for a terminal; empty when there is none."""
        value = self.data.get(field)
        return clean_text(value, max_chars) if isinstance(value, str) else ""


def parse(text: str | bytes) -> Answer | None:
    """None for what is not a message of this API. Unknown fields are ignored, as the API asks for."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict) or not isinstance(message.get("messageType"), str):
        return None
    id, data = message.get("requestID"), message.get("data")
    return Answer(
        message["messageType"], id if isinstance(id, str) else "", data if isinstance(data, dict) else {}
    )


def request(kind: str, id: str, data: Mapping[str, Any] | None = None) -> str:
    """`kind` is the `messageType`; `id`, of 1 to 64 ASCII characters, comes back with the answer."""
    message: dict[str, Any] = {
        "apiName": API_NAME,
        "apiVersion": API_VERSION,
        "requestID": id,
        "messageType": kind,
    }
    if data is not None:
        message["data"] = data
    return json.dumps(message)


def state() -> str:
    """Is the API switched on?"""
    return request("APIStateRequest", "state")


def ask_for_token() -> str:
    """VTube Studio asks its user; the answer comes when one is clicked."""
    return request("AuthenticationTokenRequest", "token", PLUGIN)


def authenticate(token: str) -> str:
    """Begin a session with a token."""
    return request("AuthenticationRequest", "authenticate", {**PLUGIN, "authenticationToken": token})


def create(name: str, low: float, high: float, explanation: str) -> str:
    """A custom parameter that rests at 0; the id of the request is its name. Repeating it is allowed."""
    data = {"parameterName": name, "explanation": explanation, "min": low, "max": high, "defaultValue": 0.0}
    return request("ParameterCreationRequest", name, data)


def inject(id: str, values: Mapping[str, float]) -> str:
    """Move these parameters; each is let go of again when nothing came for a second."""
    data = {
        "faceFound": True,
        "mode": "set",
        "parameterValues": [{"id": name, "value": value} for name, value in values.items()],
    }
    return request("InjectParameterDataRequest", id, data)


def subscribe(event: str) -> str:
    """Hear of an event from now on."""
    return request("EventSubscriptionRequest", event, {"eventName": event, "subscribe": True, "config": {}})


def list_hotkeys() -> str:
    """Those of the model that is loaded."""
    return request("HotkeysInCurrentModelRequest", "hotkeys")


def trigger(hotkey_id: str) -> str:
    """Press a hotkey of the model."""
    return request("HotkeyTriggerRequest", "trigger", {"hotkeyID": hotkey_id})


def express(file: str, *, active: bool) -> str:
    """Switch an expression of the model on or off; nothing happens when it is so already."""
    data = {"expressionFile": file, "active": active}
    return request("ExpressionActivationRequest", "express" if active else TAKE_OFF, data)


def named_in(text: str, names: Iterable[str]) -> set[str]:
    """Which of `names` occur in `text` as whole words."""
    words = set("".join(character if character.isalnum() else " " for character in text).split())
    return words & set(names)
