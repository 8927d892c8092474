"""Between the thread that owns the bus and the one that draws: each reads what the other wrote whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Event
from typing import TypeVar

from services.dashboard.state import DashboardState
from shared.commands import Command, Reply

Item = TypeVar("Item")


@dataclass(frozen=True)
class Answer:
    """What became of a command: a reply, or one sentence why not."""

    command: Command
    reply: Reply | None
    sentence: str = ""


class Feed:
    """The newest state one way, commands the other way; neither side ever waits for the other."""

    def __init__(self) -> None:
        self.closed = False
        self.wake: Callable[[], None] = lambda: None
        """Set by the bus side: makes its loop look at the commands now."""
        self.notify: Callable[[], None] = lambda: None
        """Set by the drawing side, called on the bus thread: something changed."""
        self._state = DashboardState()
        self._told = False
        self._typed = Event()
        self._commands: SimpleQueue[Command] = SimpleQueue()
        self._answers: SimpleQueue[Answer] = SimpleQueue()

    def show(self, state: DashboardState) -> bool:
        """Bus side: hand over the newest state, in place of one not drawn yet; False for the same."""
        if state is self._state:
            return False
        self._state = state
        self._tell()
        return True

    def answer(self, answer: Answer) -> None:
        """Bus side: tell what became of a command."""
        self._answers.put(answer)
        self._tell()

    def close(self) -> None:
        """Bus side: the show is over, leave the screen."""
        self.closed = True
        self.notify()

    def take_commands(self) -> list[Command]:
        """Bus side: what was typed since the last call."""
        return _drain(self._commands)

    def rest(self, timeout_s: float) -> None:
        """Bus side: let events gather for a moment, unless something was typed."""
        self._typed.wait(timeout_s)
        self._typed.clear()

    def send(self, command: Command) -> None:
        """Drawing side: have a command sent; its answer comes later."""
        self._commands.put(command)
        self._typed.set()
        self.wake()

    def take_state(self) -> DashboardState:
        """Drawing side: the newest state."""
        self._told = False  # first: a state that arrives right after is told again
        return self._state

    def take_answers(self) -> list[Answer]:
        """Drawing side: answers since the last call."""
        self._told = False
        return _drain(self._answers)

    def _tell(self) -> None:
        if not self._told:
            self._told = True
            self.notify()


def _drain(queue: SimpleQueue[Item]) -> list[Item]:
    found: list[Item] = []
    try:
        while True:
            found.append(queue.get_nowait())
    except Empty:
        return found
