"""What was said in this show, what is known of the viewer from before, and the prompt made of both."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from services.director.regulars import Regulars
from shared.commands import ChatTurn
from shared.events import ChatMessage, ChatRetracted
from shared.persona import Persona, cleaned_line
from shared.sanitize import clean_name

RECENT_REPLIES = 20
"""Her last replies, kept for the gate: a small model falls into saying the same thing again and again."""


@dataclass(frozen=True)
class Exchange:
    """A message that was answered, and what of the answer was heard."""

    message: ChatMessage
    heard: str


class Memory:
    """Exchanges of the show, oldest first.

    The prompt only ever grows at its end until `limit` exchanges are reached; then the older half goes at
    once, so that the KV cache loses its prefix once in a while and not with every message.
    """

    def __init__(self, persona: Persona, limit: int, regulars: Regulars | None = None) -> None:
        self._persona = persona
        self._limit = limit
        self._regulars = regulars
        self._exchanges: list[Exchange] = []
        self._replies: deque[str] = deque(maxlen=RECENT_REPLIES)
        self._has_examples = True
        self._pinned = persona.pinned()

    def use_adapter(self, has_adapter: bool) -> bool:
        """The model has an adapter from now on, or none; True when the head of the prompt changed with it."""
        before = self._pinned
        self._has_examples = not has_adapter or self._persona.examples_with_adapter
        self._pinned = self._persona.pinned(examples=self._has_examples)
        return self._pinned != before

    @property
    def n_pinned(self) -> int:
        """Leading turns of every prompt that are never dropped."""
        return len(self._pinned)

    def prompt(self, message: ChatMessage | None = None) -> list[ChatTurn]:
        """Persona, examples, past exchanges and the new message; hostile names and texts cleaned again.

        What is known of the message's author ends the instructions, so that everybody else's prompts, which
        have no such line, keep one head in the KV cache.
        """
        turns = list(self._pinned)
        known = self.known_of(message) if message is not None else ""
        if known:
            turns = self._persona.pinned(known, self._has_examples)
        for exchange in self._exchanges:
            turns.append(ChatTurn(role="user", content=_line(exchange.message)))
            turns.append(ChatTurn(role="assistant", content=exchange.heard))
        if message is not None:
            turns.append(ChatTurn(role="user", content=_line(message)))
        return turns

    def remember(self, message: ChatMessage, heard: str) -> bool:
        """Keep an exchange if anything was heard; True when older ones were dropped to make room."""
        heard = heard.strip()
        if not heard:
            return False
        self._replies.append(heard)
        if not self._limit:
            return False
        self._exchanges.append(Exchange(message, heard))
        if len(self._exchanges) <= self._limit:
            return False
        del self._exchanges[: len(self._exchanges) - max(1, self._limit // 2)]
        return True

    def learn(self, message: ChatMessage) -> None:
        """Keep for later shows what a message tells about its author."""
        if self._regulars:
            self._regulars.learn(message)

    def erase(self, message: ChatMessage) -> bool:
        """Forget all about the author of `message`, who asked for it; False when it could not be done."""
        self._drop(ChatRetracted(channel=message.channel, author_id=message.author_id, reason="deleted"))
        return self._regulars is None or self._regulars.forget(message.channel, message.author_id)

    def forget(self, retracted: ChatRetracted) -> bool:
        """Drop what moderation took back, and what was learned from it; True when an exchange was dropped."""
        if self._regulars:
            self._regulars.retract(retracted)
        return self._drop(retracted)

    def _drop(self, retracted: ChatRetracted) -> bool:
        kept = [item for item in self._exchanges if not retracted.covers(item.message)]
        dropped = len(kept) != len(self._exchanges)
        self._exchanges = kept
        return dropped

    def authors(self) -> set[str]:
        """Names that may stand in the prompt, of the examples and of past exchanges, in lower case."""
        past = (clean_name(exchange.message.author) for exchange in self._exchanges)
        named = {name.casefold() for name in (*past, *(example.author for example in self._persona.example))}
        return named - {"you"}

    def known_of(self, message: ChatMessage) -> str:
        """What the prompt says of the message's author from before; empty for a stranger."""
        in_prompt = [exchange.message.id for exchange in self._exchanges]
        return self._regulars.line(message, [*in_prompt, message.id]) if self._regulars else ""

    def replies(self) -> list[str]:
        """What she said lately, oldest first; it reaches farther back than the prompt."""
        return list(self._replies)


def _line(message: ChatMessage) -> str:
    return cleaned_line(message.author, message.text)
