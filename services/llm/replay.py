"""The pieces of recent generations, for readers that missed some."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.clock import Clock, monotonic
from shared.commands import ReplayReply
from shared.events import Finished, TokenLogprob

KEEP_S = 60.0


@dataclass
class _Record:
    pieces: list[str] = field(default_factory=list)
    logprobs: list[list[TokenLogprob]] = field(default_factory=list)
    ended_s: float | None = None
    ending: Finished | None = None


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

    def add(self, generation: str, text: str, logprobs: Sequence[TokenLogprob] = ()) -> None:
        """Its next piece."""
        record = self._records[generation]
        record.pieces.append(text)
        record.logprobs.append(list(logprobs))

    def end(self, generation: str, ending: Finished | None = None) -> None:
        """No more pieces come: from now on the record ages."""
        record = self._records[generation]
        record.ended_s, record.ending = self._clock(), ending

    def read(self, generation: str, from_index: int) -> ReplayReply:
        """Pieces from `from_index` on, and whether the generation has ended. Raises KeyError when unknown."""
        self._forget()
        record = self._records[generation]
        logprobs = record.logprobs[from_index:]
        return ReplayReply(
            from_index=from_index,
            pieces=record.pieces[from_index:],
            finished=record.ended_s is not None,
            logprobs=logprobs if any(logprobs) else None,
            ending=record.ending,
        )

    def _forget(self) -> None:
        now = self._clock()
        for generation, record in list(self._records.items()):
            if record.ended_s is not None and now - record.ended_s > self._keep_s:
                del self._records[generation]
