"""The door on the bus: the main thread owns the bus, another one runs the web server's event loop."""

from __future__ import annotations

import queue
from collections.abc import Callable

from services.api.access import require_safe
from services.api.app import make_app
from services.api.door import Begin, Call, Door, Drop, LlmView, Update
from services.api.errors import of_command, of_ending, unavailable
from services.api.reading import Delta, Reading
from shared.bus import Bus, Message, SourceLost
from shared.clock import Clock
from shared.commands import Cancel, Generate, Replay, ReplayReply, Reply
from shared.config import Settings
from shared.events import Finished, Health, LlmStats, Token
from shared.requests import CommandError
from shared.service import Finding, Service, StartError
from shared.web import AddressInUse, WebServer, is_local, listen, place_of

ACCEPT_S = 10.0
"""Longest that the llm may take to accept a request."""
SILENT_S = 10.0
"""An llm that has not beaten for this long is not there."""
TICK_S = 1.0
CLOSING = "The door is closing."


class _Run:
    """One generation that somebody reads."""

    def __init__(self, begin: Begin, session: str | None, now_s: float) -> None:
        command = begin.command
        self.deliver: Callable[[Update], None] = begin.deliver
        self.session = session
        """Of the llm that has it, as far as known."""
        self.is_accepted = False
        self.reading = Reading(command.generation, now_s, wants_logprobs=command.logprobs is not None)


