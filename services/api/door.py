"""Where asyncio and the bus meet: calls go one way in a queue, updates come back by the event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from services.api.errors import ApiError
from services.api.reading import Delta
from shared.commands import Generate
from shared.events import Finished, LlmStats

Update = Delta | Finished | ApiError | None
"""None: the llm has accepted the request. Finished and ApiError are the last."""
SILENCE = -1
"""Stands for a generation's number where none of them has said anything."""


@dataclass(frozen=True)
class Begin:
    """Send `command`; `deliver` takes its updates and may be called from any thread."""

    command: Generate
    deliver: Callable[[Update], None]


@dataclass(frozen=True)
class Drop:
    """Nobody reads this generation any more."""

    generation: str


Call = Begin | Drop


@dataclass(frozen=True)
class LlmView:
    """What is known of the llm; replaced as a whole, so that any thread may read it."""

    stats: LlmStats | None = None
    phase: str = "absent"
    detail: str = "The model's process is not there."
    gaps: int = 0
    """Events of the llm that this process knows it missed."""

    @property
    def takes_requests(self) -> bool:
        """It may answer; a degraded one is worth a try."""
        return self.phase in ("ready", "degraded")


class Door:
    """The event loop's side; `call` hands something to the thread that owns the bus."""

    def __init__(self, call: Callable[[Call], None]) -> None:
        self.view = LlmView()
        self._call = call

    async def begin(self, commands: Sequence[Generate]) -> Answers:
        """Ask for all of `commands`; returns when each was accepted. Raises ApiError, and then none runs."""
        answers = Answers(commands, self._call)
        try:
            await answers.accepted()
        except BaseException:
            answers.close()
            raise
        return answers


class Answers:
    """The generations of one HTTP request. `close` cancels whatever of them still runs."""

    def __init__(self, commands: Sequence[Generate], call: Callable[[Call], None]) -> None:
        self._call = call
        self._open = {index: command.generation for index, command in enumerate(commands)}
        self._queue: asyncio.Queue[tuple[int, Update]] = asyncio.Queue()
        self._held: list[tuple[int, Update]] = []
        loop = asyncio.get_running_loop()
        for index, command in enumerate(commands):
            call(Begin(command, self._mailbox(loop, index)))

    def _mailbox(self, loop: asyncio.AbstractEventLoop, index: int) -> Callable[[Update], None]:
        def deliver(update: Update) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended: nobody reads
                loop.call_soon_threadsafe(self._queue.put_nowait, (index, update))

        return deliver

    async def accepted(self) -> None:
        """Wait until the llm has taken every request. Raises ApiError."""
        waiting = set(self._open)
        while waiting:
            index, update = await self._queue.get()
            if isinstance(update, ApiError):
                self._open.pop(index, None)
                raise update
            waiting.discard(index)
            if update is not None:  # its text may come before the llm's answer
                self._held.append((index, update))

    async def updates(
        self, idle_s: float | None = None
    ) -> AsyncIterator[tuple[int, Delta | Finished | None]]:
        """Each text and ending with its number; (SILENCE, None) after `idle_s` of it. Raises ApiError."""
        while self._open:
            index, update = self._held.pop(0) if self._held else await self._next(idle_s)
            if index == SILENCE:
                yield SILENCE, None
            if isinstance(update, ApiError):
                self._open.pop(index, None)
                raise update
            if isinstance(update, Finished):
                self._open.pop(index, None)
            if update is not None:
                yield index, update

    async def _next(self, idle_s: float | None) -> tuple[int, Update]:
        if idle_s is None:
            return await self._queue.get()
        # asyncio.wait_for can lose a cancellation that comes with an update (before Python 3.12).
        loop = asyncio.get_running_loop()
        alarm = loop.call_later(idle_s, self._queue.put_nowait, (SILENCE, None))
        try:
            return await self._queue.get()
        finally:
            alarm.cancel()

    def close(self) -> None:
        """Cancel what still runs."""
        for generation in self._open.values():
            self._call(Drop(generation))
        self._open.clear()
