"""Live tokens of a reply put together: repeats change nothing, a hole shows until a replay fills it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from shared.commands import ReplayReply
from shared.events import Token


@dataclass(frozen=True)
class Draft:
    """Live tokens of one generation: `pieces[0]` is number `first`; a hole before it awaits a replay."""

    generation: str
    epoch: int = 0
    turn: str = ""
    first: int = 0
    pieces: tuple[str, ...] = ()

    @property
    def next_index(self) -> int:
        return self.first + len(self.pieces)

    @property
    def text(self) -> str:
        return ("…" if self.first else "") + "".join(self.pieces)

    def add(self, token: Token) -> Draft:
        """The draft with one more piece; after a hole it starts again, a repeated piece changes nothing."""
        if token.index < self.next_index:
            return self
        if token.index > self.next_index:
            return replace(self, first=token.index, pieces=(token.text,))
        return replace(self, pieces=(*self.pieces, token.text))

    def repair(self, replay: ReplayReply) -> Draft:
        """The draft with the pieces before its hole, when the replay reaches that far."""
        if self.first == 0 or replay.from_index > 0 or len(replay.pieces) < self.first:
            return self
        known = len(replay.pieces) - self.first
        return replace(self, first=0, pieces=(*replay.pieces, *self.pieces[known:]))
