"""A director on a real bus, between a model and a voice that are played by the test."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from services.director.service import Director
from shared.bus import Bus, Message
from shared.commands import Cancel, CancelReply, Generate, GenerateReply, Reply, Speak, StopSpeech
from shared.config import BusSettings, DirectorSettings, Settings
from shared.events import Cleared, Finished, Health, Muted, Token, TurnState
from shared.service import StopSignal, serve


class Show:
    """Director in a thread; model, voice, chat and a viewer's screen as buses of the test."""

    def __init__(self, broker: BusSettings, open_bus: Callable[..., Bus]) -> None:
        self.settings = Settings(bus=broker, director=DirectorSettings(seed=1))
        self.llm = open_bus("llm", register=True)
        self.tts = open_bus("tts", register=True)
        self.input = open_bus("input")
        self.screen = open_bus("screen", "turn.state", "avatar.mood", "show.cleared", "show.muted")
        self.stop = StopSignal()
        self.generated: list[Generate] = []
        self.spoken: list[Speak] = []
        self.stopped: list[StopSpeech] = []
        self.states: list[TurnState] = []
        self.causes: list[str | None] = []
        self.cleared: list[int] = []
        self.muted: list[bool] = []
        self.llm.handle(Generate, self._generate)
        self.llm.handle(Cancel, lambda command, request: CancelReply(cancelled=0))
        self.tts.handle(Speak, self._speak)
        self.tts.handle(StopSpeech, lambda command, request: self.stopped.append(command))
        self.thread = threading.Thread(target=serve, args=(Director, self.settings, self.stop))

    def begin(self) -> None:
        """Wait until the director is there, knows model and voice, and has warmed the cache."""
        self.thread.start()
        self.until(lambda: "idle" in self.phases())
        self.beat()
        self.until(lambda: self.generated)
        self.generated.clear()
        self.states.clear()

    def end(self) -> None:
        self.stop.set()
        self.thread.join(5)
        assert not self.thread.is_alive()

    def begin_again(self) -> None:
        """A new director in the place of the one that ended."""
        for seen in (self.generated, self.spoken, self.states):
            seen.clear()
        self.stop = StopSignal()
        self.thread = threading.Thread(target=serve, args=(Director, self.settings, self.stop))
        self.begin()

    def _generate(self, command: Generate, _: object) -> Reply:
        self.generated.append(command)
        if command.turn is None:
            self.llm.publish(
                "llm.finished", Finished(generation=command.generation, reason="length", text="x", pieces=1)
            )
        return GenerateReply(generation=command.generation)

    def _speak(self, command: Speak, _: object) -> None:
        self.spoken.append(command)

    def beat(self) -> None:
        for bus in (self.llm, self.tts):
            bus.publish("sys.health", Health(phase="ready", pid=1))

    def until(self, done: Callable[[], object], timeout_s: float = 5.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not done():
            assert time.monotonic() < deadline, (self.states, self.generated, self.spoken)
            for bus in (self.llm, self.tts, self.input, self.screen):
                for item in bus.poll(0.002):
                    if isinstance(item, Message) and isinstance(item.payload, TurnState):
                        self.states.append(item.payload)
                        self.causes.append(item.cause)
                    if isinstance(item, Message) and isinstance(item.payload, Cleared):
                        self.cleared.append(item.payload.epoch)
                    if isinstance(item, Message) and isinstance(item.payload, Muted):
                        self.muted.append(item.payload.muted)

    def phases(self) -> list[str]:
        return [state.phase for state in self.states]

    def say(self, *pieces: str) -> None:
        generation = self.generated[-1].generation
        for index, piece in enumerate(pieces):
            self.llm.publish(
                "llm.token", Token(generation=generation, index=index, text=piece, tokens=index + 1)
            )
        text = "".join(pieces)
        self.llm.publish(
            "llm.finished", Finished(generation=generation, reason="stop", text=text, pieces=len(pieces))
        )
