"""What a living face does by itself: it blinks, and it never stands quite still."""

from __future__ import annotations

import math
import random

CLOSING_S, SHUT_S, OPENING_S = 0.07, 0.04, 0.13
FIRST_S, LAST_S = 2.0, 6.0
"""Bounds of the time between two blinks."""
TWICE = 0.15
"""Share of the blinks that are followed by another one at once."""


class Blinks:
    """Lids that shut now and then; `rng` says when."""

    def __init__(self, now: float, rng: random.Random) -> None:
        self._rng = rng
        self._at = now + rng.uniform(FIRST_S, LAST_S)

    def openness(self, now: float) -> float:
        """0 shut, 1 open; `now` in monotonic seconds."""
        since_s = now - self._at
        if since_s < 0.0:
            return 1.0
        if since_s < CLOSING_S:
            return 1.0 - since_s / CLOSING_S
        since_s -= CLOSING_S + SHUT_S
        if since_s < 0.0:
            return 0.0
        if since_s < OPENING_S:
            return since_s / OPENING_S
        again_s = 0.1 if self._rng.random() < TWICE else self._rng.uniform(FIRST_S, LAST_S)
        self._at = now + again_s
        return 1.0


def sway(now: float) -> tuple[float, float, float]:
    """Turn, nod and lean of the head, each within -1 to 1: slow waves that do not repeat for minutes."""
    return (
        0.6 * math.sin(0.53 * now) + 0.4 * math.sin(1.31 * now + 1.0),
        0.6 * math.sin(0.71 * now + 2.0) + 0.4 * math.sin(1.73 * now),
        0.7 * math.sin(0.43 * now + 4.0) + 0.3 * math.sin(1.07 * now + 2.0),
    )
