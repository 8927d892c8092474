"""What should stand in OBS, from the events of the show. Pure; what an older epoch says changes nothing."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from shared.config import ObsSettings
from shared.events import ChatRetracted, Event, Progress, TurnState
from shared.sanitize import clean_name, clean_text

ShowPhase = Literal["idle", "thinking", "speaking", "panic"]


class Target(NamedTuple):
    """A thing in OBS that has a value: a text source, the program scene, or a source shown in a scene."""

    kind: Literal["text", "scene", "item"]
    name: str = ""
    """Of the text source, or of the scene of an item; empty for the program scene itself."""
    source: str = ""
    """Of an item."""


class Switch(NamedTuple):
    """A change of scene; numbered, for between two to the same scene the streamer may have gone elsewhere."""

    scene: str
    nth: int


Value: TypeAlias = "str | bool | Switch"
Values = dict[Target, Value]
"""A text, whether an item is shown, or the last change of scene."""
SCENE = Target("scene")


class Picture:
    """Keeps `values` as the show goes on; times are seconds of one monotonic clock."""

    def __init__(self, settings: ObsSettings) -> None:
        self._settings = settings
        self._scenes = dict(_split(row, "=") for row in settings.scenes)
        self._items = [
            (phase, *_split(place, "/")) for phase, place in (_split(r, "=") for r in settings.items)
        ]
        self._epoch = 0
        self._turn: TurnState | None = None
        self._gone: str | None = None
        """The last turn whose line was taken back."""
        self._speech = ""
        self._phase: ShowPhase = "idle"
        self._idle_at: float | None = None
        self._muted = False
        self._switch: Switch | None = None
        self._switches = 0
        self.values: Values = self._made()

    @property
    def scenes(self) -> list[str]:
        """Every scene that may be switched to."""
        return list(dict.fromkeys(self._scenes.values()))

    def heard(self, event: Event, now: float) -> None:
        """An event arrived."""
        if isinstance(event, TurnState):
            self._on_turn(event, now)
        elif isinstance(event, Progress):
            if self._turn and event.turn == self._turn.turn and event.epoch >= self._epoch:
                self._speech = event.heard
        elif isinstance(event, ChatRetracted):
            self._on_retracted(event)
        self.values = self._made()

    def begin(self) -> None:
        """What was retained has been read: turns that are over show nothing and switch no scene."""
        if self._turn is None or self._idle_at is not None:
            self.clear()
            self._switch = self._switch if self._muted else None
            self.values = self._made()

    def mute(self, muted: bool) -> None:
        """A panic began or ended: nothing of the turn stays."""
        if muted != self._muted:
            self._muted = muted
            self.clear()

    def clear(self) -> None:
        """Nobody is answered any more."""
        self._turn, self._speech, self._idle_at = None, "", None
        self._enter("idle")
        self.values = self._made()

    def tick(self, now: float) -> float | None:
        """Let what was said go when its time is over; the seconds until then."""
        if self._idle_at is None:
            return None
        if now >= self._idle_at:
            self.clear()
            return None
        return self._idle_at - now

    def _on_turn(self, state: TurnState, now: float) -> None:
        if state.epoch < self._epoch or state.turn == self._gone:
            return
        self._epoch = state.epoch
        if state.phase in ("thinking", "speaking"):
            if self._turn is None or self._turn.turn != state.turn:
                self._speech = ""
            self._turn, self._idle_at = state, None
            self._enter("thinking" if state.phase == "thinking" else "speaking")
        elif self._turn is not None and state.turn == self._turn.turn:
            # Messages that are never answered end, too; only the end of what is shown counts.
            if state.end == "retracted":
                self.clear()
                return
            self._speech = self._speech or state.heard
            self._idle_at = now + self._settings.hold_s

    def _on_retracted(self, retracted: ChatRetracted) -> None:
        """Moderation took the line back: it goes with her answer, whatever is still said of this turn."""
        if self._turn is not None and retracted.covers(self._turn):
            self._gone = self._turn.turn
            self.clear()

    def _enter(self, phase: ShowPhase) -> None:
        """A phase without a scene leaves the one that is there."""
        before, self._phase = self._phase, "panic" if self._muted else phase
        if self._phase != before and self._phase in self._scenes:
            self._switches += 1
            self._switch = Switch(self._scenes[self._phase], self._switches)

    def _made(self) -> Values:
        own, turn, most = self._settings, self._turn, self._settings.max_chars
        asked = turn if turn and not turn.rule else None  # what breaks the block-list is shown nowhere
        texts = {
            own.text_name: clean_name(asked.author) if asked and asked.author else "",
            own.text_question: clean_text(asked.prompt, most) if asked else "",
            own.text_speech: clean_text(self._speech, most),
        }
        if self._muted:
            texts = dict.fromkeys(texts, "")
        values: Values = {Target("text", name): text for name, text in texts.items() if name}
        for phase, scene, source in self._items:
            item = Target("item", scene, source)
            values[item] = bool(values.get(item)) or phase == self._phase
        if self._switch:  # the scene of the start is the streamer's
            values[SCENE] = self._switch
        return values


def _split(text: str, separator: str) -> tuple[str, str]:
    left, _, right = text.partition(separator)
    return left, right
