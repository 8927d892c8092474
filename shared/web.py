"""A web server beside the bus: the listening socket, and the thread in which uvicorn runs the application."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Callable
from typing import Any, Literal

import uvicorn
from starlette.types import ASGIApp

from shared.endpoints import is_loopback, port_holder

log = logging.getLogger(__name__)

GRACE_S = 2


class AddressInUse(Exception):
    """One sentence: why a server cannot listen where it was told to, and what to do."""


def is_local(host: str) -> bool:
    """Only this machine can reach what listens at `host`."""
    return is_loopback(f"tcp://[{host}]:*" if ":" in host else f"tcp://{host}:*")


def listen(section: str, host: str, port: int, backlog: int = 128) -> socket.socket:
    """The bound, listening socket; `section` of the settings is what the AddressInUse sentence names."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=backlog)
    except OSError as error:
        holder = port_holder(port) if port else None
        reason = f"held by {holder}" if holder else (error.strerror or str(error)).lower()
        raise AddressInUse(
            f"The {section} cannot listen at {host}:{port} ({reason}): stop that program, "
            f"or set {section}.host and {section}.port."
        ) from None


def place_of(listening: socket.socket) -> str:
    """`127.0.0.1:7710`"""
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class WebServer:
    """uvicorn in a thread of its own; the thread ends with `stop`."""

    def __init__(
        self,
        app: ASGIApp,
        listening: socket.socket,
        *,
        ws: Literal["none", "websockets-sansio"] = "none",
        ws_max_size: int = 4096,
    ) -> None:
        self._socket = listening
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)  # it logs addresses, keys and all
        config = uvicorn.Config(
            app,
            http="h11",
            ws=ws,
            ws_max_size=ws_max_size,
            ws_per_message_deflate=False,  # costs 300 kB a socket and more time than loopback takes
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
        )
        self._server = uvicorn.Server(config)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """It still answers."""
        return self._thread.is_alive()

    def call(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Have the server's thread call `function`; from any thread. Nothing happens once it has ended."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *arguments)

    def stop(self) -> None:
        """Let open answers end for a moment, then close."""
        self._server.should_exit = True
        self._thread.join(GRACE_S + 1)
        self._socket.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._server.serve(sockets=[self._socket]))
        except Exception:
            log.exception("the web server failed")
        finally:
            _end_tasks(self._loop)
            self._loop.close()


def _end_tasks(loop: asyncio.AbstractEventLoop) -> None:
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_default_executor())
