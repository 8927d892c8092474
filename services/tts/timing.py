"""Times of words: guessed from spelling, and carried from what a voice said to what is written."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

from services.tts.rendering import TimedWord, planned_pause_s

LETTER_S = 0.062
WORD_S = 0.055
IDEOGRAPH_S = 0.16
"""A kana or ideograph is a syllable or more, a Latin letter a third of one."""


def estimate(words: Sequence[str], rate: float = 1.0) -> list[TimedWord]:
    """Times of words that nobody has spoken, at an ordinary pace (170 words a minute), pauses included."""
    timed: list[TimedWord] = []
    at = 0.0
    for word in words:
        letters = sum(character.isalnum() for character in word)
        wide = sum(character.isalnum() and ord(character) > 0x2E80 for character in word)
        length_s = ((letters - wide) * LETTER_S + wide * IDEOGRAPH_S + (WORD_S if letters else 0.0)) / rate
        timed.append(TimedWord(word, round(at, 4), round(at + length_s, 4)))
        at += length_s + planned_pause_s(word) / rate
    return timed


def fit(timed: Sequence[TimedWord], start_s: float, end_s: float) -> list[TimedWord]:
    """The same words stretched to begin at `start_s` and end at `end_s`."""
    if not timed:
        return []
    first, last = timed[0].start_s, timed[-1].end_s
    scale = (end_s - start_s) / (last - first) if last > first else 0.0
    return [
        TimedWord(word, start_s + (begin - first) * scale, start_s + (end - first) * scale)
        for word, begin, end in timed
    ]


def align(said: Sequence[TimedWord], written: Sequence[str]) -> list[TimedWord]:
    """Give each written word the time of what was said for it.

    A voice writes numbers and abbreviations out ("7:30 pm" becomes four words): runs that differ share the
    time of the run between them, longer words more. A written word that was not said has no length.
    """
    said_keys, written_keys = [_key(word.text) for word in said], [_key(word) for word in written]
    timed: list[TimedWord] = []
    matcher = SequenceMatcher(None, said_keys, written_keys, autojunk=False)
    for tag, said_from, said_to, written_from, written_to in matcher.get_opcodes():
        spoken, words = said[said_from:said_to], written[written_from:written_to]
        if tag == "equal":
            timed += [each._replace(text=word) for word, each in zip(words, spoken, strict=True)]
        elif words and spoken:
            timed += fit(estimate(words), spoken[0].start_s, spoken[-1].end_s)
        elif words:
            at = timed[-1].end_s if timed else 0.0
            timed += [TimedWord(word, at, at) for word in words]
        elif timed:
            timed[-1] = timed[-1]._replace(end_s=spoken[-1].end_s)
    return timed


def _key(word: str) -> str:
    return "".join(character for character in word.casefold() if character.isalnum())
