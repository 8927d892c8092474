"""The mood of what she says: from tags that the model wrote, else by a small model of how words sound."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import get_args

from shared.events import MoodName
from shared.mood_model import MOODS, MoodModel, load_mood_model

FILE = Path(__file__).with_name("moods.json")
WINDOW = 240
"""Characters of what she said last that count: a face does not start anew with every clause."""
HELD = 1.3
"""So many times as probable as the mood she has must another one be to take its place."""
SURE = 0.2
"""A mood less probable than this is not shown: a face at rest is better than a wrong one."""
SIGNS: dict[MoodName, str] = {
    "sad": "😢😭💔🥺", "annoyed": "😠😤🙄", "shy": "😳☺", "surprised": "😮😲😱", "thinking": "🤔",
    "excited": "🎉🤩🔥",
    "happy": "😊😄😁❤💖✨",
}  # fmt: skip
"""Emoji that say more than the words about them."""
_NAME = rf"\s*(?:{'|'.join(get_args(MoodName))})\s*"
_TAG = re.compile(rf"[\[<]({_NAME})[\]>]|\*{{1,2}}({_NAME})\*{{1,2}}|\(({_NAME})\)", re.IGNORECASE)
"""In brackets, which nobody speaks; or between stars or parentheses, where a word of hers may stand, too."""
_ENDED = re.compile(r"(?<!\.)[.!?。！？][^\w.…]*$|\n\s*$")
"""A sentence is over; after an ellipsis it may go on."""


@cache
def mood_model() -> MoodModel:
    """Read once. Raises ConfigError in one sentence."""
    return load_mood_model(FILE)


def take_tags(text: str, said: str = "") -> tuple[str, MoodName | None]:
    """Text without mood tags such as `[happy]`, and the last mood they named; `said` came before it.

    `*happy*` and `(happy)` are tags where they stand alone or begin a sentence: all else is a word of hers.
    """
    mood: MoodName | None = None
    kept, at = "", 0
    for match in _TAG.finditer(text):
        kept, at = kept + text[at : match.start()], match.start()
        in_brackets, in_stars, in_parentheses = match.groups()
        before = said + kept
        is_alone = not (kept + text[match.end() :]).strip()
        if in_brackets or is_alone or not before.strip() or _ENDED.search(before):
            named = (in_brackets or in_stars or in_parentheses).strip().lower()
            mood = next(name for name in MOODS if name == named)
            at = match.end()
    return kept + text[at:], mood


class Feeling:
    """How one text of hers sounds, chunk after chunk. `asked`: the message that it answers."""

    def __init__(self, asked: str = "") -> None:
        self._asked = asked
        self._said = ""
        self._tagged: MoodName | None = None
        self._mood: MoodName = "neutral"

    def of(self, chunk: str, tagged: MoodName | None = None) -> MoodName:
        """Mood of the next chunk; a tag holds until the next one, whatever the words are like."""
        self._said = f"{self._said} {chunk}"[-WINDOW:].lstrip()
        self._tagged = tagged or self._tagged
        self._mood = self._tagged or _sign(chunk) or self._heard()
        return self._mood

    def _heard(self) -> MoodName:
        model = mood_model()
        if not model.knows(self._said):
            return self._mood
        chances = dict(zip(MOODS, model.probabilities(model.evidence(self._said, self._asked)), strict=True))
        best = max(chances, key=chances.__getitem__)
        if chances[best] < SURE:
            return "neutral"
        # A neutral face is held by nothing but SURE.
        is_held = self._mood != "neutral" and chances[best] < HELD * chances[self._mood]
        return self._mood if is_held else best


def _sign(chunk: str) -> MoodName | None:
    return next((mood for mood, signs in SIGNS.items() if any(sign in chunk for sign in signs)), None)
