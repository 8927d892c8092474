"""The socket: real connections to a studio in this process."""

from __future__ import annotations

import queue
import random
import socket
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from studio import SMILE, Studio
from vtube_helpers import Server, mood, mouth
from waiting import until_true

from services.vtube_studio import connection as module
from services.vtube_studio.connection import FRAME_S, LONGEST_RETRY_S, Connection, fault, next_due, retry_s
from services.vtube_studio.face import Face
from services.vtube_studio.session import SILENT_S, Action, Session, Status
from services.vtube_studio.token import keep_token, kept_token, token_path


class Bridge:
    """A connection and what it reported."""

    def __init__(self, url: str, hotkeys: dict[str, str] | None = None) -> None:
        self.face = Face(time.monotonic(), random.Random(1))
        self.statuses: queue.SimpleQueue[Status] = queue.SimpleQueue()
        self.kept: list[str] = []
        self.frame_times: list[float] = []
        session = Session(self.face, hotkeys or {}, "")
        tick = session.tick

        def timed_tick(now: float) -> list[Action]:
            if session.live:
                self.frame_times.append(now)
            return tick(now)

        session.tick = timed_tick  # type: ignore[method-assign]
        self.connection = Connection(url, session, self.statuses.put, self.kept.append, first_retry_s=0.01)
        self.connection.start()

    def take(self, event: object) -> None:
        self.connection.call(lambda: self.face.take(event, time.monotonic()))  # type: ignore[arg-type]

    def gone(self) -> None:
        """After `stop`: its thread ends."""
        until_true(lambda: not self.connection.is_alive)

    def until(self, ok: bool) -> Status:
        """The next status that is so."""
        while True:
            status = self.statuses.get(timeout=20.0)
            if status.ok is ok:
                return status


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(Studio(hotkeys=[SMILE]))
    yield made
    made.close()


@pytest.fixture
def bridge(server: Server) -> Iterator[Bridge]:
    made = Bridge(server.url, {"happy": "Smile"})
    yield made
    made.connection.stop()
    made.gone()


def test_frames_come_thirty_times_a_second_or_more(server: Server, bridge: Bridge) -> None:
    """Half of what a bare loop of 60 waits a second gets from this machine: 30 when the machine is free."""
    bridge.until(ok=True)
    ticks, over = [0], threading.Event()

    def bare_loop() -> None:
        while not over.wait(1 / 60):
            ticks[0] += 1

    count = len(bridge.frame_times)
    loop = threading.Thread(target=bare_loop)
    loop.start()
    until_true(lambda: ticks[0] >= 60 and len(bridge.frame_times) - count >= ticks[0] / 2, 40.0)
    over.set()
    loop.join()
    until_true(lambda: len(server.studio.frames) >= 30)


def test_mouth_and_mood_arrive_and_at_the_end_the_expression_is_off(server: Server) -> None:
    bridge = Bridge(server.url, {"happy": "Smile"})
    bridge.until(ok=True)
    bridge.take(mood("happy"))

    def speaks() -> bool:
        bridge.take(mouth(openness=0.9))
        return bool(server.studio.frames) and server.studio.frames[-1]["MouthOpen"] > 0.85

    until_true(speaks)
    until_true(lambda: server.studio.worn == ["smile.exp3.json"])
    bridge.connection.stop()
    until_true(lambda: server.studio.worn == [])
    assert bridge.kept == list(server.studio.tokens)


def test_a_cut_cable_is_mended_without_asking_again(server: Server, bridge: Bridge) -> None:
    bridge.until(ok=True)
    for _ in range(2):
        server.drop()
        assert "comes back" in bridge.until(ok=False).detail
        bridge.until(ok=True)
        count = len(server.studio.frames)
        until_true(lambda count=count: len(server.studio.frames) > count + 5)
    assert server.studio.popups == 1


def test_vtube_studio_may_come_later_and_go(server: Server) -> None:
    port = free_port()
    bridge = Bridge(f"ws://127.0.0.1:{port}")
    assert "start it" in bridge.until(ok=False).detail
    late = Server(Studio(), port)
    bridge.until(ok=True)
    late.close()
    bridge.until(ok=False)
    bridge.connection.stop()
    bridge.gone()


def test_messages_that_are_none_are_survived(server: Server, bridge: Bridge) -> None:
    bridge.until(ok=True)
    for text in ("{", "null", "", "hello", "[" * 2000):
        server.say(text)
    count = len(server.studio.frames)
    until_true(lambda: len(server.studio.frames) > count + 10)
    assert len(server.visitors) == 1


def test_a_message_that_is_far_too_long_costs_the_connection_only(server: Server, bridge: Bridge) -> None:
    bridge.until(ok=True)
    server.say("x" * (module.MAX_BYTES + 1))
    bridge.until(ok=False)
    bridge.until(ok=True)


def test_one_that_never_answers_holds_nobody_up() -> None:
    server = Server(Studio(), silent=True)
    bridge = Bridge(server.url)
    until_true(lambda: server.studio.requests)
    began = time.monotonic()
    for _ in range(1000):
        bridge.take(mouth())
    bridge.connection.stop()
    assert time.monotonic() - began < SILENT_S
    bridge.gone()
    server.close()


def test_a_port_that_accepts_and_is_no_websocket_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        bridge = Bridge(f"ws://127.0.0.1:{listening.getsockname()[1]}")
        accepted, _ = listening.accept()
        accepted.recv(4096)
        accepted.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        assert "is not VTube Studio" in bridge.until(ok=False).detail
        accepted.close()
        bridge.connection.stop()
        bridge.gone()


def test_frames_keep_in_step_and_never_come_two_at_once() -> None:
    assert FRAME_S <= 1 / 30
    assert next_due(10.0, 10.001, 0.1) == pytest.approx(10.1)
    assert next_due(10.0, 17.0, 0.1) == pytest.approx(17.1)


def test_waits_grow_up_to_a_bound() -> None:
    waits = [retry_s(failures, 1.0) for failures in range(2_000)]
    assert waits[:4] == [1.0, 2.0, 4.0, 8.0]
    assert max(waits) == LONGEST_RETRY_S


@pytest.mark.parametrize("url", ["ws://localhost:8001", "ws://[::1]:8001/", "wss://studio.lan"])
def test_addresses(url: str) -> None:
    assert fault(url) == ""


@pytest.mark.parametrize(
    "url", ["", "8001", "localhost:8001", "http://localhost:8001", "ws://", "ws://a:b", "ws://a:99999"]
)
def test_what_is_no_address_is_told(url: str) -> None:
    assert "write it like ws://localhost:8001" in fault(url)


def test_the_token_is_kept_for_its_owner_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AKANE_STATE", str(tmp_path / "state"))
    assert kept_token() == ""
    keep_token("first")
    token_path().chmod(0o644)
    keep_token("second")
    assert kept_token() == "second"
    assert stat.S_IMODE(token_path().stat().st_mode) == 0o600
    assert [path.name for path in token_path().parent.iterdir()] == ["vtube_studio.token"]
    keep_token("")
    assert kept_token() == ""
    keep_token("")
    token_path().write_bytes(b"\xff\xff")
    assert kept_token() == ""
    monkeypatch.setenv("AKANE_STATE", "/proc/nowhere")
    keep_token("third")
    assert kept_token() == ""
    assert "will ask again" in caplog.text
    assert "third" not in caplog.text


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port
