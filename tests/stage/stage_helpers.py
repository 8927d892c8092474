"""A stage in a thread on a real broker, clients for it, and a browser's tab."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from waiting import until_true
from websockets.sync.client import ClientConnection, connect

from services.stage.service import StageService
from shared.bus import Bus
from shared.config import BusSettings, DirectorSettings, Settings, StageSettings
from shared.events import ChatMessage, Mouth, Progress, Timeline, TurnState, Viseme, Word
from shared.service import Service, StopSignal, serve

TOKEN = "a-token-for-tests-only"
WAIT_S = 10.0
LIVE = "html[data-live=yes]"
"""A page that has had the state."""


class Stage:
    """A stage that serves; `url` ends with a slash."""

    def __init__(self, bus: BusSettings, persona: str = "akane", **settings: Any) -> None:
        own = StageSettings(**{"port": 0, "token": TOKEN, **settings})
        self._stop = StopSignal()
        self._ready = threading.Event()
        self._sockets = contextlib.ExitStack()
        self._failure: BaseException | None = None
        whole = Settings(bus=bus, stage=own, director=DirectorSettings(persona=persona))
        self._thread = threading.Thread(target=self._run, args=(whole,), daemon=True)
        self._thread.start()
        if not self._ready.wait(WAIT_S) or self._failure is not None:
            raise self._failure or AssertionError("the stage did not become ready")

    def _run(self, settings: Settings) -> None:
        try:
            serve(self._kind(), settings, self._stop)
        except BaseException as error:
            self._failure = error
            self._ready.set()

    def _kind(self) -> type[Service]:
        stage = self

        class Telling(StageService):
            def tick(self) -> float:
                """Ready once its loop turns: the snapshot has been read then."""
                due_s = super().tick()
                stage.service = self
                stage._ready.set()
                return due_s

        return Telling

    service: StageService

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT/`"""
        return self.service.url

    def socket(self, query: str = "", **options: Any) -> ClientConnection:
        """An open `/bus`."""
        address = self.url.replace("http", "ws", 1) + "bus?" + query
        return self._sockets.enter_context(
            connect(address, open_timeout=WAIT_S, close_timeout=0.1, compression=None, **options)
        )

    def small_socket(self, query: str) -> ClientConnection:
        """One whose buffers fill at once when nobody reads."""
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect(("127.0.0.1", int(self.url.rsplit(":", 1)[1].strip("/"))))
        return self.socket(query, sock=raw, max_queue=1)

    def ask(self, path: str, body: Any = None, method: str | None = None, **headers: str) -> tuple[int, Any]:
        """Status and JSON (or text) of an HTTP answer. A dict is sent as JSON, bytes as they are."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.url + path.lstrip("/"), data, named, method=method)
        try:
            with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
                raw, status = answer.read(), answer.status
        except urllib.error.HTTPError as error:
            raw, status = error.read(), error.code
        text = raw.decode()
        return status, json.loads(text) if text.startswith("{") else text

    def close(self) -> None:
        """Leave in order."""
        self._sockets.close()
        self._stop.set()
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()


class Tab:
    """A page that must stay without console errors."""

    def __init__(self, browser: Any) -> None:
        self.page = browser.new_page(viewport={"width": 640, "height": 360})
        self.page.set_default_timeout(60_000)  # for failure only: a loaded machine is slow, not wrong
        self.errors: list[str] = []
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.requested: list[str] = []
        self.page.on("request", lambda request: self.requested.append(request.url))

    def _note(self, said: Any) -> None:
        # a browser without a graphics card says so whenever it puts a WebGL canvas on the page
        if said.type in ("error", "warning") and "GPU stall due to ReadPixels" not in said.text:
            self.errors.append(said.text)

    def open(self, url: str) -> Any:
        self.page.goto(url)
        self.page.wait_for_selector(LIVE, state="attached")
        return self.page

    def until(self, look: Callable[[], Any], timeout_s: float = 10.0) -> Any:
        return until_true(look, timeout_s, lambda: f"{self.page.inner_text('body')!r}, {self.errors}")


def read(socket: ClientConnection, done: Callable[[dict[str, Any]], object]) -> list[dict[str, Any]]:
    """Messages up to the first for which `done` is true."""
    found: list[dict[str, Any]] = []
    deadline = time.monotonic() + WAIT_S
    while not found or not done(found[-1]):
        assert time.monotonic() < deadline, f"not among {found}"
        found.append(json.loads(socket.recv(timeout=WAIT_S)))
    return found


def is_type(kind: str) -> Callable[[dict[str, Any]], bool]:
    return lambda message: message.get("type") == kind


def is_topic(topic: str) -> Callable[[dict[str, Any]], bool]:
    return lambda message: message.get("topic") == topic


def until_heard(bus: Bus, publish: Callable[[], None], socket: ClientConnection) -> dict[str, Any]:
    """Publish until a page gets something that is not a notice: then the road to it is open."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        publish()
        bus.poll(0.02)
        try:
            message: dict[str, Any] = json.loads(socket.recv(timeout=0))
        except TimeoutError:
            continue
        if "topic" in message:
            return message
    raise AssertionError("nothing came through")


def line(name: str, text: str, author: str = "Mallory") -> ChatMessage:
    return ChatMessage(id=name, channel="twitch", author=author, author_id=author, text=text)


def turn(epoch: int, phase: str, name: str = "t", **fields: Any) -> TurnState:
    return TurnState(turn=name, epoch=epoch, phase=phase, **fields)  # type: ignore[arg-type]


def mouth(epoch: int, openness: float = 0.5, name: str = "t") -> Mouth:
    return Mouth(turn=name, epoch=epoch, shape="A", openness=openness, position_s=0.0)


def progress(epoch: int, position_s: float, heard: str, name: str = "t", chunk: int = 0) -> Progress:
    count = len(heard.split())
    return Progress(
        turn=name, epoch=epoch, chunk=chunk, position_s=position_s, words_heard=count, heard=heard
    )


def timeline(epoch: int, text: str, word_s: float = 0.3, name: str = "t", chunk: int = 0) -> Timeline:
    """Each word takes `word_s`; the mouth is open in its first half."""
    words, visemes = [], []
    for index, word in enumerate(text.split()):
        start_s = index * word_s
        words.append(Word(text=word, start_s=start_s, end_s=start_s + word_s))
        visemes += [Viseme(shape="A", start_s=start_s), Viseme(shape="closed", start_s=start_s + word_s / 2)]
    return Timeline(
        turn=name, epoch=epoch, chunk=chunk, text=text, duration_s=len(words) * word_s,
        sample_rate_hz=24_000, words=words, visemes=visemes,
    )  # fmt: skip


LONG = Timeline(turn="t", epoch=1, chunk=0, text="x" * 4000, duration_s=1.0, sample_rate_hz=24_000)
"""A few hundred of these fill the buffers of a page that does not read."""
