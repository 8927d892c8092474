"""Against a real IRC server: ngircd knows no Twitch capabilities, so chat goes on with plain names."""

from __future__ import annotations

import getpass
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from input_helpers import Connection, Heard

from services.input.twitch import Status
from services.input.twitch_reader import TwitchReader
from shared.config import InputSettings
from shared.events import ChatMessage

NGIRCD = shutil.which("ngircd") or shutil.which("ngircd", path="/usr/sbin")
pytestmark = pytest.mark.skipif(
    NGIRCD is None, reason="the IRC server ngircd (Debian package) is not installed"
)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Address of an ngircd of our own, in the foreground, that needs neither root nor the network."""
    assert NGIRCD
    port = free_port()
    config = tmp_path / "ngircd.conf"
    config.write_text(
        f"[Global]\nName = irc.akane.test\nInfo = test\nListen = 127.0.0.1\nPorts = {port}\nMotdPhrase = hi\n"
        f"ServerUID = {getpass.getuser()}\n"
        f"[Limits]\nMaxNickLength = 24\n"
        f"[Options]\nDNS = no\nIdent = no\nPAM = no\n",
        encoding="utf-8",
    )
    process = subprocess.Popen(
        [NGIRCD, "--nodaemon", "--config", str(config)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout
    for line in process.stdout:
        if b"Now listening" in line:
            break
    else:
        pytest.fail(f"ngircd did not start: exit {process.wait()}")
    yield f"127.0.0.1:{port}"
    process.kill()
    process.communicate()


def test_chat_of_a_real_server_arrives_with_plain_names(server: str) -> None:
    host, port = server.split(":")
    chat, status = Heard(), Heard()
    reader = TwitchReader(
        InputSettings(twitch="akane", twitch_server=server, twitch_tls=False), "akane", chat, status
    )
    reader.start()
    assert status.next() == Status(True, "connected to the Twitch chat of akane")
    with socket.create_connection((host, int(port)), timeout=10) as sock:
        viewer = Connection(sock)
        viewer.send(b"NICK Bo\r\nUSER bo 0 * :Bo\r\n")
        viewer.read_until(lambda line: " 001 Bo " in line)
        viewer.send(b"JOIN #akane\r\n")
        viewer.read_until(lambda line: " 366 Bo " in line)
        viewer.send(b"PRIVMSG #akane :hi Akane\r\nPRIVMSG #ak")
        viewer.send("ane :あかね！\r\nPRIVMSG #akane :\x01ACTION waves\x01\r\n".encode())
        heard = [chat.next() for _ in range(3)]
        assert [(item.author, item.text) for item in heard if isinstance(item, ChatMessage)] == [
            ("Bo", "hi Akane"),
            ("Bo", "あかね！"),
            ("Bo", "*waves*"),
        ]
        assert len({item.id for item in heard if isinstance(item, ChatMessage)}) == 3
    reader.stop()
