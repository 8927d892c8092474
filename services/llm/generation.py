"""One run of the model: what was asked, how far it is, and what it reports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from services.llm.outputs import Ended, Piece
from shared.events import EndReason, TokenLogprob
from shared.model.sampling import GREEDY, Sampler, SamplingParams

__all__ = ["Ended", "Generation", "LogitsProcessor", "Piece", "Request", "TextStream"]

LogitsProcessor = Callable[[Tensor, Sequence[int]], Tensor]
"""Takes a row of logits (V,) and the ids generated so far; returns the row to choose from, a new one."""


class TextStream(Protocol):
    """Turns token ids into text that is never taken back."""

    @property
    def stopped(self) -> bool:
        """A stop string is complete; nothing follows."""

    def feed(self, token: int) -> str:
        """The text that became certain with this token, often empty."""

    def finish(self) -> str:
        """What was held back, when nothing more comes."""


@dataclass(frozen=True)
class Request:
    """What to continue and how; `tokens` is the rendered prompt."""

    generation: str
    tokens: list[int]
    text: TextStream
    max_tokens: int = 256
    params: SamplingParams = GREEDY
    seed: int | None = None
    stop_tokens: frozenset[int] = frozenset()
    queue_deadline_s: float = 30.0
    turn: str | None = None
    epoch: int | None = None
    dropped_turns: int = 0
    cause: str | None = None
    """Id of the message that asked for it."""
    processors: tuple[LogitsProcessor, ...] = ()
    """Change the logits before each choice, in order."""
    observe: Callable[[Tensor, int], TokenLogprob] | None = None
    """Makes the log probability of a chosen id from the unchanged logits."""


@dataclass
class Generation:
    """A request that is queued or running. Times are the engine's clock in seconds."""

    request: Request
    received_s: float
    sampler: Sampler
    row: int | None = None
    cached_tokens: int = 0
    filled: int = 0
    """Prompt tokens that are in the cache."""
    pieces: list[str] = field(default_factory=list)
    unsent: list[TokenLogprob] = field(default_factory=list)
    """Of tokens whose text is not certain yet."""
    first_token_s: float | None = None
    last_token_s: float = 0.0

    @property
    def is_decoding(self) -> bool:
        """The prompt is done and the last sampled token waits to be fed."""
        return self.row is not None and self.filled == len(self.request.tokens)

    @property
    def decode_tokens_per_s(self) -> float:
        """Tokens after the first, over the time they took."""
        count, span = len(self.sampler.generated) - 1, self.last_token_s - (self.first_token_s or 0.0)
        return count / span if count > 0 and span > 0 else 0.0

    @property
    def first_token_ms(self) -> float:
        """From the request's arrival to its first token; 0 while there is none."""
        return 0.0 if self.first_token_s is None else 1000 * (self.first_token_s - self.received_s)

    def ended(self, reason: EndReason, now_s: float, error: str = "") -> Ended:
        """The report of its end."""
        return Ended(
            request=self.request,
            reason=reason,
            text="".join(self.pieces),
            pieces=len(self.pieces),
            prompt_tokens=len(self.request.tokens),
            cached_tokens=self.cached_tokens,
            completion_tokens=len(self.sampler.generated),
            first_token_ms=self.first_token_ms,
            tokens_per_s=self.decode_tokens_per_s,
            elapsed_ms=1000 * (now_s - self.received_s),
            error=error,
        )
