"""The conversation with VTube Studio as a state machine: messages and seconds in, messages and news out.

It outlives its connections: a token that was granted once is used by all of them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from services.vtube_studio import messages
from services.vtube_studio.face import CUSTOM, Face
from services.vtube_studio.messages import Answer
from services.vtube_studio.wardrobe import Wardrobe

log = logging.getLogger(__name__)

SILENT_S = 5.0
"""Every request is answered at once, but for the one that a person answers."""
POLITE_S = 300.0
"""Until somebody who said no is asked again."""
POPUP_S = 5.0
GIVE_BACK_S = 10.0
"""Until parameters that another plugin held are tried again."""
MAX_MALFORMED = 20
HOTKEYS = "hotkeys"
EVENTS = ("ModelLoadedEvent", "ModelConfigChangedEvent")
ALLOW = "VTube Studio asks whether Akane may move the model: click Allow there."
SWITCHED_OFF = "Plugins are off in VTube Studio: switch on “Start API (allow plugins)” in its settings."
DENIED = (
    "VTube Studio was told not to let Akane in: allow the plugin in its settings, "
    f"or click Allow when it asks again in {POLITE_S / 60:.0f} minutes."
)


@dataclass(frozen=True)
class Send:
    """A message for VTube Studio."""

    text: str


@dataclass(frozen=True)
class Status:
    """How it stands, for people; `ok` when the model moves as it was asked to."""

    ok: bool
    detail: str


@dataclass(frozen=True)
class Keep:
    """The token to authenticate with from now on; empty: it is worth nothing any more."""

    token: str


@dataclass(frozen=True)
class Lost:
    """This connection is of no use any more: close it, open another one after `retry_s` at the earliest."""

    reason: str
    retry_s: float = 0.0


Action = Send | Status | Keep | Lost


class Session:
    """Moves the model by `face`; `hotkeys`: mood -> name of a hotkey. Times are monotonic seconds."""

    def __init__(self, face: Face, hotkeys: Mapping[str, str], token: str) -> None:
        self._face = face
        self._wardrobe = Wardrobe(hotkeys)
        self._token = token
        self._step: Literal["state", "token", "authenticate", "setup", "live"] = "state"
        self._token_is_new = False
        self._heard_at = 0.0
        self._malformed = 0
        self._awaited: set[str] = set()
        self._without: dict[str, str] = {}
        """Parameters that are not sent, and why."""
        self._again_at: float | None = None
        self._round = 0
        """Counts the sets of parameters that were sent: an answer to an earlier one says nothing."""
        self._model = ""

    @property
    def live(self) -> bool:
        """The model is being moved: call `tick` once a frame."""
        return self._step == "live"

    def opened(self, now: float) -> list[Action]:
        """A connection stands: what to say first."""
        self._step, self._token_is_new, self._malformed = "state", False, 0
        self._heard_at = now
        self._model = ""
        self._wardrobe.forget()
        return [Send(messages.state())]

    def received(self, text: str | bytes, now: float) -> list[Action]:
        """A message has come in."""
        self._heard_at = now
        answer = messages.parse(text)
        if answer is None:
            return self._on_malformed(text)
        if answer.error is not None:
            return self._on_error(answer, answer.error, now)
        match answer.kind:
            case "APIStateResponse" if self._step == "state":
                if answer.data.get("active") is False:
                    return [Lost(SWITCHED_OFF)]
                return self._authenticate() if self._token else self._ask_for_token()
            case "AuthenticationTokenResponse" if self._step == "token":
                return self._on_token(answer)
            case "AuthenticationResponse" if self._step == "authenticate":
                return self._on_authenticated(answer)
            case "ParameterCreationResponse":
                return self._on_ready(answer.id)
            case "HotkeysInCurrentModelResponse":
                self._model = answer.text("modelName", 60) if answer.data.get("modelLoaded") else ""
                changes = self._wardrobe.hang(answer.data, self._face.mood)
                return [*_sent(changes), *(self._told() if self.live else self._on_ready(answer.id))]
            case "ModelLoadedEvent":
                self._wardrobe.forget()
                return [Send(messages.list_hotkeys())]
            case "ModelConfigChangedEvent" if answer.data.get("hotkeyConfigChanged"):
                return [Send(messages.list_hotkeys())]
        return []

    def tick(self, now: float) -> list[Action]:
        """Time has passed: the next frame, the mood's hotkey, or an end of patience."""
        if self._step != "token" and now - self._heard_at >= SILENT_S:
            return [Lost(f"VTube Studio has been silent for {SILENT_S:.0f} s.")]
        if not self.live:
            return []
        if self._again_at is not None and now >= self._again_at:
            return self._set_up()
        values = {name: value for name, value in self._face.values(now).items() if name not in self._without}
        frame = [messages.inject(f"frame-{self._round}", values)] if values else []
        return _sent([*frame, *self._wardrobe.put_on(self._face.mood, now)])

    def leaving(self) -> list[Action]:
        """The show ends: leave the model without an expression of ours."""
        return _sent(self._wardrobe.put_on("neutral", self._heard_at)) if self.live else []

    # -- becoming acquainted ----------------------------------------------------------------------------

    def _ask_for_token(self) -> list[Action]:
        self._step, self._token_is_new = "token", True
        return [Send(messages.ask_for_token()), Status(False, ALLOW)]

    def _authenticate(self) -> list[Action]:
        self._step = "authenticate"
        return [Send(messages.authenticate(self._token))]

    def _on_token(self, answer: Answer) -> list[Action]:
        token = answer.data.get("authenticationToken")
        if not isinstance(token, str) or not token.isascii() or not 0 < len(token) <= 64:
            return [Lost("VTube Studio gave a token that is none.")]
        self._token = token
        return [Keep(token), *self._authenticate()]

    def _on_authenticated(self, answer: Answer) -> list[Action]:
        if answer.data.get("authenticated") is True:
            return self._set_up()
        self._token = ""
        if self._token_is_new:
            return [Keep(""), Lost(f"VTube Studio refuses Akane: {answer.text('reason')}", POLITE_S)]
        return [Keep(""), *self._ask_for_token()]

    def _set_up(self) -> list[Action]:
        """Make the parameters and learn the hotkeys; frames follow once the parameters exist."""
        self._step = "setup"
        self._round += 1
        self._without.clear()
        self._again_at = None
        self._awaited = {*CUSTOM, HOTKEYS}
        created = [messages.create(name, *row) for name, row in CUSTOM.items()]
        events = [messages.subscribe(event) for event in EVENTS]
        return _sent([*created, *events, messages.list_hotkeys()])

    def _on_ready(self, part: str) -> list[Action]:
        self._awaited.discard(part)
        if self._step != "setup" or self._awaited:
            return []
        self._step = "live"
        return self._told()

    # -- what goes wrong --------------------------------------------------------------------------------

    def _on_error(self, answer: Answer, error: int, now: float) -> list[Action]:
        sentence = answer.text("message").rstrip(".") or f"error {error}"
        if error == messages.ACCESS_OFF:
            return [Lost(SWITCHED_OFF)]
        if error in (messages.DENIED, messages.NEEDS_AUTHENTICATION):
            return [Lost(DENIED, POLITE_S)]
        if error == messages.POPUP_IS_OPEN:
            return [Lost("A question is open in VTube Studio: answer it there.", POPUP_S)]
        if answer.id in CUSTOM:
            self._without[answer.id] = sentence
            return self._on_ready(answer.id)
        if answer.id.startswith("frame-"):
            return self._on_frame_refused(answer, error, sentence, now)
        if answer.id in ("trigger", "express"):
            actions = _sent(self._wardrobe.refused(error, sentence, now))
            return [*actions, *self._told()]
        if answer.id in (HOTKEYS, messages.TAKE_OFF, *EVENTS):
            log.warning("VTube Studio refuses %s: %s", answer.id, sentence)
            return self._on_ready(answer.id)
        return [Lost(f"VTube Studio refuses Akane: {sentence}.")]

    def _on_frame_refused(self, answer: Answer, error: int, sentence: str, now: float) -> list[Action]:
        """One parameter that is refused takes its whole frame with it: go on without it."""
        if answer.id != f"frame-{self._round}" or not self.live:
            return []
        if error not in (messages.PARAMETER_TAKEN, messages.PARAMETER_UNKNOWN):
            return [Lost(f"VTube Studio refuses the face: {sentence}.")]
        sent = [name for name in self._face.values(now) if name not in self._without]
        named = messages.named_in(answer.text("message", 1000), sent)
        # Nobody else has parameters of ours: when none is named, it is one of the others.
        refused = named or {name for name in sent if name not in CUSTOM} or set(sent)
        self._without |= dict.fromkeys(sorted(refused), sentence)
        self._again_at = now + GIVE_BACK_S
        self._round += 1
        return self._told()

    def _on_malformed(self, text: str | bytes) -> list[Action]:
        self._malformed += 1
        if self._malformed >= MAX_MALFORMED:
            return [Lost("What answers is not VTube Studio's plugin API: check vtube_studio.url.")]
        log.warning("a message of VTube Studio was dropped: %r", text[:100])
        return []

    # -- what people hear of it -------------------------------------------------------------------------

    def _told(self) -> list[Action]:
        """How it stands, once the model moves."""
        if not self.live:
            return []
        if self._without:
            name, reason = next(iter(self._without.items()))
            return [Status(False, f"VTube Studio does not let her move {name}: {reason}.")]
        if not self._model:
            return [Status(True, "connected to VTube Studio, where no model is loaded")]
        if self._wardrobe.complaint:
            return [Status(False, self._wardrobe.complaint)]
        return [Status(True, f"moves {self._model} in VTube Studio")]


def _sent(texts: list[str]) -> list[Action]:
    return [Send(text) for text in texts]
