"""Events of the bus and time in, values of VTube Studio's tracking parameters out. Pure."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import get_args

import shared.face
from services.vtube_studio.idle import Blinks, sway
from services.vtube_studio.looks import LOOKS, MOUTH_FORMS, Look
from shared.events import Event, MoodName, Mouth

STALE_S = 0.25
"""A mouth that nobody moved for so long is shut."""
OPEN_S, FORM_S, MOOD_S = 0.03, 0.06, 0.2
"""Time constants of the way to a new value: after this long 63 % of it are done."""
PONDERING = 0.6
"""Share of the look of `thinking` that she has while an answer is thought of, whatever her mood."""
SWAY_DEG = (4.0, 3.0, 3.0)
SPEAKING_NOD_DEG = 3.0
MOODS: tuple[MoodName, ...] = get_args(MoodName)
SHOWN_MOODS = tuple(mood for mood in MOODS if mood != "neutral")
CUSTOM = {
    "AkaneMouthOpen": (0.0, 1.0, "How far Akane's mouth is open."),
    "AkaneSmile": (-1.0, 1.0, "The form of Akane's mouth: -1 sad or pursed, 1 a broad smile."),
    **{f"Akane{mood.title()}": (0.0, 1.0, f"How {mood} Akane is.") for mood in SHOWN_MOODS},
}
"""Parameters of our own: name -> lowest, highest, explanation. At rest all are 0."""


class Face:
    """Her face, moved smoothly; `shared.face` says what the events mean."""

    def __init__(self, now: float, rng: random.Random) -> None:
        self._told = shared.face.Face()
        self._pondering = 0.0
        self._mouth_at = now - STALE_S
        self._open = self._form = 0.0
        self._weights = dict.fromkeys(MOODS, 0.0)
        self._blinks = Blinks(now, rng)
        self._at = now

    @property
    def mood(self) -> MoodName:
        """The one that she wears."""
        return self._told.mood

    def take(self, event: Event, now: float, *, by_hand: bool = False) -> None:
        """An event came; `by_hand`: a mood that no chunk of speech brought, shown at once."""
        before, self._told = self._told, shared.face.after(self._told, event, by_hand=by_hand)
        if isinstance(event, Mouth) and self._told is not before:
            self._mouth_at = now

    def fall_silent(self) -> None:
        """The voice is gone."""
        self._told = shared.face.silenced(self._told)

    def stop_pondering(self) -> None:
        """The director is gone: nothing is thought of any more."""
        self._told = replace(self._told, ponders=False)

    def values(self, now: float) -> dict[str, float]:
        """Parameter id -> value at `now`; the ids are always the same."""
        self._move(now)
        look = self._look()
        swing = 1.0 + look.bounce
        turn, nod, lean = (swing * degree * wave for degree, wave in zip(SWAY_DEG, sway(now), strict=True))
        smile = _within(look.smile + self._form * min(1.0, 0.5 + self._open), -1.0, 1.0)
        brows = _within(0.5 + look.brows, 0.0, 1.0)
        eyes = _within((0.8 + look.eyes) * self._blinks.openness(now), 0.0, 1.0)
        form = 0.5 + 0.5 * smile
        values = {
            "MouthOpen": self._open,
            "VoiceVolume": self._open,
            "VoiceVolumePlusMouthOpen": self._open,
            "MouthSmile": form,
            "VoiceFrequency": form,
            "VoiceFrequencyPlusMouthSmile": form,
            "Brows": brows,
            "BrowLeftY": brows,
            "BrowRightY": brows,
            "FaceAngry": look.anger,
            "EyeOpenLeft": eyes,
            "EyeOpenRight": eyes,
            "EyeLeftX": look.gaze_x,
            "EyeRightX": look.gaze_x,
            "EyeLeftY": look.gaze_y,
            "EyeRightY": look.gaze_y,
            "FaceAngleX": look.angle_x + turn,
            "FaceAngleY": look.angle_y + nod + SPEAKING_NOD_DEG * self._open,
            "FaceAngleZ": look.angle_z + lean,
            "AkaneMouthOpen": self._open,
            "AkaneSmile": smile,
            **{f"Akane{mood.title()}": self._weights[mood] for mood in SHOWN_MOODS},
        }
        return {name: round(value, 4) for name, value in values.items()}

    def _move(self, now: float) -> None:
        told = self._told
        if now - self._mouth_at > STALE_S:
            told = shared.face.silenced(told)
        passed_s, self._at = max(0.0, now - self._at), now
        self._open += (told.openness - self._open) * _share(passed_s, OPEN_S)
        self._form += (MOUTH_FORMS[told.shape] - self._form) * _share(passed_s, FORM_S)
        pondering = PONDERING if told.ponders else 0.0
        self._pondering += (pondering - self._pondering) * _share(passed_s, MOOD_S)
        for mood, weight in self._weights.items():
            target = told.intensity if mood == told.mood else 0.0
            self._weights[mood] += (target - weight) * _share(passed_s, MOOD_S)

    def _look(self) -> Look:
        weights = {mood: weight * (1.0 - self._pondering) for mood, weight in self._weights.items()}
        weights["thinking"] += self._pondering
        total = max(1.0, sum(weights.values()))
        rest = 1.0 - sum(weights.values()) / total
        weights["neutral"] += rest
        return Look(
            **{
                part: sum(weight / total * getattr(LOOKS[mood], part) for mood, weight in weights.items())
                for part in Look.__dataclass_fields__
            }
        )


def _share(passed_s: float, constant_s: float) -> float:
    """Of the way to a target, how much is gone after `passed_s`: 1 - exp(-t / constant)."""
    return 1.0 - math.exp(-passed_s / constant_s)


def _within(value: float, low: float, high: float) -> float:
    return min(high, max(low, value))
