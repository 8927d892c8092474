"""A VTube Studio behind a real socket, the same without one, and events of the bus."""

from __future__ import annotations

import contextlib
import random
import threading

from studio import Studio, Visitor
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from services.vtube_studio.face import Face
from services.vtube_studio.session import Action, Keep, Lost, Send, Session, Status
from shared.events import Mood, Mouth, Progress, SpeechFinished, Timeline, TurnState


class Rehearsal:
    """A session and a studio in one thread, on a clock that is turned by hand."""

    def __init__(self, studio: Studio, hotkeys: dict[str, str] | None = None, token: str = "") -> None:
        self.studio = studio
        self.now = 1000.0
        self.face = Face(self.now, random.Random(1))
        self.session = Session(self.face, hotkeys or {}, token)
        self.kept: list[str] = []
        self.statuses: list[Status] = []
        self.lost: Lost | None = None

    def connect(self) -> Rehearsal:
        self.visitor, self.lost = Visitor(), None
        self.act(self.session.opened(self.now))
        return self

    def act(self, actions: list[Action]) -> None:
        answers = []
        for action in actions:
            if isinstance(action, Send):
                answer = self.studio.answer(action.text, self.visitor)
                if answer is not None:
                    answers.append(answer)
            elif isinstance(action, Status):
                self.statuses.append(action)
            elif isinstance(action, Keep):
                self.kept.append(action.token)
            else:
                self.lost = self.lost or action
        for answer in answers:
            self.hear(answer)

    def hear(self, text: str) -> None:
        self.act(self.session.received(text, self.now))

    def run(self, seconds: float, frame_s: float = 1 / 60) -> None:
        """As many frames as there are in `seconds`."""
        for _ in range(round(seconds / frame_s)):
            self.now += frame_s
            self.act(self.session.tick(self.now))

    @property
    def status(self) -> Status:
        return self.statuses[-1]


class Server:
    """`studio` at `url`; `port` 0 takes a free one. `silent`: it takes messages and says nothing."""

    def __init__(self, studio: Studio, port: int = 0, silent: bool = False) -> None:
        self.studio = studio
        self.silent = silent
        self.visitors: list[ServerConnection] = []
        self.failures: list[BaseException] = []
        self._server = serve(self._serve, "127.0.0.1", port, compression=None)
        self.port = self._server.socket.getsockname()[1]
        self.url = f"ws://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def _serve(self, connection: ServerConnection) -> None:
        visitor = Visitor()
        self.visitors.append(connection)
        with contextlib.suppress(ConnectionClosed):
            for text in connection:
                assert isinstance(text, str)
                try:
                    answer = self.studio.answer(text, visitor)
                except BaseException as error:  # told by the test, which runs in another thread
                    self.failures.append(error)
                    raise
                if answer is not None and not self.silent:
                    with contextlib.suppress(ConnectionClosed):  # what it sent before it left counts
                        connection.send(answer)

    def say(self, text: str) -> None:
        """To the visitor who came last."""
        self.visitors[-1].send(text)

    def drop(self) -> None:
        """The cable is cut: no closing handshake."""
        for visitor in self.visitors:
            with contextlib.suppress(OSError):
                visitor.socket.shutdown(2)

    def close(self) -> None:
        self.drop()
        self._server.shutdown()
        self._thread.join(10.0)
        assert not self.failures, self.failures


def mouth(epoch: int = 1, openness: float = 1.0, shape: str = "A", turn: str = "t") -> Mouth:
    return Mouth(turn=turn, epoch=epoch, shape=shape, openness=openness, position_s=0.0)  # type: ignore[arg-type]


def mood(name: str, epoch: int = 1, turn: str | None = "t", intensity: float = 1.0) -> Mood:
    return Mood(turn=turn, epoch=epoch, mood=name, intensity=intensity)  # type: ignore[arg-type]


def turn(phase: str, epoch: int = 1) -> TurnState:
    return TurnState(turn="t", epoch=epoch, phase=phase)  # type: ignore[arg-type]


def plan(chunk: int, mood: str, epoch: int = 1) -> Timeline:
    return Timeline(
        turn="t", epoch=epoch, chunk=chunk, text="", mood=mood, duration_s=1.0, sample_rate_hz=24_000
    )  # type: ignore[arg-type]


def progress(chunk: int, epoch: int = 1) -> Progress:
    return Progress(turn="t", epoch=epoch, chunk=chunk, position_s=0.1, words_heard=0, heard="")


def finished(epoch: int = 1, reason: str = "done") -> SpeechFinished:
    return SpeechFinished(turn="t", epoch=epoch, reason=reason, heard="", chunks=1)  # type: ignore[arg-type]
