"""The connection against a local server that speaks Twitch's dialect over real TLS, awkwardly."""

from __future__ import annotations

import random
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from input_helpers import Connection, FakeTwitch, Heard

from services.input.service import InputService
from services.input.twitch import Status
from services.input.twitch_reader import TwitchReader, server_address
from shared.config import InputSettings, Settings
from shared.events import ChatMessage, ChatRetracted


class Stage:
    """A server, a reader on it, and what the reader delivered and reported."""

    def __init__(self, server: FakeTwitch, settings: InputSettings) -> None:
        self.server = server
        self.chat, self.status = Heard(), Heard()
        self.waits: list[float] = []
        self.reader = TwitchReader(
            settings, "akane", self.chat, self.status, rng=random.Random(5), wait=self.waits.append
        )

    def end(self) -> None:
        self.reader._stop.set()

    def joined(self) -> Connection:
        connection = self.server.accept()
        connection.welcome()
        assert self.status.next() == Status(True, "connected to the Twitch chat of akane")
        return connection


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def stage(authority: trustme.CA, tmp_path: Path) -> Iterator[Stage]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with FakeTwitch(context) as server:
        settings = InputSettings(twitch_server=server.address, twitch_ca=str(tmp_path / "ca.pem"))
        stage = Stage(server, settings)
        stage.reader.start()
        yield stage
        stage.reader.stop()
        assert not stage.reader._thread.is_alive()


def said(id: str, text: str) -> bytes:
    tags = f"@display-name=Aya;id={id};user-id=77"
    return f"{tags} :aya!aya@aya.tmi.twitch.tv PRIVMSG #akane :{text}\r\n".encode()


def test_lines_and_characters_split_over_packets_and_several_lines_in_one(stage: Stage) -> None:
    connection = stage.joined()
    three = said("1", "あかね！") + said("2", "👩\u200d👧 two") + said("3", "three")
    connection.send(three)
    connection.send(*[bytes([byte]) for byte in said("4", "バイト🙂")])
    connection.send(said("5", "x" * 30_000), said("6", "after the monster"))
    heard = [stage.chat.next() for _ in range(5)]
    texts = {item.id: item.text for item in heard if isinstance(item, ChatMessage)}
    assert texts == {
        "1": "あかね！", "2": "👩\u200d👧 two", "3": "three", "4": "バイト🙂", "6": "after the monster",
    }  # fmt: skip


def test_ping_moderation_and_repeats(stage: Stage) -> None:
    connection = stage.joined()
    connection.send(b"PING :tmi.twitch.tv\r\n")
    assert connection.read_until(lambda line: line.startswith("PONG")) == "PONG :tmi.twitch.tv"
    connection.send(said("1", "hi") * 3)
    connection.send(b"@target-msg-id=1 :tmi.twitch.tv CLEARMSG #akane :hi\r\n")
    connection.send(b"@target-user-id=77 :tmi.twitch.tv CLEARCHAT #akane :aya\r\n")
    assert isinstance(stage.chat.next(), ChatMessage)
    assert stage.chat.next() == ChatRetracted(channel="twitch", message_id="1", reason="deleted")
    assert stage.chat.next() == ChatRetracted(channel="twitch", author_id="77", reason="banned")


def test_it_comes_back_after_reconnect_and_after_a_cut_and_repeats_nothing(stage: Stage) -> None:
    connection = stage.joined()
    connection.send(said("1", "one"), b":tmi.twitch.tv RECONNECT\r\n")
    assert stage.status.next() == Status(
        False, "reconnecting to the Twitch chat in 1 s: the server asked for a new connection"
    )
    connection = stage.joined()
    connection.send(said("1", "one"), said("2", "two"), b"@half=a;line")
    assert [stage.chat.next(), stage.chat.next()] == [
        ChatMessage(id=id, channel="twitch", author="Aya", author_id="77", text=text)
        for id, text in (("1", "one"), ("2", "two"))
    ]
    connection.close()
    cut = stage.status.next()
    assert isinstance(cut, Status)
    assert not cut.ok
    stage.joined().send(said("3", "three"))
    third = stage.chat.next()
    assert isinstance(third, ChatMessage)
    assert third.text == "three"
    assert len(stage.waits) == 2
    assert len(stage.chat) == 0


def test_a_stranger_s_certificate_is_refused_and_told(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    with FakeTwitch(context) as server:
        stage = Stage(server, InputSettings(twitch_server=server.address))
        stage.reader.start()
        status = stage.status.next()
        stage.reader.stop()
        (row,) = InputService.check(
            Settings(input=InputSettings(twitch="akane", twitch_server=server.address))
        )
    assert isinstance(status, Status)
    assert "its certificate is not trusted" in status.detail
    assert "\n" not in status.detail
    assert (row.part, row.ok) == ("twitch", False)
    assert "certificate is not trusted" in row.detail


def test_a_server_that_is_away_is_tried_again_with_growing_patience() -> None:
    with FakeTwitch() as gone:
        address = gone.address
    stage = Stage(gone, InputSettings(twitch_server=address, twitch_tls=False))
    tries = 6
    stage.reader._wait = lambda delay_s: (
        stage.waits.append(delay_s) or len(stage.waits) < tries or stage.end()
    )
    stage.reader.start()
    details = [
        status.detail for status in (stage.status.next() for _ in range(tries)) if isinstance(status, Status)
    ]
    stage.reader.stop()
    assert all(f"{address} cannot be reached: " in detail for detail in details)
    for failures, delay_s in enumerate(stage.waits):
        assert max(1.0, 2.0**failures / 2) <= delay_s <= max(1.0, 2.0**failures)


def test_check_finds_a_server_that_answers(authority: trustme.CA, stage: Stage) -> None:
    settings = stage.reader._settings.model_copy(update={"twitch": "#Akane"})
    (row,) = InputService.check(Settings(input=settings))
    assert row.ok
    assert "akane" in row.detail


def test_server_addresses() -> None:
    assert server_address("irc.chat.twitch.tv:6697") == ("irc.chat.twitch.tv", 6697)
    for bad in ("", "host", "host:", ":1", "host:0", "host:70000", "host:x"):
        assert server_address(bad) is None
