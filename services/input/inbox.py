"""Where reader threads leave what they got until the owner of the bus takes it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from shared.events import ChatMessage, ChatRetracted


class Inbox:
    """Stream chat between its thread and the bus: bounded, oldest lines dropped first and counted.

    A retraction takes its lines back out of the queue and is itself never dropped.
    """

    def __init__(self, max_messages: int, wake: Callable[[], None]) -> None:
        self._max_messages = max_messages
        self._wake = wake
        self._lock = threading.Lock()
        self._items: deque[ChatMessage | ChatRetracted] = deque()
        self._messages = 0
        self.dropped = 0

    def put(self, item: ChatMessage | ChatRetracted) -> None:
        """Leave an item and wake the owner; any thread."""
        with self._lock:
            if isinstance(item, ChatRetracted):
                self._items = deque(
                    kept for kept in self._items if isinstance(kept, ChatRetracted) or not item.covers(kept)
                )
                self._messages = sum(isinstance(kept, ChatMessage) for kept in self._items)
            else:
                if self._messages >= self._max_messages:
                    self._drop_oldest()
                self._messages += 1
            self._items.append(item)
        self._wake()

    def take(self, limit: int) -> list[ChatMessage | ChatRetracted]:
        """Up to `limit` items, oldest first."""
        with self._lock:
            taken = [self._items.popleft() for _ in range(min(limit, len(self._items)))]
            self._messages -= sum(isinstance(item, ChatMessage) for item in taken)
            return taken

    def _drop_oldest(self) -> None:
        for index, item in enumerate(self._items):
            if isinstance(item, ChatMessage):
                del self._items[index]
                self._messages -= 1
                self.dropped += 1
                return
