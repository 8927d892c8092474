"""What she does when nobody asks: blinks, and a head that is never quite still. Pure functions of time."""

from __future__ import annotations

import math
import random

Quaternion = tuple[float, float, float, float]
"""x, y, z, w, as Unity orders them."""

BLINK_EVERY_S = 3.6
"""One blink falls somewhere into each such slot."""
BLINK_S = 0.24
_DOWN = 0.38
"""Share of a blink in which the lid falls; it rises more slowly."""


def blink(seconds: float) -> float:
    """How far the eyes are closed by blinking, 0 open to 1 shut."""
    slot = math.floor(seconds / BLINK_EVERY_S)
    since_s = seconds - (slot + 0.08 + 0.72 * random.Random(slot).random()) * BLINK_EVERY_S
    if not 0.0 <= since_s <= BLINK_S:
        return 0.0
    share = since_s / BLINK_S
    way = share / _DOWN if share < _DOWN else (1.0 - share) / (1.0 - _DOWN)
    return math.sin(way * math.pi / 2) ** 2


def sway(seconds: float, degrees: float) -> Quaternion:
    """The head's rotation: slow waves that do not repeat soon, at most `degrees` about each axis."""
    pitch = 0.6 * _waves(seconds, 0.13, 1.0)
    yaw = _waves(seconds, 0.10, 2.0)
    roll = 0.5 * _waves(seconds, 0.08, 3.0)
    return rotation(*(math.radians(degrees) * angle for angle in (pitch, yaw, roll)))


def rotation(pitch: float, yaw: float, roll: float) -> Quaternion:
    """Radians about x, y, z -> the unit quaternion of Unity's order: roll first, then pitch, then yaw."""
    (sx, cx), (sy, cy), (sz, cz) = ((math.sin(a / 2), math.cos(a / 2)) for a in (pitch, yaw, roll))
    return (
        sx * cy * cz + cx * sy * sz,
        cx * sy * cz - sx * cy * sz,
        cx * cy * sz - sx * sy * cz,
        cx * cy * cz + sx * sy * sz,
    )


def _waves(seconds: float, hertz: float, offset: float) -> float:
    """-1 to 1; the ratio of the waves is the golden one, so that they never meet again."""
    turn = 2 * math.pi * hertz * seconds
    return 0.65 * math.sin(turn + offset) + 0.35 * math.sin(1.618 * turn + 2 * offset)
