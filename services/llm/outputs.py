"""What a generation reports, whoever runs the model: pieces of text, one ending. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from shared.events import EndReason, TokenLogprob


class RefusedError(ValueError):
    """A request that will not be run: one sentence says why, `code` for programs (docs/protocol.md)."""

    def __init__(self, message: str, code: str = "refused") -> None:
        super().__init__(message)
        self.code = code


class Asked(Protocol):
    """What is known of every request, whoever runs it."""

    @property
    def generation(self) -> str:
        """Its id."""

    @property
    def turn(self) -> str | None:
        """The show's turn it belongs to."""

    @property
    def epoch(self) -> int | None:
        """That turn's epoch."""

    @property
    def dropped_turns(self) -> int:
        """Old messages that were left out."""

    @property
    def cause(self) -> str | None:
        """Id of the message that asked for it."""


@dataclass(frozen=True)
class Piece:
    """The next text of a generation."""

    request: Asked
    index: int
    text: str
    tokens: int
    """Model tokens produced so far."""
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True)
class Ended:
    """How a generation ended and what it cost."""

    request: Asked
    reason: EndReason
    text: str
    pieces: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    first_token_ms: float
    tokens_per_s: float
    elapsed_ms: float
    error: str = ""


Output = Piece | Ended
