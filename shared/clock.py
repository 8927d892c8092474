"""The two clocks of the system, passed in wherever time matters so that tests can turn them by hand."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Seconds that never jump back; only differences mean something."""

monotonic: Clock = time.monotonic


class FakeClock:
    """A clock for tests: stands still until it is told to move."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Move on by `seconds`."""
        self.now += seconds
