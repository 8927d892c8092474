"""The pieces of recent generations, for readers that missed some."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.clock import Clock, monotonic

KEEP_S = 60.0


@dataclass
class _Record:
    pieces: list[str] = field(default_factory=list)
    ended_s: float | None = None


class ReplayMemory:
    """Pieces of each generation from its start until `keep_s` after its end."""

    def __init__(self, clock: Clock = monotonic, keep_s: float = KEEP_S) -> None:
        self._clock = clock
        self._keep_s = keep_s
        self._records: dict[str, _Record] = {}

    def __contains__(self, generation: str) -> bool:
        self._forget()
        return generation in self._records

    def begin(self, generation: str) -> None:
        """Remember a generation from now on."""
        self._forget()
        self._records[generation] = _Record()

    def add(self, generation: str, text: str) -> None:
        """Its next piece."""
        self._records[generation].pieces.append(text)

    def end(self, generation: str) -> None:
        """No more pieces come: from now on the record ages."""
        self._records[generation].ended_s = self._clock()

    def read(self, generation: str, from_index: int) -> tuple[Sequence[str], bool]:
        """Pieces from `from_index` on, and whether the generation has ended. Raises KeyError when unknown."""
        self._forget()
        record = self._records[generation]
        return record.pieces[from_index:], record.ended_s is not None

    def _forget(self) -> None:
        now = self._clock()
        for generation, record in list(self._records.items()):
            if record.ended_s is not None and now - record.ended_s > self._keep_s:
                del self._records[generation]
