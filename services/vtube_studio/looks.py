"""Tables: what a mood and a mouth shape do to a face."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shared.events import MoodName, MouthShape


@dataclass(frozen=True)
class Look:
    """What a mood adds to a face at rest, at full strength."""

    smile: float = 0.0
    """-1 corners down, 1 a broad smile."""
    brows: float = 0.0
    """-0.5 lowest, 0.5 highest."""
    eyes: float = 0.0
    """Wider or narrower, as a share of an open eye."""
    gaze_x: float = 0.0
    gaze_y: float = 0.0
    """-1 to 1; up is positive."""
    angle_x: float = 0.0
    angle_y: float = 0.0
    angle_z: float = 0.0
    """Degrees: turn, nod (up is positive), lean."""
    anger: float = 0.0
    bounce: float = 0.0
    """How much more she moves than at rest."""


LOOKS: Mapping[MoodName, Look] = {
    "neutral": Look(smile=0.15),
    "happy": Look(smile=0.8, brows=0.15, eyes=-0.15, angle_y=2.0, angle_z=4.0, bounce=0.5),
    "excited": Look(smile=1.0, brows=0.35, eyes=0.15, angle_y=5.0, bounce=1.5),
    "shy": Look(smile=0.35, brows=0.1, eyes=-0.2, gaze_x=-0.4, gaze_y=-0.4, angle_x=-8.0, angle_y=-8.0),
    "sad": Look(smile=-0.7, brows=-0.15, eyes=-0.25, gaze_y=-0.4, angle_y=-9.0, angle_z=-4.0, bounce=-0.5),
    "surprised": Look(brows=0.5, eyes=0.3, angle_y=4.0),
    "annoyed": Look(smile=-0.5, brows=-0.45, eyes=-0.2, angle_x=6.0, angle_y=-3.0, anger=1.0),
    "thinking": Look(brows=0.1, eyes=-0.05, gaze_x=0.4, gaze_y=0.5, angle_x=6.0, angle_y=5.0, angle_z=6.0),
}

MOUTH_FORMS: Mapping[MouthShape, float] = {
    "closed": 0.0, "A": 0.0, "I": 0.5, "U": -0.8, "E": 0.3, "O": -0.6, "N": 0.1, "smile": 0.6,
}  # fmt: skip
"""Mouth shape -> how wide: -1 pursed, 1 drawn apart. How far it opens comes with the event."""
