"""The socket to VTube Studio: a thread that connects, does what the session wants, and never gives up."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidURI
from websockets.uri import parse_uri

from services.vtube_studio.messages import TAKE_OFF, parse
from services.vtube_studio.session import Action, Keep, Lost, Send, Session, Status
from shared.clock import Clock, monotonic

log = logging.getLogger(__name__)

FRAME_S = 1 / 60
"""VTube Studio draws as often; with a coarse timer (Windows: 16 ms) it is still more than 30 a second."""
IDLE_S = 0.25
"""Between looks at the clock while the model does not move."""
FIRST_RETRY_S, LONGEST_RETRY_S = 1.0, 15.0
OPEN_S, SEND_S, CLOSE_S = 5.0, 5.0, 0.5
LEAVE_S = 2.0
MAX_BYTES = 1 << 20


class Connection:
    """Runs `session` in a thread of its own; `report` and `keep` are called there."""

    def __init__(
        self,
        url: str,
        session: Session,
        report: Callable[[Status], None],
        keep: Callable[[str], None],
        *,
        clock: Clock = monotonic,
        first_retry_s: float = FIRST_RETRY_S,
    ) -> None:
        self._url = url
        self._session = session
        self._report = report
        self._keep = keep
        self._clock = clock
        self._first_retry_s = first_retry_s
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._leaving = False
        self._thread = threading.Thread(target=self._run, name="vtube_studio", daemon=True)

    def start(self) -> None:
        """Connect, and go on until `stop`."""
        self._task = self._loop.create_task(self._go_on())
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """It goes on."""
        return self._thread.is_alive()

    def call(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Have the session's thread call `function`. Returns at once, from any thread."""
        with contextlib.suppress(RuntimeError):  # it has ended
            self._loop.call_soon_threadsafe(function, *arguments)

    def stop(self) -> None:
        """Take leave of the model; waits for the thread a moment at most."""
        if self._task is not None:
            self.call(self._leave)
            self._thread.join(LEAVE_S)

    def _leave(self) -> None:
        # Before Python 3.12 `wait_for` may swallow a cancellation: the flag cannot be missed.
        assert self._task is not None
        self._leaving = True
        self._task.cancel()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            assert self._task is not None
            self._loop.run_until_complete(self._task)
        except asyncio.CancelledError:
            pass
        except Exception:
            log.exception("the connection to VTube Studio failed")
        finally:
            self._loop.close()

    async def _go_on(self) -> None:
        failures = 0
        while True:
            lost, was_live = await self._converse()
            if self._leaving:
                return
            failures = 0 if was_live else failures + 1
            self._report(Status(False, lost.reason))
            await asyncio.sleep(max(lost.retry_s, retry_s(failures, self._first_retry_s)))

    async def _converse(self) -> tuple[Lost, bool]:
        """One connection from its beginning to its end: why it ended, and whether the model was moved."""
        was_live = False
        try:
            # Without a proxy: it is this machine, or one beside it.
            async with connect(
                self._url, open_timeout=OPEN_S, close_timeout=CLOSE_S, max_size=MAX_BYTES, compression=None,
                proxy=None,
            ) as socket:  # fmt: skip
                try:
                    lost = await self._talk(socket)
                except asyncio.CancelledError:
                    await self._take_leave(socket)
                    raise
                finally:
                    was_live = self._session.live
        except (InvalidHandshake, InvalidMessage):
            lost = Lost(f"What answers at {self._url} is not VTube Studio: check vtube_studio.url.")
        except ConnectionClosed:
            lost = Lost("VTube Studio closed the connection; she comes back by herself.")
        except (OSError, TimeoutError, asyncio.TimeoutError):
            lost = Lost(absent(self._url))
        return lost, was_live

    async def _talk(self, socket: ClientConnection) -> Lost:
        receiving = asyncio.ensure_future(socket.recv())
        try:
            lost = await self._act(self._session.opened(self._clock()), socket)
            due = self._clock()
            while lost is None:
                if self._leaving:
                    raise asyncio.CancelledError
                await asyncio.wait({receiving}, timeout=max(0.0, due - self._clock()))
                if receiving.done():
                    received = receiving.result()
                    receiving = asyncio.ensure_future(socket.recv())
                    lost = await self._act(self._session.received(received, self._clock()), socket)
                if lost is None and self._clock() >= due:
                    lost = await self._act(self._session.tick(self._clock()), socket)
                    due = next_due(due, self._clock(), FRAME_S if self._session.live else IDLE_S)
            return lost
        finally:
            receiving.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionClosed):
                await receiving

    async def _take_leave(self, socket: ClientConnection) -> None:
        """Send the last wish and wait for its answer: closing at once might drop it."""
        farewell = self._session.leaving()
        with contextlib.suppress(ConnectionClosed, asyncio.TimeoutError):
            await self._act(farewell, socket)
            while farewell:
                answer = parse(await asyncio.wait_for(socket.recv(), CLOSE_S))
                if answer is not None and answer.id == TAKE_OFF:
                    return

    async def _act(self, actions: list[Action], socket: ClientConnection) -> Lost | None:
        """Carry out what the session wants; not None when it gives the connection up."""
        for action in actions:
            if isinstance(action, Send):
                try:
                    await asyncio.wait_for(socket.send(action.text), SEND_S)
                except asyncio.TimeoutError:
                    return Lost("VTube Studio takes no messages any more.")
            elif isinstance(action, Status):
                self._report(action)
            elif isinstance(action, Keep):
                self._keep(action.token)
            else:
                return action
        return None


def fault(url: str) -> str:
    """Why `url` is no address of a WebSocket, in one sentence; empty when it is one."""
    try:
        parse_uri(url)
    except (InvalidURI, ValueError):
        return f"The key 'vtube_studio.url' is {url!r}: write it like ws://localhost:8001."
    return ""


def next_due(due: float, now: float, period_s: float) -> float:
    """When the next frame is due: in step with the last one, but never two at once after a pause."""
    return due + period_s if now < due + period_s else now + period_s


def retry_s(failures: int, first_s: float) -> float:
    """Seconds before the next attempt, doubling."""
    return min(LONGEST_RETRY_S, first_s * 2.0 ** min(failures, 16))


def absent(url: str) -> str:
    """Why nothing moves when nobody answers."""
    return (
        f"VTube Studio does not answer at {url}: start it and switch on “Start API (allow plugins)” "
        "in its settings."
    )
