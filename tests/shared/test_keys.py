"""Off loopback only known keys get in."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import ANY_PORT, until

from shared.broker import Broker, make_keys
from shared.bus import Bus, BusError
from shared.config import BusSettings
from shared.endpoints import AddressError, check_addresses, is_loopback
from shared.events import Token


def test_only_known_keys_get_in(tmp_path: Path) -> None:
    keys, others = tmp_path / "keys", tmp_path / "others"
    make_keys(keys)
    make_keys(others)
    with Broker(ANY_PORT.model_copy(update={"keys_dir": str(keys)})) as broker:
        with (
            Bus.open("reader", ["llm.token"], settings=broker.settings) as reader,
            Bus.open("llm", settings=broker.settings, register=True) as llm,
        ):
            llm.publish("llm.token", Token(generation="g", index=0, text="x", tokens=1))
            assert until(reader, lambda items: items)[0].payload.text == "x"
        (others / "server.key").write_bytes((keys / "server.key").read_bytes())
        stranger = broker.settings.model_copy(update={"keys_dir": str(others)})
        with pytest.raises(BusError, match="No bus answers"):
            Bus.open("stranger", settings=stranger, wait_s=0.3)
        plain = broker.settings.model_copy(update={"keys_dir": ""})
        with pytest.raises(BusError, match="No bus answers"):
            Bus.open("plain", settings=plain, wait_s=0.3)


def test_secrets_are_for_their_owner_only(tmp_path: Path) -> None:
    make_keys(tmp_path)
    assert {path.stat().st_mode & 0o077 for path in tmp_path.glob("*.key_secret")} == {0}


@pytest.mark.parametrize(
    ("address", "safe"),
    [
        ("tcp://127.0.0.1:7700", True),
        ("tcp://127.9.9.9:1", True),
        ("tcp://localhost:7700", True),
        ("tcp://[::1]:7700", True),
        ("ipc:///tmp/akane", True),
        ("tcp://0.0.0.0:7700", False),
        ("tcp://*:7700", False),
        ("tcp://192.168.1.4:7700", False),
        ("tcp://localhost.example.com:7700", False),
        ("tcp://127.0.0.1.example.com:7700", False),
    ],
)
def test_what_counts_as_this_machine(address: str, safe: bool) -> None:
    assert is_loopback(address) is safe


@pytest.mark.parametrize(
    "address", ["127.0.0.1:7700", "tcp://127.0.0.1", "tcp://127.0.0.1:99999", "udp://127.0.0.1:1"]
)
def test_a_malformed_address_is_one_sentence(address: str) -> None:
    with pytest.raises(AddressError, match="bus.publish is"):
        check_addresses(BusSettings(publish=address))


def test_keys_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(AddressError, match="no server.key"):
        check_addresses(BusSettings(keys_dir=str(tmp_path)))
