"""How a mood bends the voice: pace and pitch."""

from __future__ import annotations

from typing import NamedTuple

from shared.events import MoodName


class Manner(NamedTuple):
    """Pace as a factor of `tts.rate`, pitch in semitones above the voice's own."""

    pace: float = 1.0
    semitones: float = 0.0


MANNERS: dict[MoodName, Manner] = {
    "neutral": Manner(),
    "happy": Manner(1.04, 0.7),
    "excited": Manner(1.1, 1.3),
    "shy": Manner(0.95, 0.4),
    "sad": Manner(0.9, -1.2),
    "surprised": Manner(1.05, 1.0),
    "annoyed": Manner(1.04, -0.5),
    "thinking": Manner(0.94, -0.3),
}
"""Gentle on purpose: one person in different moods."""
