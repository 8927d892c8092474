"""One turn as it stands: what is answered, which generation draws it, what passed, what was heard."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from services.director.reply import Piece, Reply
from shared.events import ChatMessage, TurnEnd, TurnPhase, TurnState

Drawing = Literal["waiting", "asked", "running", "over"]
"""The model's part: to be asked for, asked, answering, or no longer needed."""


@dataclass(frozen=True)
class Waiting:
    """An item of the queue: a message to answer, or words that are already there."""

    turn: str
    arrived_at: float
    message: ChatMessage | None = None
    cause: str | None = None
    words: tuple[Piece, ...] = ()
    """Said as they are, without the model."""
    end: TurnEnd = "stop"
    """How the turn of these words ends."""
    rule: str = ""
    """Of the block-list, if the message breaks one."""


@dataclass
class Turn:
    """Mutable, owned by the machine. Chunks are counted from the start of the turn; the voice counts from
    `voice_base`, since a voice that came back after a crash begins at 0 again."""

    item: Waiting
    epoch: int
    drawing: Drawing = "waiting"
    draw: int = 0
    bad_draws: int = 0
    generation: str | None = None
    reply: Reply | None = None
    next_index: int = 0
    consumed: int = 0
    """Characters of the generation that were fed to the reply."""
    is_replaying: bool = False
    retry_at: float = 0.0
    away_since: float | None = None
    """When the model was first found away; None while it answers."""
    losses: int = 0
    model_deadline: float | None = None

    chunks: list[Piece] = field(default_factory=list)
    is_closed: bool = False
    """No further chunk comes."""
    end: TurnEnd = "stop"
    sent: int = 0
    is_last_sent: bool = False
    is_voiced: bool = False
    """Something of it was commanded to the voice."""
    voice_epoch: int = 0
    voice_base: int = 0
    voice_deadline: float | None = None
    is_stopping: bool = False
    phase: TurnPhase = "thinking"
    progress: dict[int, str] = field(default_factory=dict)
    """Chunk number -> its words that have sounded."""
    cut_off: str = ""
    """Words of chunk `voice_base` that sounded before the voice died."""
    heard: str | None = None
    """What the voice said at the end that was heard of it."""

    handed_at: tuple[int, int] | None = None
    """How far its words had come when the operator last put a face on her (`resting.py`)."""

    timings_ms: dict[str, float] = field(default_factory=dict)
    tokens: int = 0
    tokens_per_s: float = 0.0

    @property
    def id(self) -> str:
        """Name of the turn on the bus."""
        return self.item.turn

    @property
    def text(self) -> str:
        """Everything that passed."""
        return " ".join(piece.text for piece in self.chunks)

    def note(self, what: str, at: float) -> None:
        """Keep the first time at which something happened, since the message arrived."""
        self.timings_ms.setdefault(what, round(max(0.0, at - self.item.arrived_at) * 1000, 1))

    def heard_text(self) -> str:
        """What left the loudspeaker as far as is known; all that was sent where there is no voice."""
        if not self.is_voiced:
            return " ".join(piece.text for piece in self.chunks[: self.sent])
        before = [piece.text for piece in self.chunks[: self.voice_base]]
        if self.heard is not None:
            return " ".join([*before, self.heard]).strip()
        if not self.progress:
            return " ".join([*before, self.cut_off]).strip()
        reached = max(self.progress)
        whole = [piece.text for piece in self.chunks[self.voice_base : reached]]
        return " ".join([*before, *whole, self.progress[reached]]).strip()

    def begun_chunks(self) -> int:
        """How many chunks have been heard to their end, by the progress of later ones."""
        return min(max(self.progress, default=self.voice_base), len(self.chunks) - 1)

    def state(self, phase: TurnPhase, queued: int) -> TurnState:
        """As it is published."""
        message = self.item.message
        state = TurnState(
            turn=self.id,
            epoch=self.epoch,
            phase=phase,
            author=message.author if message else "",
            author_id=message.author_id if message else "",
            prompt=message.text if message else "",
            rule=self.item.rule,
            message_id=message.id if message else None,
            channel=message.channel if message else "",
            generation=self.generation,
            draw=max(1, self.draw),
            text=self.text,
            heard=self.heard_text(),
            end=self.end if phase == "done" else None,
            queued=queued,
            timings_ms=dict(self.timings_ms),
            tokens=self.tokens,
            tokens_per_s=round(self.tokens_per_s, 1),
        )
        return emptied(state) if self.end == "retracted" else state


def emptied(state: TurnState) -> TurnState:
    """The same without the viewer's line, which was taken back, and without what was said to it."""
    return state.model_copy(update=dict.fromkeys(("author", "prompt", "text", "heard"), ""))
