"""One connection to OBS without its socket: frames in, frames out, one request at a time.

Only the latest value of every target is sent, so a slow OBS never has a queue of old texts before it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from services.obs import protocol
from services.obs.picture import SCENE, Switch, Target, Value, Values
from services.obs.protocol import Answer, Ask, NotObs
from shared.clock import Clock

ANSWER_S = 5.0
"""OBS has so long for its greeting and for each answer."""
RETRY_S = 10.0
"""What OBS refused is tried again after this, and all names are looked up anew: somebody may have helped."""
SET_PASSWORD = "set AKANE_OBS_PASSWORD to the one that OBS shows (WebSocket Server Settings)"
CREATE = "create it in OBS or correct the name in configs/stack.toml"


class Lost(Exception):
    """One sentence: why this connection is of no use."""


class _Pending(NamedTuple):
    id: str
    sent_at: float
    then: Callable[[Answer], None]


class Session:
    """Brings OBS to the wanted values. `received`, `want` and `tick` return the frames to send now."""

    def __init__(
        self, password: str, targets: Values, scenes: list[str], clock: Clock, switch: Value | None = None
    ) -> None:
        """`targets` and `scenes` are the names to look up; `switch` was done in an earlier connection."""
        self.version = ""
        """Of OBS; empty before it has accepted us."""
        self.problems: dict[Target, str] = {}
        """What OBS cannot do, one sentence each."""
        self._password = password
        self._clock = clock
        self._opened_at = clock()
        self._named = list(targets)
        self._scenes = scenes
        self._wanted: Values = {}
        self._shown: Values = {} if switch is None else {SCENE: switch}
        self._failed: Values = {}
        self._unfit: set[Target] = set()
        self._look_ups: deque[tuple[Ask, Callable[[Answer], None]]] = deque()
        self._retry_at = 0.0
        self._pending: _Pending | None = None
        self._count = 0
        self._hello: dict[str, Any] | None = None

    @property
    def is_settled(self) -> bool:
        """Identified, and everything that was asked has been answered."""
        return bool(self.version) and self._pending is None and not self._look_ups

    @property
    def switch(self) -> Value | None:
        """The change of scene that was done last."""
        return self._shown.get(SCENE)

    def received(self, frame: str | bytes) -> list[str]:
        """A frame of OBS. Raises Lost."""
        try:
            return self._received(*protocol.read(frame))
        except NotObs:
            raise Lost("what answers there does not speak obs-websocket 5 (OBS 28 or newer)") from None

    def want(self, values: Values) -> list[str]:
        """These values should stand from now on."""
        self._wanted = values
        return self._next()

    def tick(self) -> list[str]:
        """Time passes; raises Lost when OBS says nothing although it should."""
        now = self._clock()
        since = self._pending.sent_at if self._pending else self._opened_at
        if (self._pending or not self.version) and now - since >= ANSWER_S:
            raise Lost(f"OBS has not answered for {ANSWER_S:.0f} s")
        if self.is_settled and self.problems and now >= self._retry_at:
            self._look_up_all()
        return self._next()

    def _received(self, op: int, data: dict[str, Any]) -> list[str]:
        if op == protocol.HELLO and self._hello is None:
            self._hello = data
            if data.get("authentication") and not self._password:
                raise Lost(f"OBS asks for a password: {SET_PASSWORD}")
            return [protocol.identify(data, self._password)]
        if op == protocol.IDENTIFIED and self._hello is not None and not self.version:
            self.version = _version(self._hello)
            self._look_up_all()
        elif op == protocol.RESPONSE and self.version:
            answer = protocol.answer(data)
            if self._pending and answer.id == self._pending.id:
                then, self._pending = self._pending.then, None
                then(answer)
        elif not self.version:
            raise NotObs
        return self._next()

    def _next(self) -> list[str]:
        """The next request, unless one is under way."""
        if not self.version or self._pending:
            return []
        if self._look_ups:
            return self._ask(*self._look_ups.popleft())
        for target, value in self._wanted.items():
            if self._shown.get(target) == value or target in self._unfit or self._failed.get(target) == value:
                continue
            return self._set(target, value)
        return []

    def _ask(self, ask: Ask, then: Callable[[Answer], None]) -> list[str]:
        self._count += 1
        self._pending = _Pending(str(self._count), self._clock(), then)
        return [protocol.request(ask, self._pending.id)]

    # -- setting ---------------------------------------------------------------------------------------

    def _set(self, target: Target, value: Value) -> list[str]:
        named = Target("scene", value.scene) if isinstance(value, Switch) else target

        def done(answer: Answer) -> None:
            if answer.ok:
                self._shown[target] = value
                self._failed.pop(target, None)
                self.problems.pop(named, None)
            else:
                self._failed[target] = value
                self._refused(named, answer)

        def found(answer: Answer) -> None:
            number = answer.data.get("sceneItemId")
            if answer.ok and number is not None:
                data = {"sceneName": target.name, "sceneItemId": number, "sceneItemEnabled": value}
                self._look_ups.appendleft((Ask("SetSceneItemEnabled", data), done))
            else:
                done(answer._replace(ok=False))

        if isinstance(value, Switch):
            return self._ask(Ask("SetCurrentProgramScene", {"sceneName": value.scene}), done)
        if (
            target.kind == "item"
        ):  # its number is asked for every time: it changes when the streamer adds it anew
            return self._ask(_item(target), found)
        data = {"inputName": target.name, "inputSettings": {"text": value}, "overlay": True}
        return self._ask(Ask("SetInputSettings", data), done)

    def _refused(self, target: Target, answer: Answer) -> None:
        self._retry_at = self._clock() + RETRY_S
        if answer.code == protocol.NOT_FOUND:
            self.problems[target] = _missing(target)
        elif answer.code == protocol.NOT_READY:
            self.problems[target] = "OBS is not ready: it changes its scene collection or ends"
        else:
            comment = f": {answer.comment}" if answer.comment else ""
            self.problems[target] = f"OBS refused to change {_words(target)} (code {answer.code}{comment})"

    # -- looking up ------------------------------------------------------------------------------------

    def _look_up_all(self) -> None:
        """Are all names there? So that a typing mistake shows before the show needs it."""
        self._retry_at = self._clock() + RETRY_S
        self.problems.clear()
        self._failed.clear()
        self._unfit.clear()
        if any(target.kind == "text" for target in self._named):
            self._look_ups.append((Ask("GetInputList", {}), self._on_inputs))
        if self._scenes:
            self._look_ups.append((Ask("GetSceneList", {}), self._on_scenes))
        for target in self._named:
            if target.kind == "item":
                self._look_ups.append((_item(target), self._item_found(target)))

    def _on_inputs(self, answer: Answer) -> None:
        kinds = {
            row.get("inputName"): str(row.get("unversionedInputKind", "")) for row in _rows(answer, "inputs")
        }
        for target in self._named if answer.ok else ():
            if target.kind == "text" and target.name not in kinds:
                self.problems[target] = _missing(target)
            elif target.kind == "text" and not kinds[target.name].startswith("text_"):
                self._unfit.add(target)
                self.problems[target] = f"{target.name!r} in OBS is no text source: name one of the kind Text"

    def _on_scenes(self, answer: Answer) -> None:
        there = {row.get("sceneName") for row in _rows(answer, "scenes")}
        for scene in self._scenes if answer.ok else ():
            if scene not in there:
                self.problems[Target("scene", scene)] = _missing(Target("scene", scene))

    def _item_found(self, target: Target) -> Callable[[Answer], None]:
        def then(answer: Answer) -> None:
            if not answer.ok:
                self._refused(target, answer)

        return then


def _item(target: Target) -> Ask:
    return Ask("GetSceneItemId", {"sceneName": target.name, "sourceName": target.source})


def _version(hello: dict[str, Any]) -> str:
    """Older ones (OBS 29 still) name their plugin's version only."""
    plugin = f"with obs-websocket {hello.get('obsWebSocketVersion')}"
    return str(hello.get("obsStudioVersion") or plugin)[:40]


def _rows(answer: Answer, key: Literal["inputs", "scenes"]) -> list[dict[str, Any]]:
    rows = answer.data.get(key)
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _words(target: Target) -> str:
    if target.kind == "item":
        return f"the source {target.source!r} in the scene {target.name!r}"
    return f"the {'text source' if target.kind == 'text' else 'scene'} {target.name!r}"


def _missing(target: Target) -> str:
    return f"OBS has not got {_words(target)}: {CREATE}"