class ApiService(Service):
    """Serves the OpenAI API over HTTP."""

    name = "api"
    topics = ("llm.token", "llm.finished", "llm.stats", "sys.health")

    def __init__(self, settings: Settings, bus: Bus, clock: Clock) -> None:
        super().__init__(settings, bus, clock)
        self.door = Door(self._call)
        self._calls: queue.SimpleQueue[Call] = queue.SimpleQueue()
        self._runs: dict[str, _Run] = {}
        self._llm_session: str | None = None
        self._stats: LlmStats | None = None
        self._health: Health | None = None
        self._health_s = 0.0
        self._server: WebServer | None = None

    def start(self) -> None:
        """Bind the port and begin to serve."""
        own = self.settings.api
        try:
            require_safe(own)
            socket = listen("api", own.host, own.port)
        except AddressInUse as error:
            raise StartError(str(error)) from None
        self._server = WebServer(make_app(self.door, own, is_local=is_local(own.host)), socket)
        self._server.start()
        self.ready(f"http://{place_of(socket)}/v1")

    def on_event(self, message: Message) -> None:
        """A piece, an ending, or how the llm is."""
        payload = message.payload
        if isinstance(payload, (Token, Finished)):
            run = self._runs.get(payload.generation)
            if run is None:
                return
            run.session, run.is_accepted = message.session, True
            if isinstance(payload, Token):
                self._hand_over(run, run.reading.token(payload, self.clock()))
            else:
                self._hand_over(run, run.reading.finished(payload, self.clock()))
        elif message.source == "llm":
            if isinstance(payload, LlmStats):
                self._stats = payload
            elif isinstance(payload, Health):
                self._health, self._health_s = payload, self.clock()
            self._llm_session = message.session
            self._look()

    def on_lost(self, lost: SourceLost) -> None:
        """The llm died: its streams end now instead of never."""
        if lost.source != "llm":
            return
        for run in [run for run in self._runs.values() if run.session in (None, lost.session)]:
            self._fail(run, "The model's process died in the middle: try again.")
        if self._llm_session == lost.session:
            self._llm_session = self._health = None
            self._look()

    def tick(self) -> float:
        """Take what the event loop asks for, and mind who has fallen silent."""
        while not self._calls.empty():
            call = self._calls.get()
            if isinstance(call, Begin):
                self._begin(call)
            else:
                self._drop(call)
        if self._server is not None and not self._server.is_alive:
            raise RuntimeError("the web server has ended")  # the launcher starts this process again
        now = self.clock()
        if self._health is not None and now - self._health_s > SILENT_S:
            self._health = None
            self._look()
        for run in list(self._runs.values()):
            if not run.is_accepted:
                continue
            if run.reading.is_lost(now):
                self.bus.ask(Cancel(generation=run.reading.generation), lambda _: None)
                self._fail(run, "The model has fallen silent.")
            else:
                self._ask_replay(run, now)
        return TICK_S

    def stop(self) -> None:
        """End every stream with an error, then the server."""
        self.door.view = LlmView(phase="stopping", detail=CLOSING)
        while not self._calls.empty():
            if isinstance(call := self._calls.get(), Begin):
                call.deliver(unavailable(CLOSING))
        for run in list(self._runs.values()):
            self.bus.ask(Cancel(generation=run.reading.generation), lambda _: None)
            self._fail(run, CLOSING)
        if self._server is not None:
            self._server.stop()

    def _call(self, call: Call) -> None:
        """From the event loop's thread."""
        self._calls.put(call)
        self.bus.wake()

    def _begin(self, begin: Begin) -> None:
        command = begin.command
        run = _Run(begin, self._llm_session, self.clock())
        self._runs[command.generation] = run
        self.bus.ask(command, lambda result: self._answered(run, command, result), ACCEPT_S)

    def _answered(self, run: _Run, command: Generate, result: Reply | CommandError) -> None:
        if self._runs.get(command.generation) is not run:
            return
        if isinstance(result, CommandError):
            del self._runs[command.generation]
            run.deliver(of_command(result))
            if result.code == "timeout":  # it may have been heard all the same
                self.bus.ask(Cancel(generation=command.generation), lambda _: None)
        else:
            run.is_accepted = True
            run.deliver(None)

    def _drop(self, drop: Drop) -> None:
        if self._runs.pop(drop.generation, None) is not None:
            self.bus.ask(Cancel(generation=drop.generation), lambda _: None)

    def _hand_over(self, run: _Run, deltas: list[Delta]) -> None:
        for delta in deltas:
            run.deliver(delta)
        if run.reading.is_done:
            ending = run.reading.ending
            assert ending is not None
            self._runs.pop(run.reading.generation, None)
            run.deliver(of_ending(ending) or ending)

    def _ask_replay(self, run: _Run, now: float) -> None:
        index = run.reading.replay_from(now)
        if index is None:
            return
        generation = run.reading.generation

        def answered(result: Reply | CommandError) -> None:
            if self._runs.get(generation) is not run:
                return
            if isinstance(result, ReplayReply):
                self._hand_over(run, run.reading.replayed(result, self.clock()))
            elif isinstance(result, CommandError) and result.code == "refused":
                self._hand_over(run, run.reading.replay_failed())
                if not run.reading.is_done:
                    self._fail(run, "The model does not know this generation any more: it was restarted.")
            else:
                run.reading.is_asking = False

        self.bus.ask(Replay(generation=generation, from_index=index), answered)

    def _fail(self, run: _Run, sentence: str) -> None:
        self._runs.pop(run.reading.generation, None)
        run.deliver(unavailable(sentence))

    def _look(self) -> None:
        """Show the event loop how the llm is."""
        health = self._health
        phase = health.phase if health is not None else "absent"
        gaps = sum(count for place, count in self.bus.gaps.items() if place.startswith("llm/"))
        detail = health.detail if health is not None else "The model's process is not there."
        self.door.view = LlmView(self._stats, phase, detail, gaps)

    @classmethod
    def check(cls, settings: Settings) -> list[Finding]:
        """Is the address safe and free?"""
        try:
            require_safe(settings.api)
            socket = listen("api", settings.api.host, settings.api.port)
        except AddressInUse as error:
            return [Finding("api", False, str(error), "set [api] in configs/stack.toml")]
        place = place_of(socket)
        socket.close()
        return [Finding("api", True, f"http://{place}/v1")]
