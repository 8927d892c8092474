"""The director as a process: bus events and commands in, the machine's effects out."""

from __future__ import annotations

import logging
import random
import time
from typing import Literal

from services.director.gate import Gate, Scene
from services.director.inputs import (
    AdapterChanged,
    Answered,
    Arrived,
    Died,
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
from services.director.mood import mood_model
from services.director.presence import Presences
from services.director.regulars import Regulars, regulars_path
from services.director.turns import Turns
from shared.blocklist import load_blocklist
from shared.bus import Bus, CommandError, Message, Refused, Request, SourceLost
from shared.clock import Clock
from shared.commands import Command, Interrupt, Panic, Replay, ReplayReply, Reply, Say, SayReply, SetMood
from shared.config import ConfigError, Settings
from shared.events import (
    ChatMessage,
    ChatRetracted,
    Cleared,
    Event,
    Finished,
    Health,
    LlmStats,
    Mood,
    Muted,
    Processes,
    Progress,
    SpeechFinished,
    Token,
    TurnState,
)
from shared.persona import load_persona, persona_path
from shared.service import Finding, Service, StartError
from shared.wire import HOST

log = logging.getLogger(__name__)

TICK_S = 0.1
IDLE_S = 1.0
OLDEST_S = 600.0
"""A time stamp farther back than this comes from another machine's clock."""
_TOPIC_OF: dict[type[Event], str] = {TurnState: "turn.state", Mood: "avatar.mood"}
_SERVICES: tuple[Literal["llm"], Literal["tts"]] = ("llm", "tts")


class Director(Service):
    """Decides who is answered, and lets nothing be said that did not pass the gate."""

    name = "director"
    topics = (
        "chat.message",
        "chat.retracted",
        "llm.token",
        "llm.finished",
        "llm.stats",
        "speech.progress",
        "speech.finished",
        "turn.state",
        "show.cleared",
        "show.muted",
        "sys.health",
        "sys.processes",
    )

    def __init__(self, settings: Settings, bus: Bus, clock: Clock) -> None:
        super().__init__(settings, bus, clock)
        self._presences = Presences()
        self._earlier: list[TurnState] = []
        self._cleared_epoch = 0
        self._was_muted = False
        self._has_resumed = False

    def start(self) -> None:
        """Read the persona, the block-list and the moods. StartError names the file and the key."""
        own = self.settings.director
        try:
            persona = load_persona(own.persona)
            self._gate = Gate(persona, load_blocklist(own.blocklist))
            mood_model()
        except ConfigError as error:
            raise StartError(str(error)) from None
        rng = random.Random(own.seed)
        self._regulars = Regulars(regulars_path(), own, self._gate.refuses)
        memory = Memory(persona, own.history_turns, self._regulars)
        self.turns = Turns(self._gate, memory, own.queue_limit, lambda: time.time_ns() // 1_000_000, rng)
        self.bus.handle(Say, self._say)
        self.bus.handle(Interrupt, self._interrupt)
        self.bus.handle(Panic, self._panic)
        self.bus.handle(SetMood, self._set_mood)
        self.detail = persona.name

    def on_event(self, message: Message) -> None:
        """Translate what the machine reads; of an earlier director only what was retained matters."""
        payload = message.payload
        if isinstance(payload, TurnState):
            if message.session != self.bus.session and not self._has_resumed:
                self._earlier.append(payload)
        elif isinstance(payload, Cleared):
            self._cleared_epoch = max(self._cleared_epoch, payload.epoch)
        elif isinstance(payload, Muted):
            self._was_muted = payload.muted
        elif isinstance(payload, ChatMessage):
            self._resume()
            self._do(Arrived(payload, self._when(message), message.id))
        elif isinstance(payload, (ChatRetracted, Token, Finished, SpeechFinished)):
            self._do(payload)
        elif isinstance(payload, Progress):
            sound_at = None
            if payload.sound_mono_ns is not None and message.host == HOST:
                sound_at = self._from_monotonic(payload.sound_mono_ns)
            self._do(Heard(payload, sound_at))
        elif isinstance(payload, Health):
            self._presences.beat(message.source, message.session, payload)
            self._note_presence(message.source)
        elif isinstance(payload, LlmStats):
            if message.source == "llm":
                self._do(AdapterChanged(bool(payload.adapter)))
        elif isinstance(payload, Processes):
            self._presences.list(payload)
            for service in _SERVICES:
                self._note_presence(service)

    def on_lost(self, lost: SourceLost) -> None:
        """The model or the voice died."""
        self._presences.lost(lost.source, lost.session)
        self._note_presence(lost.source)
        for service in _SERVICES:
            if lost.source == service:
                self._do(Died(service))

    def tick(self) -> float:
        """Look at the waits."""
        self._resume()
        self._do(Tick())
        return TICK_S if self.turns.turn else IDLE_S

    def stop(self) -> None:
        """End the present turn, so that whoever waits for it is not left waiting."""
        self._do(MuteAsked(True))
        if self.turns.turn:
            self.turns.turn.phase = "done"
            self._do(Tick())
        self._regulars.close()

    @classmethod
    def check(cls, settings: Settings) -> list[Finding]:
        """The persona file and the block-list."""
        own = settings.director
        findings = []
        try:
            persona = load_persona(own.persona)
            findings.append(Finding("persona", True, f"{persona.name}, {len(persona.example)} examples"))
        except ConfigError as error:
            fix = f"mend {persona_path(own.persona)} or set director.persona"
            findings.append(Finding("persona", False, str(error), fix))
        try:
            listed = load_blocklist(own.blocklist).listed
            findings.append(Finding("block-list", True, f"{len(listed)} words"))
        except ConfigError as error:
            findings.append(
                Finding("block-list", False, str(error), "mend the file or set director.blocklist")
            )
        return findings

    # -- commands --------------------------------------------------------------------------------------

    def _say(self, command: Say, _: Request) -> Reply:
        self._resume()
        if self.turns.is_muted:
            raise Refused("She is muted: send director.panic with muted=false first.")
        verdict = self._gate.check(command.text, Scene())
        if not verdict:
            raise Refused(f"The gate does not let this be said ({verdict.rule}): {verdict.found!r}.")
        turn = self.turns.new_turn_id()
        self._do(SayAsked(turn, command.text, command.mood))
        return SayReply(turn=turn)

    def _interrupt(self, command: Interrupt, request: Request) -> None:
        log.info("interrupted by %s: %s", request.source, command.reason)
        self._do(InterruptAsked())

    def _panic(self, command: Panic, request: Request) -> None:
        log.warning("%s by %s", "muted" if command.muted else "unmuted", request.source)
        self._resume()
        self._do(MuteAsked(command.muted))
        self._tell_muted(command.muted)
        if command.muted:
            # A turn that still falls silent ends under the epoch it has; what comes later is above it.
            stage = self.turns.stage
            self.bus.publish(
                "show.cleared", Cleared(epoch=stage.epoch if self.turns.turn else stage.raise_epoch())
            )

    def _set_mood(self, command: SetMood, _: Request) -> None:
        self._resume()
        self._do(MoodAsked(command.mood))

    # -- inside ----------------------------------------------------------------------------------------

    def _resume(self) -> None:
        """Once, when everything retained has been read."""
        if not self._has_resumed:
            self._has_resumed = True
            self._do(Resumed(tuple(self._earlier), self._cleared_epoch, self._was_muted))
            self._earlier.clear()
            if self._was_muted:
                log.warning("still muted, as the director before this one was")
                self._tell_muted(True)

    def _tell_muted(self, muted: bool) -> None:
        """Said by every director anew: a bus that starts again learns it from the one that lives."""
        self.bus.publish("show.muted", Muted(muted=muted))
        if muted:
            self.degraded("She is muted until director.panic with muted=false.")
        else:
            self.ready(self._gate.persona.name)

    def _do(self, happened: Input) -> None:
        for effect in self.turns.handle(happened, self.clock()):
            if isinstance(effect.payload, Command):
                self._command(effect.payload)
            else:
                self.bus.publish(_TOPIC_OF[type(effect.payload)], effect.payload, effect.cause)

    def _command(self, command: Command) -> None:
        def then(reply: Reply | CommandError) -> None:
            if isinstance(command, Replay):
                pieces = tuple(reply.pieces) if isinstance(reply, ReplayReply) else ()
                first = reply.from_index if isinstance(reply, ReplayReply) else 0
                self._do(Replayed(command.generation, first, pieces))
            elif isinstance(reply, CommandError):
                self._do(Answered(command, reply.code, str(reply)))
            else:
                self._do(Answered(command))

        self.bus.ask(command, then)

    def _note_presence(self, source: str) -> None:
        for service in _SERVICES:
            if source == service:
                self._do(PresenceChanged(service, self._presences.of(service)))

    def _when(self, message: Message) -> float:
        """When the line was typed; where its clock is not ours, when it came."""
        return self._from_monotonic(message.mono) if message.host == HOST else self.clock()

    def _from_monotonic(self, mono_ns: int) -> float:
        age = (time.monotonic_ns() - mono_ns) / 1e9
        return self.clock() - age if 0 <= age < OLDEST_S else self.clock()
