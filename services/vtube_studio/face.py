"""Events of the bus and time in, values of VTube Studio's tracking parameters out. Pure."""

from __future__ import annotations

import math
import random
from typing import get_args

from services.vtube_studio.idle import Blinks, sway
from services.vtube_studio.looks import LOOKS, MOUTH_FORMS, Look
from shared.events import Event, Mood, MoodName, Mouth, Progress, SpeechFinished, Timeline, TurnState

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
    """What she looks like now. Whatever has a lower epoch than the highest seen does not move it."""

    def __init__(self, now: float, rng: random.Random) -> None:
        self.mood: MoodName = "neutral"
        self._intensity = 1.0
        self._later: Mood | None = None
        self._epoch = 0
        self._sounding = ""
        """The turn that is being spoken."""
        self._plans: dict[int, MoodName] = {}
        self._chunk: int | None = None
        self._is_pondering = False
        self._pondering = 0.0
        self._open_to = self._form_to = 0.0
        self._mouth_at = now - STALE_S
        self._open = self._form = 0.0
        self._weights = dict.fromkeys(MOODS, 0.0)
        self._blinks = Blinks(now, rng)
        self._at = now

    def take(self, event: Event, now: float, *, by_hand: bool = False) -> None:
        """An event came; `by_hand`: a mood that no chunk of speech brought, shown at once."""
        epoch = getattr(event, "epoch", None)
        if epoch is not None:
            if epoch < self._epoch:
                return
            if epoch > self._epoch:
                self._epoch = epoch
                self.fall_silent()
        if isinstance(event, Mouth):
            self._sounding = event.turn
            self._open_to, self._form_to = event.openness, MOUTH_FORMS[event.shape]
            self._mouth_at = now
        elif isinstance(event, Mood):
            # Chunks are judged long before they sound: the face of the third must not be that of the first.
            if self._sounding and event.turn == self._sounding and not by_hand:
                self._later = event
            else:
                self._put_on(event.mood, event.intensity)
        elif isinstance(event, Timeline):
            self._plans[event.chunk] = event.mood
        elif isinstance(event, Progress):
            self._sounding = event.turn
            if event.chunk != self._chunk:
                self._chunk = event.chunk
                if event.chunk in self._plans:
                    self._put_on(self._plans[event.chunk], 1.0)
        elif isinstance(event, TurnState):
            self._is_pondering = event.phase == "thinking"
        elif isinstance(event, SpeechFinished):
            if event.reason == "done" and self._later is not None:
                self._put_on(self._later.mood, self._later.intensity)
            self.fall_silent()

    def fall_silent(self) -> None:
        """The mouth shuts, what was planned is forgotten: an end, an interruption, or the voice is gone."""
        self._sounding, self._chunk, self._later = "", None, None
        self._plans.clear()
        self._open_to = self._form_to = 0.0

    def stop_pondering(self) -> None:
        """The director is gone: nothing is thought of any more."""
        self._is_pondering = False

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

    def _put_on(self, mood: MoodName, intensity: float) -> None:
        self.mood, self._intensity = mood, _within(intensity, 0.0, 1.0)

    def _move(self, now: float) -> None:
        if now - self._mouth_at > STALE_S:
            self._open_to = self._form_to = 0.0
        passed_s, self._at = max(0.0, now - self._at), now
        self._open += (_within(self._open_to, 0.0, 1.0) - self._open) * _share(passed_s, OPEN_S)
        self._form += (self._form_to - self._form) * _share(passed_s, FORM_S)
        pondering = PONDERING if self._is_pondering else 0.0
        self._pondering += (pondering - self._pondering) * _share(passed_s, MOOD_S)
        for mood, weight in self._weights.items():
            target = self._intensity if mood == self.mood else 0.0
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
