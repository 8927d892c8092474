"""Free addresses for a launcher that runs as a process."""

from __future__ import annotations

import socket

import pytest


@pytest.fixture
def free_ports() -> list[str]:
    """Flags that put the bus on three ports which were free a moment ago."""
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    ports = [server.getsockname()[1] for server in servers]
    for server in servers:
        server.close()
    keys = ("publish", "subscribe", "commands")
    return [
        part
        for key, port in zip(keys, ports, strict=True)
        for part in ("--set", f"bus.{key}=tcp://127.0.0.1:{port}")
    ]
