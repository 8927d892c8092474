"""The mood of a chunk, from a tag that the model wrote or from a small lexicon."""

from __future__ import annotations

import re
from typing import get_args

from shared.events import MoodName

_TAG = re.compile(rf"[\[(*<]\s*({'|'.join(get_args(MoodName))})\s*[\])*>]", re.IGNORECASE)
_LEXICON: tuple[tuple[MoodName, str, str], ...] = (
    ("sad", r"sad|sorry|oh no|miss you|lonely|cry(?:ing)?|tears?|hugs?|rough|awful|hurts?", "😢😭💔🥺"),
    ("annoyed", r"hey now|hmph|grr+|annoying|unfair|rude|ugh|pout(?:ing)?", "😠😤🙄"),
    ("shy", r"blush(?:ing)?|shy|eh\?!|embarrass(?:ed|ing)|my face is|you can't just say that", "😳☺"),
    ("surprised", r"wow|whoa|what\?!|really\?|no way|oh my|eh\?|huh\?", "😮😲😱"),
    ("thinking", r"hmm+|let me (?:see|think)|maybe|i wonder|good question|perhaps", "🤔"),
    ("excited", r"yay|woo+|let's go|amazing|awesome|so (?:happy|excited)|can't wait|congrat\w*", "🎉🤩🔥"),
    (
        "happy",
        r"happy|glad|love(?:ly)?|fun|hehe|haha|thank(?:s| you)|welcome|great|wonderful|nice",
        "😊😄😁❤💖✨",
    ),
)
"""Mood, words and emoji, strongest first."""
_PATTERNS = [
    (mood, re.compile(rf"(?<!\w)(?:{words})(?!\w)|[{emoji}]", re.IGNORECASE))
    for mood, words, emoji in _LEXICON
]


def take_tags(text: str) -> tuple[str, MoodName | None]:
    """Text without mood tags such as `[happy]`, and the last mood they named."""
    mood: MoodName | None = None
    for match in _TAG.finditer(text):
        mood = next(name for name in get_args(MoodName) if name == match.group(1).lower())
    return _TAG.sub("", text), mood


def mood_of(text: str) -> MoodName:
    """The first mood of the lexicon, strongest first, that `text` shows; else happy for `!`, else neutral."""
    for mood, pattern in _PATTERNS:
        if pattern.search(text):
            return mood
    return "happy" if text.rstrip().endswith("!") else "neutral"
