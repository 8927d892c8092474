"""The text of one generation from events that may be lost on the way, in order and whole. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from shared.commands import ReplayReply
from shared.events import Finished, Token, TokenLogprob

QUIET_S = 5.0
"""After this long without a sign the llm is asked how far it is: its last event may have been lost."""
LOST_S = 30.0
"""After this long without any answer the generation counts as lost."""


@dataclass(frozen=True)
class Delta:
    """The next text."""

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()


class Reading:
    """Feed it `llm.token`, `llm.finished` and replies to `llm.replay`; it gives each text once, in order."""

    def __init__(self, generation: str, now_s: float, *, wants_logprobs: bool) -> None:
        self.generation = generation
        self.next_index = 0
        self.heard_s = now_s
        self.asked_s = now_s
        self.is_asking = False
        """A replay is on its way."""
        self.ending: Finished | None = None
        self.is_done = False
        """All text was given; `ending` says how it ended."""
        self._wants_logprobs = wants_logprobs
        self._consumed = 0
        self._early: dict[int, Delta] = {}

    def token(self, token: Token, now_s: float) -> list[Delta]:
        """What can be given now that this piece is there."""
        self.heard_s = now_s
        if token.index >= self.next_index:
            self._early[token.index] = Delta(token.text, tuple(token.logprobs))
        return self._given()

    def finished(self, ending: Finished, now_s: float) -> list[Delta]:
        """The end; without log probabilities its whole text fills every hole."""
        self.heard_s = now_s
        self.ending = ending
        given = self._given()
        if not self.is_done and not self._wants_logprobs:
            given += self._rest()
        return given

    def replayed(self, reply: ReplayReply, now_s: float) -> list[Delta]:
        """Pieces from `reply.from_index` on, and the ending if there is one."""
        self.is_asking = False
        self.heard_s = now_s
        logprobs = reply.logprobs or [[] for _ in reply.pieces]
        for at, (text, values) in enumerate(zip(reply.pieces, logprobs, strict=False), reply.from_index):
            if at >= self.next_index:
                self._early.setdefault(at, Delta(text, tuple(values)))
        given = self._given()
        if reply.ending is not None and not self.is_done:
            self.ending = reply.ending
            given += self._given()
            given += [] if self.is_done else self._rest()
        return given

    def replay_failed(self) -> list[Delta]:
        """The llm does not know the generation any more: what its ending said is all there is."""
        self.is_asking = False
        return self._rest() if self.ending is not None and not self.is_done else []

    def replay_from(self, now_s: float) -> int | None:
        """The index to ask a replay from, when it is time to ask."""
        if self.is_done or self.is_asking:
            return None
        has_hole = bool(self._early) or self.ending is not None
        is_quiet = now_s - max(self.heard_s, self.asked_s) >= QUIET_S
        if not (has_hole or is_quiet):
            return None
        self.is_asking, self.asked_s = True, now_s
        return self.next_index

    def is_lost(self, now_s: float) -> bool:
        """Nothing was heard of it for too long."""
        return not self.is_done and now_s - self.heard_s >= LOST_S

    def _given(self) -> list[Delta]:
        given: list[Delta] = []
        if self.is_done:
            return given
        while (delta := self._early.pop(self.next_index, None)) is not None:
            self.next_index += 1
            self._consumed += len(delta.text)
            given.append(delta)
        if self.ending is not None and self.next_index >= self.ending.pieces:
            self.is_done = True
        return given

    def _rest(self) -> list[Delta]:
        assert self.ending is not None
        self.is_done = True
        text = self.ending.text[self._consumed :]
        self._consumed += len(text)
        return [Delta(text)] if text else []
