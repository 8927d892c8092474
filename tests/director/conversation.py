"""Drives the director's machine by hand: a fake clock, a model and a voice that say what a test tells them."""

from __future__ import annotations

import random
from typing import Any

from services.director.gate import Gate
from services.director.inputs import Answered, Arrived, Heard, Input, PresenceChanged, Resumed, Tick
from services.director.memory import Memory
from services.director.turns import Turns
from shared.blocklist import load_blocklist
from shared.clock import FakeClock
from shared.commands import Command, Generate, Speak
from shared.events import ChatMessage, Finished, Progress, SpeechFinished, Token, TurnState
from shared.persona import load_persona

PERSONA = load_persona("akane")
BLOCKLIST = load_blocklist()


class Conversation:
    """The machine, its clock, and everything it did (`did`), oldest first."""

    def __init__(
        self,
        *,
        voice: str = "ready",
        llm: str = "ready",
        queue_limit: int = 5,
        history: int = 6,
        memory: Memory | None = None,
    ) -> None:
        self.clock = FakeClock()
        self.memory = memory or Memory(PERSONA, history)
        gate = Gate(PERSONA, BLOCKLIST)
        self.turns = Turns(gate, self.memory, queue_limit, lambda: int(self.clock() * 1000), random.Random(1))
        self.did: list[Any] = []
        self.causes: list[str | None] = []
        self._count = 0
        self.do(Resumed(()))
        self.do(PresenceChanged("tts", voice))  # type: ignore[arg-type]
        self.do(PresenceChanged("llm", llm))  # type: ignore[arg-type]
        if llm == "ready":
            self.finish_warming()

    def do(self, happened: Input) -> list[Any]:
        effects = self.turns.handle(happened, self.clock())
        payloads = [effect.payload for effect in effects]
        self.did += payloads
        self.causes += [effect.cause for effect in effects]
        return payloads

    def finish_warming(self) -> None:
        (warm,) = self.all(Generate)
        assert warm.turn is None
        assert warm.max_tokens == 1
        self.do(Finished(generation=warm.generation, reason="length", text="x", pieces=1))
        self.did.clear()

    def all(self, kind: type) -> list[Any]:
        return [payload for payload in self.did if isinstance(payload, kind)]

    def last(self, kind: type) -> Any:
        return self.all(kind)[-1]

    def states(self) -> list[tuple[str, str | None]]:
        return [(state.phase, state.end) for state in self.all(TurnState)]

    def ask(self, text: str, author: str = "you", channel: str = "terminal") -> ChatMessage:
        self._count += 1
        message = ChatMessage(
            id=f"m{self._count}", channel=channel, author=author, author_id=author, text=text
        )
        self.do(Arrived(message, self.clock(), f"input/chat.message/{self._count}"))
        return message

    def generate(self, *pieces: str, end: str | None = "stop") -> None:
        """The running generation says `pieces`, and ends unless `end` is None."""
        request: Generate = self.last(Generate)
        self.do(Answered(request))
        for index, text in enumerate(pieces):
            self.do(Token(generation=request.generation, index=index, text=text, tokens=index + 1))
        if end is not None:
            self.do(
                Finished(
                    generation=request.generation,
                    reason=end,  # type: ignore[arg-type]
                    text="".join(pieces),
                    pieces=len(pieces),
                    completion_tokens=len(pieces),
                    tokens_per_s=50.0,
                )
            )

    def accept_speech(self) -> list[Speak]:
        """The voice takes every chunk it was not asked about before."""
        taken: list[Speak] = []
        for speak in self.all(Speak):
            if id(speak) not in self.__dict__.setdefault("_taken", set()):
                self._taken.add(id(speak))
                taken.append(speak)
                self.do(Answered(speak))
        return taken

    def hear(self, chunk: int, heard: str, sound_at: float | None = None) -> None:
        speak: Speak = self.last(Speak)
        progress = Progress(
            turn=speak.turn,
            epoch=speak.epoch,
            chunk=chunk,
            position_s=1.0,
            words_heard=len(heard.split()),
            heard=heard,
        )
        self.do(Heard(progress, sound_at))

    def finish_speech(self, reason: str = "done", heard: str = "") -> None:
        speak: Speak = self.last(Speak)
        self.do(
            SpeechFinished(turn=speak.turn, epoch=speak.epoch, reason=reason, heard=heard, chunks=1)  # type: ignore[arg-type]
        )

    def wait(self, seconds: float) -> None:
        """Time passes in the steps in which the service ticks."""
        for _ in range(int(seconds / 0.1)):
            self.clock.advance(0.1)
            self.do(Tick())


def commands(payloads: list[Any]) -> list[str]:
    return [payload.wire_name for payload in payloads if isinstance(payload, Command)]
