"""What all parts of the conversation share while one input is handled: time, epoch, presences, effects."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from services.director.gate import Gate
from services.director.inputs import Effect, Presence
from services.director.memory import Memory
from shared.commands import Command
from shared.events import Event, TurnPhase
from shared.persona import Persona

if TYPE_CHECKING:
    from services.director.turn import Turn


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
        self.emit(turn.state(phase, self.queued), turn.item.cause)
