"""The listening socket and the thread in which uvicorn runs the application."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading

import uvicorn

from services.api.app import make_app
from services.api.door import Door
from shared.config import ApiSettings
from shared.endpoints import is_loopback, port_holder

log = logging.getLogger(__name__)

GRACE_S = 2
BACKLOG = 128


class AddressInUse(Exception):
    """One sentence: why the door cannot listen where it was told to, and what to do."""


def require_safe(settings: ApiSettings) -> None:
    """AddressInUse when other machines could use the door without a key."""
    if not settings.keys and not is_local(settings):
        raise AddressInUse(
            f"api.host is {settings.host!r}, which other machines can reach: set api.keys "
            "(or AKANE_API_KEYS), or listen at 127.0.0.1."
        )


def is_local(settings: ApiSettings) -> bool:
    """Only this machine can reach the door."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return is_loopback(f"tcp://{host}:*")


def listen(settings: ApiSettings) -> socket.socket:
    """The bound, listening socket. Raises AddressInUse."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
    except OSError as error:
        holder = port_holder(settings.port) if settings.port else None
        reason = f"held by {holder}" if holder else (error.strerror or str(error)).lower()
        raise AddressInUse(
            f"The door cannot listen at {settings.host}:{settings.port} ({reason}): stop that program, "
            "or set api.host and api.port."
        ) from None


def place_of(listening: socket.socket) -> str:
    """`127.0.0.1:7710`"""
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class HttpServer:
    """uvicorn in a thread of its own; the thread ends with `stop`."""

    def __init__(self, door: Door, settings: ApiSettings, listening: socket.socket) -> None:
        self._socket = listening
        config = uvicorn.Config(
            make_app(door, settings, is_local=is_local(settings)),
            http="h11",
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """It still answers."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Let open answers end for a moment, then close."""
        self._server.should_exit = True
        self._thread.join(GRACE_S + 1)
        self._socket.close()

    def _run(self) -> None:
        try:
            asyncio.run(self._server.serve(sockets=[self._socket]))
        except Exception:
            log.exception("the web server failed")
