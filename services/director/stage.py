"""What all parts of the conversation share while one input is handled: time, epoch, presences, effects."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field

from services.director.gate import Gate
from services.director.inputs import Effect, Presence
from services.director.memory import Memory
from services.director.turn import Turn, emptied
from shared.commands import Command
from shared.events import ChatRetracted, Event, TurnPhase, TurnState
from shared.persona import Persona
from shared.topics import TOPICS


@dataclass
class Stage:
    """Mutable, owned by the machine; `out` collects the effects of the input that is being handled."""

    persona: Persona
    gate: Gate
    memory: Memory
    rng: random.Random
    now: float = 0.0
    wall_ms: int = 0
    epoch: int = 0
    queued: int = 0
    llm: Presence = "absent"
    voice: Presence = "absent"
    rest_at: float | None = None
    """When her face goes neutral if no turn begins before; None while it is to stay as it is."""
    fallbacks: int = 0
    """How often a written line had to be said instead of a draw: they are said in turn."""
    out: list[Effect] = field(default_factory=list)
    ended: deque[TurnState] = field(default_factory=lambda: deque(maxlen=TOPICS["turn.state"].delivery.value))
    """How turns ended that may still be retained."""

    def emit(self, payload: Event | Command, cause: str | None = None) -> None:
        """Add an effect."""
        self.out.append(Effect(payload, cause))

    def raise_epoch(self) -> int:
        """A new epoch, above every one used before, also by an earlier director."""
        self.epoch = max(self.epoch + 1, self.wall_ms)
        return self.epoch

    def publish(self, turn: Turn, phase: TurnPhase) -> None:
        """Say where `turn` stands."""
        turn.phase = phase
        state = turn.state(phase, self.queued)
        self.emit(state, turn.item.cause)
        if phase == "done":
            self.ended.append(state)

    def take_back(self, retracted: ChatRetracted) -> bool:
        """Turns that are over end once more, with nothing in them, for whoever reads what is retained.

        False when there are none.
        """
        gone = [state for state in self.ended if state.end != "retracted" and retracted.covers(state)]
        for state in gone:
            self.ended.remove(state)
            last = {"phase": "done", "end": "retracted", "epoch": self.epoch, "queued": self.queued}
            self.emit(emptied(state).model_copy(update=last))
        return bool(gone)
