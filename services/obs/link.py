"""The connection to OBS: a thread that brings it what is wanted last, and comes back whenever it is gone."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import threading
from collections.abc import Callable
from typing import NamedTuple

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI, WebSocketException

from services.obs import protocol
from services.obs.picture import Value, Values
from services.obs.session import SET_PASSWORD, Lost, Session
from shared.clock import Clock, monotonic
from shared.config import ObsSettings

CONNECT_S = 5.0
LOOK_UP_S = 1.0
"""How often a silent connection is looked at."""
STEADY_S = 30.0
"""A connection that held this long starts the backoff afresh."""
STOP_S = 3.0
_CLOSED = {
    protocol.AUTHENTICATION_FAILED: f"OBS does not accept the password: {SET_PASSWORD}",
    protocol.UNSUPPORTED_RPC_VERSION: "this OBS speaks another obs-websocket than version 5 (rpcVersion 1)",
    protocol.SESSION_INVALIDATED: "Akane was kicked in OBS: start this service again when she may come back",
}


class Status(NamedTuple):
    """How it stands with OBS, one sentence."""

    ok: bool
    detail: str


def backoff_s(failures: int) -> float:
    """Seconds before the next attempt: doubling from about 1 to 30."""
    return min(30.0, 2.0 ** min(failures, 5)) * random.uniform(0.75, 1.0)  # 2.0**1024 is an error


def explain(error: Exception) -> str:
    """Why a connection ended, in words that fit after a colon."""
    if isinstance(error, ConnectionClosed):
        code = error.rcvd.code if error.rcvd else 0
        return _CLOSED.get(code, "OBS closed the connection")
    if isinstance(error, (TimeoutError, asyncio.TimeoutError)):  # two classes before Python 3.11
        return "no answer in time"
    if isinstance(error, (InvalidHandshake, InvalidURI)):
        return "what answers there is not obs-websocket"
    if isinstance(error, OSError):
        return "OBS is not there, or its WebSocket server is off (Tools, WebSocket Server Settings)"
    return str(error)


class ObsLink:
    """`want` and `stop` belong to the owner's thread; `report` is called from the link's."""

    def __init__(
        self,
        settings: ObsSettings,
        targets: Values,
        scenes: list[str],
        report: Callable[[Status], None],
        *,
        clock: Clock = monotonic,
        delay: Callable[[int], float] = backoff_s,
    ) -> None:
        self._settings = settings
        self._targets = targets
        self._scenes = scenes
        self._report = report
        self._clock = clock
        self._delay = delay
        self._wanted: Values = {}
        self._switch: Value | None = None
        self._status: Status | None = None
        self._is_stopping = False
        self._loop = asyncio.new_event_loop()
        self._news = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="obs", daemon=True)

    @property
    def is_alive(self) -> bool:
        """False once it has ended."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Connect and go on until `stop`."""
        self._thread.start()

    def want(self, values: Values) -> None:
        """These values should stand in OBS; never waits."""
        self._wanted = values  # one assignment: the thread reads it whole
        self._loop.call_soon_threadsafe(self._news.set)

    def stop(self) -> None:
        """Leave; waits for the thread a moment at most."""
        self._is_stopping = True
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._news.set)
            self._thread.join(STOP_S)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._keep())
        finally:
            self._loop.close()

    async def _keep(self) -> None:
        failures = 0
        while not self._is_stopping:
            session = Session(self._settings.password, self._targets, self._scenes, self._clock, self._switch)
            began_at = self._clock()
            try:
                await self._converse(session)
                return
            except (OSError, WebSocketException, Lost) as error:
                reason = explain(error)
                is_kicked = reason == _CLOSED[protocol.SESSION_INVALIDATED]
            self._switch = session.switch
            if session.version and self._clock() - began_at >= STEADY_S:
                failures = 0
            self._tell(Status(False, f"{self._settings.address}: {reason}."))
            await self._rest(math.inf if is_kicked else self._delay(failures))
            failures += 1

    async def _rest(self, seconds: float) -> None:
        """Wait; what is wanted meanwhile does not end the wait, leaving does."""
        until = self._loop.time() + seconds
        while not self._is_stopping and (left_s := until - self._loop.time()) > 0:
            self._news.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._news.wait(), left_s)

    async def _converse(self, session: Session) -> None:
        """One connection; returns only when asked to leave. Raises OSError, WebSocketException or Lost."""
        async with open_socket(self._settings.address) as socket:
            reading = asyncio.ensure_future(socket.recv())
            waking = asyncio.ensure_future(self._news.wait())
            try:
                while not self._is_stopping:
                    await asyncio.wait(
                        {reading, waking}, timeout=LOOK_UP_S, return_when=asyncio.FIRST_COMPLETED
                    )
                    if waking.done():
                        self._news.clear()
                        waking = asyncio.ensure_future(self._news.wait())
                    frames = session.want(self._wanted)
                    if reading.done():
                        frames += session.received(reading.result())
                        reading = asyncio.ensure_future(socket.recv())
                    for frame in frames + session.tick():
                        await socket.send(frame)
                    if session.is_settled:
                        self._tell(status_of(session, self._settings.address))
            finally:
                for task in (reading, waking):
                    task.cancel()
                await asyncio.gather(reading, waking, return_exceptions=True)

    def _tell(self, status: Status) -> None:
        if status != self._status:
            self._status = status
            self._report(status)


def status_of(session: Session, address: str) -> Status:
    """Of a connection that stands."""
    if not session.problems:
        return Status(True, f"OBS {session.version} at {address}")
    first, *others = session.problems.values()
    more = f" (and {len(others)} more)" if others else ""
    return Status(False, f"{first}{more}.")


def open_socket(address: str) -> connect:
    """A connection to be opened with `async with`. OBS is on this machine or near it: no proxy."""
    return connect(address, open_timeout=CONNECT_S, close_timeout=0.5, compression=None, proxy=None)


async def examine(settings: ObsSettings, targets: Values, scenes: list[str]) -> Status:
    """What OBS says to our password and names; changes nothing there."""
    session = Session(settings.password, targets, scenes, monotonic)
    try:
        async with open_socket(settings.address) as socket:
            await asyncio.wait_for(_look_up(socket, session), CONNECT_S)
    except (OSError, WebSocketException, Lost, asyncio.TimeoutError) as error:
        return Status(False, f"{settings.address}: {explain(error)}.")
    return status_of(session, settings.address)


async def _look_up(socket: ClientConnection, session: Session) -> None:
    while not session.is_settled:
        for frame in session.received(await socket.recv()):
            await socket.send(frame)
