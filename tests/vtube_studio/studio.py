"""VTube Studio as its plugin API is documented (github.com/DenchiSoft/VTubeStudio): strict, and without sockets."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

DEFAULT_PARAMETERS = {
    *(
        "FacePositionX",
        "FacePositionY",
        "FacePositionZ",
        "FaceAngleX",
        "FaceAngleY",
        "FaceAngleZ",
        "MouthSmile",
    ),
    *("MouthOpen", "Brows", "TongueOut", "CheekPuff", "FaceAngry", "BrowLeftY", "BrowRightY", "EyeOpenLeft"),
    *("EyeOpenRight", "EyeLeftX", "EyeLeftY", "EyeRightX", "EyeRightY", "MousePositionX", "MousePositionY"),
    *("VoiceVolume", "VoiceFrequency", "VoiceVolumePlusMouthOpen", "VoiceFrequencyPlusMouthSmile", "MouthX"),
}
RANGES = {"FaceAngleX": 30.0, "FaceAngleY": 30.0, "FaceAngleZ": 90.0}


def hotkey(id: str, name: str, kind: str = "TriggerAnimation", file: str = "") -> dict[str, Any]:
    return {
        "name": name, "type": kind, "description": "", "file": file, "hotkeyID": id,
        "keyCombination": [], "onScreenButtonID": -1,
    }  # fmt: skip


SMILE = hotkey("id-smile", "Smile", "ToggleExpression", "smile.exp3.json")
TEARS = hotkey("id-tears", "Tears", "ToggleExpression", "tears.exp3.json")
WAVE = hotkey("id-wave", "Wave")
SHY = hotkey("id-shy", "SHY")


class Refusal(Exception):
    """An APIError."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.number = number


@dataclass
class Visitor:
    """One connection of a plugin."""

    authenticated: bool = False
    events: set[str] = field(default_factory=set)


