"""The stage on the bus: the main thread owns the bus, another one runs the web server's event loop."""

from __future__ import annotations

import queue

from services.stage.access import Rules
from services.stage.acting import Ask
from services.stage.app import make_app
from services.stage.hub import KEPT, Hub, notice
from services.stage.links import address_of
from services.stage.model import ModelError, model_of
from services.stage.token import TokenError, token_of
from shared.bus import Bus, Message, SourceLost
from shared.clock import Clock
from shared.config import ConfigError, Settings, StageSettings
from shared.persona import load_persona
from shared.service import Finding, Service, StartError
from shared.topics import Delivery
from shared.web import AddressInUse, WebServer, is_local, listen

TICK_S = 1.0
BEAT_S = 5.0
"""Pages hear from a stage that has nothing to say so often, and know that it is there."""
BACKLOG = 1024
"""Pages of a whole audience that come back at once after a restart."""


class StageService(Service):
    """Serves her page and the browsers' bus."""

    name = "stage"
    topics = (*KEPT, "chat.message", "chat.retracted")

    def __init__(self, settings: Settings, bus: Bus, clock: Clock) -> None:
        super().__init__(settings, bus, clock)
        self._asks: queue.SimpleQueue[Ask] = queue.SimpleQueue()
        self._wanted: queue.SimpleQueue[tuple[str, ...]] = queue.SimpleQueue()
        self.hub = Hub(bus.session, self._want)
        self._news: list[Message | SourceLost] = []
        self._server: WebServer | None = None
        self._next_beat_s = 0.0

    def start(self) -> None:
        """Bind the port and begin to serve."""
        own = self.settings.stage
        try:
            rules = rules_of(own)
            persona = load_persona(self.settings.director.persona)
            model_of(own.vrm)
            socket = listen("stage", own.host, own.port, BACKLOG)
        except (AddressInUse, ConfigError, ModelError, TokenError) as error:
            raise StartError(str(error)) from None
        app = make_app(self.hub, own, rules, persona.name, self._ask)
        self._server = WebServer(app, socket, ws="websockets-sansio")
        self._server.start()
        self.url = address_of(own.host, socket.getsockname()[1])
        self.ready(f"{self.url}   control page: python -m services.stage --link")

    def on_event(self, message: Message) -> None:
        """All of one poll travels to the pages together."""
        self._news.append(message)

    def on_lost(self, lost: SourceLost) -> None:
        """Pages close what that process had open."""
        self._news.append(lost)

    def tick(self) -> float:
        """Hand over what came, send what the browsers ask for."""
        assert self._server is not None
        if not self._server.is_alive:
            raise RuntimeError("the web server has ended")  # the launcher starts this process again
        if self._news:
            self._server.call(self.hub.deliver, self._news)
            self._news = []
        while not self._wanted.empty():
            self.bus.subscribe(*self._wanted.get())
        while not self._asks.empty():
            ask = self._asks.get()
            self.bus.ask(ask.command, ask.answer)
        now = self.clock()
        if len(self.hub) and now >= self._next_beat_s:
            self._next_beat_s = now + BEAT_S
            self._server.call(self.hub.tell, notice("beat", Delivery.STATE))
        return TICK_S

    def stop(self) -> None:
        """Close every socket; the pages come back when the stage does."""
        if self._server is not None:
            self._server.stop()

    def _ask(self, ask: Ask) -> None:
        """From the event loop's thread."""
        self._asks.put(ask)
        self.bus.wake()

    def _want(self, topics: tuple[str, ...]) -> None:
        """From the event loop's thread: a page needs these from now on."""
        self._wanted.put(topics)
        self.bus.wake()

    @classmethod
    def check(cls, settings: Settings) -> list[Finding]:
        """Is the address free, is there a token, can her model be shown?"""
        own = settings.stage
        try:
            token_of(own)
            model_of(own.vrm)
            socket = listen("stage", own.host, own.port)
        except (AddressInUse, ModelError, TokenError) as error:
            return [Finding("stage", False, str(error), "set [stage] in configs/stack.toml")]
        place = address_of(own.host, socket.getsockname()[1])
        socket.close()
        return [Finding("stage", True, place)]


def rules_of(settings: StageSettings) -> Rules:
    """Raises TokenError."""
    return Rules(token_of(settings), settings.origins, settings.host, is_local(settings.host))
