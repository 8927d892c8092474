"""Waiting for other processes: the system tells nobody when one writes, stops or dies, so one has to look."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psutil

LOOK_S = 0.005


def until_true(
    done: Callable[[], Any], timeout_s: float = 20.0, what: Callable[[], str] = lambda: "it"
) -> Any:
    """Look until `done()` is true and return that; the deadline is for failure only."""
    deadline = time.monotonic() + timeout_s
    while not (result := done()):
        assert time.monotonic() < deadline, f"not within {timeout_s:.0f} s: {what()}"
        time.sleep(LOOK_S)
    return result


def gone(pid: int) -> bool:
    """No such process, or only its entry waits for a parent that does not care."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, IndexError, ValueError):
        return True  # its entry reads as empty when it ends between the opening and the reading
