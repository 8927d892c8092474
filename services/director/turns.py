"""The conversation as a state machine: `handle(input, now)` gives what to publish and to command; no I/O."""

from __future__ import annotations

import logging
import random
import re
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from services.director import drawing, resting, voicing
from services.director.gate import Gate
from services.director.inputs import (
    AdapterChanged,
    Answered,
    Arrived,
    Died,
    Effect,
    Heard,
    Input,
    InterruptAsked,
    MoodAsked,
    MuteAsked,
    PresenceChanged,
    Replayed,
    Resumed,
    SayAsked,
    Tick,
)
from services.director.memory import Memory
from services.director.reply import prepared
from services.director.resuming import resume
from services.director.stage import Stage
from services.director.turn import Turn, Waiting
from shared.commands import Cancel, ChatTurn, Generate
from shared.events import ChatMessage, ChatRetracted, Finished, SpeechFinished, Token, TurnEnd

log = logging.getLogger(__name__)

WARM_WAIT_S = 20.0
_FORGOTTEN: tuple[TurnEnd, ...] = ("refused", "retracted", "error")
"""Ends after which an exchange does not become part of her memory."""
_FORGET_ME = re.compile(r"!forget[ _]?me", re.IGNORECASE)
"""Typed alone, it erases what is known of its author."""