@dataclass
class Studio:
    """Settings first, then what has happened to it."""

    active: bool = True
    clicks: str = "Allow"
    """What its user does when asked: Allow, Deny, or nothing."""
    tokens: set[str] = field(default_factory=set)
    model: str = "Hiyori"
    hotkeys: list[dict[str, Any]] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)
    """Parameters that another plugin holds."""
    names_taken: bool = True
    """Whether the error says which parameter it is."""
    foreign: set[str] = field(default_factory=set)
    """Custom parameters that another plugin made."""
    hotkey_errors: list[int] = field(default_factory=list)
    """Answers to the next hotkeys that are pressed."""

    requests: list[dict[str, Any]] = field(default_factory=list)
    popups: int = 0
    custom: dict[str, dict[str, Any]] = field(default_factory=dict)
    frames: list[dict[str, float]] = field(default_factory=list)
    pressed: list[str] = field(default_factory=list)
    worn: list[str] = field(default_factory=list)

    def kinds(self, without: str = "InjectParameterDataRequest") -> list[str]:
        return [each["messageType"] for each in self.requests if each["messageType"] != without]

    def answer(self, text: str, visitor: Visitor) -> str | None:
        """None: nobody has clicked yet."""
        message = json.loads(text)
        id = message.get("requestID")
        kind = message["messageType"]
        self.requests.append(message)
        try:
            assert message["apiName"] == "VTubeStudioPublicAPI"
            assert message["apiVersion"] == "1.0"
            assert isinstance(id, str)
            assert id.isascii()
            assert 1 <= len(id) <= 64
            if not self.active and kind != "APIStateRequest":
                raise Refusal(1, "API access deactivated.")
            if not hasattr(self, f"_{kind}"):
                raise Refusal(7, f"Unknown request type {kind}.")
            if kind not in ("APIStateRequest", "AuthenticationTokenRequest", "AuthenticationRequest"):
                if not visitor.authenticated:
                    raise Refusal(8, "This request requires authentication.")
                if not self.tokens:
                    raise Refusal(50, "User has denied API access for your plugin.")
            data = getattr(self, f"_{kind}")(message.get("data") or {}, visitor)
        except Refusal as refusal:
            return said("APIError", id, {"errorID": refusal.number, "message": str(refusal)})
        return None if data is None else said(kind.replace("Request", "Response"), id, data)

    def _APIStateRequest(self, _: Any, visitor: Visitor) -> Any:
        return {
            "active": self.active,
            "vTubeStudioVersion": "1.9.0",
            "currentSessionAuthenticated": visitor.authenticated,
        }

    def _AuthenticationTokenRequest(self, data: Any, _: Visitor) -> Any:
        self._introduced(data)
        self.popups += 1
        if self.clicks == "Allow":
            return {"authenticationToken": self.granted()}
        if self.clicks == "Deny":
            raise Refusal(50, "User has denied API access for your plugin.")
        if self.popups > 1:
            raise Refusal(51, "Token request currently ongoing.")
        return None

    def granted(self) -> str:
        token = f"adcd-123-ef09-some-token-string-{len(self.tokens)}"
        self.tokens.add(token)
        return token

    def _AuthenticationRequest(self, data: Any, visitor: Visitor) -> Any:
        self._introduced(data)
        visitor.authenticated = data["authenticationToken"] in self.tokens
        return {
            "authenticated": visitor.authenticated,
            "reason": "Token valid." if visitor.authenticated else "Token invalid.",
        }

    def _introduced(self, data: Any) -> None:
        for name in ("pluginName", "pluginDeveloper"):
            assert 3 <= len(data[name]) <= 32

    def _ParameterCreationRequest(self, data: Any, _: Visitor) -> Any:
        name = data["parameterName"]
        assert name.isalnum()
        assert 4 <= len(name) <= 32
        assert len(data["explanation"]) < 256
        if name in DEFAULT_PARAMETERS:
            raise Refusal(354, f"{name} is a default parameter.")
        if name in self.foreign:
            raise Refusal(352, f"{name} was made by another plugin.")
        assert all(isinstance(data[part], float) for part in ("min", "max", "defaultValue"))
        self.custom[name] = data
        return {"parameterName": name}

    def _InjectParameterDataRequest(self, data: Any, _: Visitor) -> Any:
        assert data["mode"] == "set"
        assert data["faceFound"] is True
        values = {each["id"]: each["value"] for each in data["parameterValues"]}
        if not values:
            raise Refusal(450, "No data provided.")
        for name, value in values.items():
            assert isinstance(value, float)
            assert -1_000_000 <= value <= 1_000_000
            if name not in DEFAULT_PARAMETERS and name not in self.custom:
                raise Refusal(453, f"Parameter {name} not found.")
            if name in self.taken:
                which = name if self.names_taken else "a parameter"
                raise Refusal(454, f"Another plugin controls {which}.")
        self.frames.append(values)
        return {}

    def _EventSubscriptionRequest(self, data: Any, visitor: Visitor) -> Any:
        assert data["subscribe"] is True
        if data["eventName"] not in ("ModelLoadedEvent", "ModelConfigChangedEvent"):
            raise Refusal(950, "Unknown event.")
        visitor.events.add(data["eventName"])
        return {"subscribedEventCount": len(visitor.events), "subscribedEvents": sorted(visitor.events)}

    def _HotkeysInCurrentModelRequest(self, _: Any, __: Visitor) -> Any:
        return {
            "modelLoaded": bool(self.model),
            "modelName": self.model,
            "modelID": f"id-{self.model}",
            "availableHotkeys": self.hotkeys if self.model else [],
        }

    def _HotkeyTriggerRequest(self, data: Any, _: Visitor) -> Any:
        if self.hotkey_errors:
            raise Refusal(self.hotkey_errors.pop(0), "The hotkey was not executed.")
        if data["hotkeyID"] not in [each["hotkeyID"] for each in self.hotkeys]:
            raise Refusal(202, "Hotkey not found in the model.")
        self.pressed.append(data["hotkeyID"])
        return {"hotkeyID": data["hotkeyID"]}

    def _ExpressionActivationRequest(self, data: Any, _: Visitor) -> Any:
        file = data["expressionFile"]
        if file not in [each["file"] for each in self.hotkeys]:
            raise Refusal(651, "Expression file not found.")
        if data["active"] and file not in self.worn:
            self.worn.append(file)
        if not data["active"] and file in self.worn:
            self.worn.remove(file)
        return {}


def said(kind: str, id: str, data: Any) -> str:
    """A message of VTube Studio."""
    return json.dumps({
        "apiName": "VTubeStudioPublicAPI", "apiVersion": "1.0", "timestamp": 1625405710728,
        "messageType": kind, "requestID": id, "data": data, "aFieldOfTheFuture": [1],
    })  # fmt: skip
