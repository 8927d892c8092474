"""Addresses of the bus: which are safe without keys, and which process holds a port."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path

import psutil

from shared.config import BusSettings

_TCP = re.compile(r"^tcp://(\[[0-9a-fA-F:]+\]|[^:/\[\]]+):(\d{1,5}|\*)$")


class AddressError(Exception):
    """One sentence: what is wrong with an address and what to do."""


def is_loopback(address: str) -> bool:
    """True when only this machine can reach `address`."""
    if address.startswith(("ipc://", "inproc://")):
        return True
    match = _TCP.match(address)
    if match is None:
        return False
    host = match.group(1).strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_addresses(settings: BusSettings) -> None:
    """AddressError for a malformed address, or one open to other machines while there are no keys."""
    for key in ("publish", "subscribe", "commands"):
        address = getattr(settings, key)
        match = _TCP.match(address)
        if match is None and not address.startswith(("ipc://", "inproc://")):
            raise AddressError(f"bus.{key} is {address!r}: write it like tcp://127.0.0.1:7700.")
        if match is not None and match.group(2) != "*" and not 0 < int(match.group(2)) < 65536:
            raise AddressError(f"bus.{key} is {address!r}: a port lies between 1 and 65535.")
        if not is_loopback(address) and not settings.keys_dir:
            raise AddressError(
                f"bus.{key} is {address!r}, which other machines can reach: make keys with "
                f"`python -m services.bus --make-keys DIR` and set bus.keys_dir, or use 127.0.0.1."
            )
    if settings.keys_dir and not (Path(settings.keys_dir) / "server.key").is_file():
        raise AddressError(
            f"bus.keys_dir is {settings.keys_dir!r}, where there is no server.key: make keys with "
            f"`python -m services.bus --make-keys {settings.keys_dir}`."
        )


def port_of(address: str) -> int | None:
    """The TCP port of an address, if it has one."""
    match = _TCP.match(address)
    return int(match.group(2)) if match and match.group(2) != "*" else None


def port_holder(port: int) -> str | None:
    """`process 1234 (python launcher.py)`: who listens on a local port, as far as this user may see."""
    try:
        connections = psutil.net_connections("tcp")
    except (psutil.AccessDenied, OSError):
        return None
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port:
            if connection.pid is None:
                return None
            try:
                command = " ".join(psutil.Process(connection.pid).cmdline())[:120]
            except psutil.Error:
                command = "?"
            return f"process {connection.pid} ({command})"
    return None


def busy_sentence(address: str) -> str:
    """What to tell a person whose address is taken."""
    port = port_of(address)
    holder = port_holder(port) if port else None
    by = f" by {holder}" if holder else " by another program"
    return f"The address {address} is taken{by}: stop it, or choose other ports in configs/stack.toml, [bus]."
