"""What the service asks of whoever runs the model: our engine or a server elsewhere. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from services.llm.outputs import Asked, Ended, Output
from shared.commands import Generate
from shared.events import LlmStats


class Runner(Protocol):
    """All methods are called by the one thread that owns the bus, and none of them waits."""

    @property
    def trouble(self) -> str:
        """One sentence while it cannot answer; empty when all is well."""

    @property
    def busy(self) -> bool:
        """Whether a step would do anything now."""

    def submit(self, command: Generate, cause: str | None = None) -> int:
        """Put a command in line; returns how many are ahead of it. Raises RefusedError."""

    def step(self) -> list[Output]:
        """What has been generated since the last call."""

    def cancel(self, matches: Callable[[Asked], bool]) -> list[Ended]:
        """End every request that `matches`, at once."""

    def adapt(self, wanted: str) -> tuple[str, int]:
        """Obey `llm.adapter`: the new one's name, and how many finish on the old one. Raises RefusedError."""

    def occupancy(self) -> tuple[int, int]:
        """Generations that run and that wait."""

    def stats(self) -> LlmStats:
        """What the model is and how busy it is."""

    def describe(self) -> str:
        """For people: which model runs where."""
