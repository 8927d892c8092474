"""A face -> the weights of a VRM model's blend shapes, and how they glide. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping

from shared.events import MoodName, MouthShape
from shared.face import Face

NAMES: dict[str, dict[str, str]] = {
    "vrm0": {
        "A": "A", "I": "I", "U": "U", "E": "E", "O": "O", "blink": "Blink",
        "happy": "Joy", "angry": "Angry", "sad": "Sorrow", "relaxed": "Fun", "surprised": "Surprised",
    },
    "vrm1": {
        "A": "aa", "I": "ih", "U": "ou", "E": "ee", "O": "oh", "blink": "blink",
        "happy": "happy", "angry": "angry", "sad": "sad", "relaxed": "relaxed", "surprised": "surprised",
    },
}  # fmt: skip
"""Our word -> the preset's name; receivers may tell capitals from small letters. VRM 0 has no preset for
surprise, but models of VRoid Studio have a shape of this name; where there is none, receivers ignore it."""

MOODS: dict[MoodName, dict[str, float]] = {
    "neutral": {},
    "happy": {"happy": 0.7},
    "excited": {"happy": 1.0},
    "shy": {"relaxed": 0.6},
    "sad": {"sad": 0.8},
    "surprised": {"surprised": 0.9},
    "annoyed": {"angry": 0.8},
    "thinking": {"relaxed": 0.25},
}
MOUTHS: dict[MouthShape, dict[str, float]] = {
    "closed": {},
    "A": {"A": 0.9},
    "I": {"I": 1.8},
    "U": {"U": 2.0},
    "E": {"E": 1.3},
    "O": {"O": 1.2},
    "N": {"I": 1.0},
    "smile": {"E": 0.6},
}
"""Weight at openness 1. A narrow sound hardly opens the mouth (I: 0.4), yet its blend shape has to show."""
MOUTH_S = 0.04
MOOD_S = 0.15
"""Time constants: after this long two thirds of a change are done."""


def goals(face: Face) -> dict[str, float]:
    """Weights from 0 to 1 that the face glides to; all but the blink, which has its own time."""
    weights = dict.fromkeys((word for word in NAMES["vrm0"] if word != "blink"), 0.0)
    for word, weight in MOODS[face.mood].items():
        weights[word] = weight * face.intensity
    for word, gain in MOUTHS[face.shape].items():
        weights[word] = min(1.0, gain * face.openness)
    return weights


def glide(now: Mapping[str, float], to: Mapping[str, float], seconds: float) -> dict[str, float]:
    """Weights `seconds` later."""
    made = {}
    for word, goal in to.items():
        share = 1.0 - math.exp(-seconds / (MOUTH_S if word in MOUTHS else MOOD_S))
        weight = now.get(word, 0.0)
        made[word] = weight + (goal - weight) * share
    return made


def with_blink(weights: Mapping[str, float], lid: float) -> dict[str, float]:
    """A broad smile closes the eyes by itself: a blink on top would push the lids through the face."""
    return {**weights, "blink": lid * (1.0 - weights["happy"])}