class Turns:
    """Messages are answered in order, one turn at a time; every wait has an end.

    `wall_ms` gives wall-clock milliseconds (for epochs), `rng` the seeds and the choice among written lines.
    """

    def __init__(
        self, gate: Gate, memory: Memory, queue_limit: int, wall_ms: Callable[[], int], rng: random.Random
    ) -> None:
        self.stage = Stage(gate.persona, gate, memory, rng)
        self.turn: Turn | None = None
        self.queue: deque[Waiting] = deque()
        self.is_muted = False
        self._queue_limit = queue_limit
        self._wall_ms = wall_ms
        self._count = 0
        self._warm_generation: str | None = None
        self._warm_deadline = 0.0
        self._needs_warming = True
        self._handlers: dict[type, Callable[[Any], None]] = {
            Arrived: self._arrived,
            ChatRetracted: self._retracted,
            SayAsked: self._say,
            InterruptAsked: lambda _: self._interrupt("interrupted"),
            MuteAsked: self._mute,
            MoodAsked: lambda asked: resting.by_hand(self.stage, self.turn, asked.mood),
            Finished: self._finished,
            Answered: self._answered,
            PresenceChanged: self._presence,
            AdapterChanged: self._adapter,
            Died: self._died,
            Resumed: self._resumed,
            Tick: self._tick,
            Token: lambda token: self._if_turn(drawing.on_token, token),
            Replayed: lambda replayed: self._if_turn(drawing.on_replayed, replayed),
            Heard: lambda heard: self._if_turn(voicing.on_heard, heard),
            SpeechFinished: lambda finished: self._if_turn(voicing.on_finished, finished),
        }

    def handle(self, happened: Input, now: float) -> list[Effect]:
        """What follows from one input. `now` is in seconds of a clock that never jumps back."""
        stage = self.stage
        stage.now, stage.wall_ms, stage.queued = now, self._wall_ms(), len(self.queue)
        self._handlers[type(happened)](happened)
        self._settle()
        effects, stage.out = stage.out, []
        return effects

    def new_turn_id(self) -> str:
        """A name no other turn had or will have."""
        self._count += 1
        return f"t{self._wall_ms()}-{self._count}"

    # -- what happens --------------------------------------------------------------------------------------

    def _arrived(self, arrived: Arrived) -> None:
        message = arrived.message
        item = Waiting(self.new_turn_id(), arrived.at, message, arrived.cause)
        if _FORGET_ME.fullmatch(message.text.strip()):
            if not self._forgets(message):
                self._end_unanswered(item, "error")
                return
            item = replace(item, words=tuple(prepared(self.stage.persona.forgotten, "neutral")))
        gate = self.stage.gate
        # The door has judged the line already; another door, attached by somebody, may not have.
        rule = message.rule or gate.refuses(message.text) or gate.refuses(message.author)
        item = replace(item, rule=rule or "")
        if rule == "self_harm" and not self.is_muted:
            item = replace(item, words=tuple(prepared(self.stage.persona.care, "sad")), end="refused")
        elif rule or self.is_muted or len(self.queue) >= self._queue_limit:
            log.info(
                "message %s is not answered: %s",
                message.id,
                rule or ("muted" if self.is_muted else "queue full"),
            )
            self._end_unanswered(item, "refused")
            return
        self.queue.append(item)
        self.stage.queued = len(self.queue)
        if self.turn:
            self.stage.publish(self.turn, self.turn.phase)

    def _forgets(self, message: ChatMessage) -> bool:
        """Erase what is known of whoever asks for it, at once and whether or not there is time to say so."""
        self._needs_warming = True
        return self.stage.memory.erase(message)

    def _retracted(self, retracted: ChatRetracted) -> None:
        if self.turn and self.turn.item.message and retracted.covers(self.turn.item.message):
            self._interrupt("retracted")
        kept: deque[Waiting] = deque()
        gone: list[Waiting] = []
        for item in self.queue:
            (gone if item.message and retracted.covers(item.message) else kept).append(item)
        self.queue = kept
        self.stage.queued = len(kept)
        for item in gone:
            self._end_unanswered(item, "retracted")
        if self.stage.memory.forget(retracted):
            self._needs_warming = True
        if self.stage.take_back(retracted):
            self._say_again()

    def _say(self, say: SayAsked) -> None:
        self.queue.appendleft(Waiting(say.turn, self.stage.now, words=tuple(prepared(say.text, say.mood))))

    def _interrupt(self, end: TurnEnd) -> None:
        turn, stage = self.turn, self.stage
        if turn is None or turn.phase == "done":
            return
        if turn.is_stopping:
            turn.end = end
            return
        turn.epoch = stage.raise_epoch()
        turn.end = end
        turn.is_closed = True
        drawing.stop(stage, turn)
        stage.emit(Cancel(below_epoch=turn.epoch))
        voicing.stop(stage, turn)

    def _mute(self, mute: MuteAsked) -> None:
        self.is_muted = mute.muted
        if mute.muted:
            self._interrupt("interrupted")
            forgotten, self.queue = self.queue, deque()
            self.stage.queued = 0
            for item in forgotten:
                self._end_unanswered(item, "refused")

    def _finished(self, finished: Finished) -> None:
        if finished.generation == self._warm_generation:
            self._warm_generation = None
        self._if_turn(drawing.on_finished, finished)

    def _answered(self, answer: Answered) -> None:
        command = answer.command
        if isinstance(command, Generate) and answer.code and command.generation == self._warm_generation:
            self._warm_generation = None
        self._if_turn(drawing.on_answer, answer)
        self._if_turn(voicing.on_answer, answer)

    def _adapter(self, change: AdapterChanged) -> None:
        if self.stage.memory.use_adapter(change.has_adapter):
            self._needs_warming = True

    def _presence(self, change: PresenceChanged) -> None:
        stage = self.stage
        if change.service == "llm":
            stage.llm = change.presence
            self._if_turn(lambda stage, turn, _: drawing.ask(stage, turn), None)
            return
        before, stage.voice = stage.voice, change.presence
        if self.turn and change.presence == "absent" and before != "absent":
            voicing.lost(stage, self.turn)
        self._if_turn(lambda stage, turn, _: voicing.push(stage, turn), None)

    def _died(self, died: Died) -> None:
        if died.service == "llm":
            self._needs_warming, self._warm_generation = True, None
            self._if_turn(lambda stage, turn, _: drawing.lost(stage, turn), None)
        else:
            # Its successor may have been heard already: then the words go to it at once.
            self._if_turn(lambda stage, turn, _: voicing.lost(stage, turn), None)
            self._if_turn(lambda stage, turn, _: voicing.push(stage, turn), None)

    def _resumed(self, resumed: Resumed) -> None:
        self.is_muted = resumed.muted
        resume(self.stage, resumed)

    def _tick(self, _: Tick) -> None:
        if self._warm_generation and self.stage.now > self._warm_deadline:
            self._warm_generation = None
        self._if_turn(lambda stage, turn, _: drawing.tick(stage, turn), None)
        self._if_turn(lambda stage, turn, _: voicing.tick(stage, turn), None)
        if not self.turn and not self.queue:
            resting.tick(self.stage)

    # -- from turn to turn ---------------------------------------------------------------------------------

    def _if_turn(self, part: Callable[[Stage, Turn, Any], None], happened: Any) -> None:
        if self.turn and self.turn.phase != "done":
            part(self.stage, self.turn, happened)

    def _settle(self) -> None:
        """Conclude what is done and start what is next, until nothing changes."""
        while True:
            if self.turn and self.turn.phase == "done":
                self._conclude(self.turn)
            if self.turn or self._warm_generation:
                return
            if not self.queue:
                self._warm()
                return
            self._start(self.queue.popleft())

    def _start(self, item: Waiting) -> None:
        stage = self.stage
        stage.queued = len(self.queue)
        turn = self.turn = Turn(item, stage.raise_epoch())
        if not item.words:
            drawing.begin(stage, turn)
            return
        turn.chunks = list(item.words)
        stage.publish(turn, "thinking")
        drawing.close(stage, turn, item.end)

    def _conclude(self, turn: Turn) -> None:
        stage = self.stage
        drawing.stop(stage, turn)
        turn.note("done", stage.now)
        stage.publish(turn, "done")
        resting.after(stage, turn)
        self.turn = None
        message = turn.item.message
        if message is None or turn.item.words:
            return
        if turn.end != "retracted":
            stage.memory.learn(message)
        if turn.end not in _FORGOTTEN and stage.memory.remember(message, turn.heard_text()):
            self._needs_warming = True

    def _end_unanswered(self, item: Waiting, end: TurnEnd) -> None:
        """An ending for a message that never became a turn; the present turn's state is then said again."""
        ended = Turn(item, self.stage.epoch)
        ended.end = end
        self.stage.publish(ended, "done")
        self._say_again()

    def _say_again(self) -> None:
        """The last state published is the present one."""
        if self.turn and self.turn.phase != "done":
            self.stage.publish(self.turn, self.turn.phase)

    def _warm(self) -> None:
        """Have the model compute the head of the next prompt while nobody waits."""
        stage = self.stage
        if not self._needs_warming or stage.llm != "ready":
            return
        self._needs_warming = False
        self._count += 1
        self._warm_generation = f"warm-{stage.wall_ms}-{self._count}"
        self._warm_deadline = stage.now + WARM_WAIT_S
        # A template may refuse a conversation that does not end with a person's line.
        messages = [*stage.memory.prompt(), ChatTurn(role="user", content="hi")]
        stage.emit(
            Generate(
                generation=self._warm_generation,
                messages=messages,
                pinned=stage.memory.n_pinned,
                max_tokens=1,
                temperature=0.0,
            )
        )
