"""What a piece of pure code costs, whatever else the process and the machine are doing meanwhile."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable


def cost_s(work: Callable[[], object], limit_s: float) -> float:
    """Seconds of this thread's processor time for one call: the first of three below the limit, else the least.

    A whole suite's garbage can take longer to collect than the work itself, and a busy machine slows any
    single call; neither does so three times, where work with a square in it does.
    """
    costs_s: list[float] = []
    collecting = gc.isenabled()
    gc.disable()
    try:
        for _ in range(3):
            begun_s = time.thread_time()
            work()
            costs_s.append(time.thread_time() - begun_s)
            if costs_s[-1] < limit_s:
                break
    finally:
        if collecting:
            gc.enable()
    return min(costs_s)
