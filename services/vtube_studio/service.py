"""VTube Studio on the bus: the main thread owns the bus, another one the socket and the face."""

from __future__ import annotations

import queue
import random

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from services.vtube_studio import messages
from services.vtube_studio.connection import Connection, absent, fault
from services.vtube_studio.face import Face
from services.vtube_studio.hotkeys import table_of
from services.vtube_studio.session import SWITCHED_OFF, Session, Status
from services.vtube_studio.token import keep_token, kept_token
from shared.bus import Bus, Message, SourceLost
from shared.clock import Clock
from shared.config import Settings
from shared.service import Finding, Service, StartError

TICK_S = 1.0
CHECK_S = 2.0


class VtubeStudio(Service):
    """Moves a model in VTube Studio; the show goes on without it."""

    name = "vtube_studio"
    topics = (
        "avatar.mouth", "avatar.mood", "turn.state", "speech.timeline", "speech.progress", "speech.finished",
    )  # fmt: skip

    def __init__(self, settings: Settings, bus: Bus, clock: Clock) -> None:
        super().__init__(settings, bus, clock)
        own = settings.vtube_studio
        self._statuses: queue.SimpleQueue[Status] = queue.SimpleQueue()
        self._face = Face(clock(), random.Random())
        session = Session(self._face, table_of(own.hotkeys), kept_token())
        self._connection = Connection(own.url, session, self._report, keep_token, clock=clock)
        self.detail = f"looking for VTube Studio at {own.url}"

    def start(self) -> None:
        """Begin to connect; nobody waits for it. StartError for an address that is none."""
        if sentence := fault(self.settings.vtube_studio.url):
            raise StartError(sentence)
        self._connection.start()

    def on_event(self, message: Message) -> None:
        """Events move the face, in the thread that shows it."""
        by_hand = message.cause is None  # the director's own moods name the line they answer
        self._connection.call(lambda: self._face.take(message.payload, self.clock(), by_hand=by_hand))

    def on_lost(self, lost: SourceLost) -> None:
        """A voice that died says nothing any more."""
        if lost.source == "tts":
            self._connection.call(self._face.fall_silent)
        elif lost.source == "director":
            self._connection.call(self._face.stop_pondering)

    def tick(self) -> float:
        """Tell how it stands."""
        if not self._connection.is_alive:
            raise RuntimeError("the thread of the socket has ended")  # the launcher starts this process again
        while not self._statuses.empty():
            status = self._statuses.get()
            (self.ready if status.ok else self.degraded)(status.detail)
        return TICK_S

    def stop(self) -> None:
        """Leave the model as it was."""
        self._connection.stop()

    @classmethod
    def check(cls, settings: Settings) -> list[Finding]:
        """Does VTube Studio answer, and has it let us in before?"""
        url = settings.vtube_studio.url
        if sentence := fault(url):
            return [Finding(cls.name, False, sentence, "set vtube_studio.url")]
        try:
            with connect(url, open_timeout=CHECK_S, close_timeout=0.1, proxy=None) as socket:
                socket.send(messages.state())
                answer = messages.parse(socket.recv(timeout=CHECK_S))
        except (OSError, TimeoutError, WebSocketException):
            return [Finding(cls.name, False, f"nothing answers at {url}", absent(url).partition(": ")[2])]
        if answer is None or answer.kind != "APIStateResponse":
            return [Finding(cls.name, False, f"not VTube Studio at {url}", "check vtube_studio.url")]
        if answer.data.get("active") is False:
            detail, _, fix = SWITCHED_OFF.partition(": ")
            return [Finding(cls.name, False, detail, fix)]
        access = "it knows Akane" if kept_token() else "it will ask whether Akane may move the model"
        version = answer.text("vTubeStudioVersion", 20) or "of unknown version"
        return [Finding(cls.name, True, f"VTube Studio {version} at {url}; {access}")]

    def _report(self, status: Status) -> None:
        """From the socket's thread."""
        self._statuses.put(status)
        self.bus.wake()
