"""Text to speakable text: what nobody would read aloud is left out, what trips a voice is mended."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

GAP = "\0"
"""Stands for a character that is shown but not spoken."""

_TAG = re.compile(r"\[[\w \-+:]{1,32}\](?!\()|<\|?/?[A-Za-z_][^<>\n]{0,40}>")
"""Mood tags ([happy]) and markup (<b>, <|im_end|>): neither shown nor spoken."""
_LINK = re.compile(r"\[([^\]]*)\]\([^)\s]*\)")
_URL = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)
_EMPHASIS = re.compile(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1")
_ACTION = re.compile(r"(?<![\w*])\*(?=[^\s*])([^*\n]{1,80}?)(?<=[^\s*])\*(?![\w*])")
_NOT_ACTIONS = frozenset("this yes is was always his us plus its perhaps king sing bring".split())  # noqa: SIM905
_BARE_ACTIONS = frozenset("giggle laugh smile sigh wink nod wave blush gasp grin hug cough yawn".split())  # noqa: SIM905
_KAOMOJI = re.compile(
    r"(?:(?<![\d:;=])[:;=][\-o^']?[)(\]\[DPpOo3/\\|*]+|(?<!\S)(?:[xX][\-^]?[D)(]+|<3+|\\[oO]/|\^\^"
    r"|[\^>TxXoOuU;=][_.ωo-][\^<TxXoOuU;=]))(?![A-Za-z0-9])"
    r"|[(（](?=[^()（）]*[^()（）\w\s])[^()（）A-Za-z0-9]*[)）]"
)
"""Western smileys (":-)", "XD", "<3"), Eastern ones ("^_^") and faces in parentheses without a word."""
_KEPT_MARKS = frozenset("_.,!?…;:—–-'’\"“”()%&+=/@#$£€¥₹₩¢°。、")
_RUN = re.compile(r"([^\W\d_])\1{2,}", re.IGNORECASE)
_HUMMED = frozenset("hmrzfgsw")
_STRONG = re.compile(r"[!?]{2,}")
_DOTS = re.compile(r"\.{2,}|…{2,}")
_DASHES = re.compile(r"[-–]{2,}")
MAX_WORD_CHARS = 40
"""Nobody reads out more of a word, and engines choke on thousands."""
_DIGITS = re.compile(r"\d{13,}")
"""Beyond billions a number is read digit by digit."""
_MULTIPLES = {"k": "thousand", "M": "million", "B": "billion", "x": "times"}
_MULTIPLE = re.compile(r"(?<![\w$£€¥.])(\d+(?:[.,]\d+)*)([kMBx])(?!\w)")
_CURRENCIES = frozenset("€$£¥₹₩")


class Speakable(NamedTuple):
    """Words as shown and, side by side, what is spoken for each (empty: shown only)."""

    shown: list[str]
    spoken: list[str]

    @property
    def text(self) -> str:
        """What the voice gets; empty when there is nothing to say."""
        return " ".join(word for word in self.spoken if word) if self.audible else ""

    @property
    def audible(self) -> bool:
        """At least one word has a letter or a digit."""
        return any(character.isalnum() for word in self.spoken for character in word)


def speakable(text: str) -> Speakable:
    """Split `text` into shown words and what is said for each.

    Left out: emoji, kaomoji, stage directions (*waves*), markup. Mood tags are not even shown. Links become
    their text or the word "link"; letters and marks that are repeated for effect are cut to what is read.
    Numbers stay, each voice has its own way to write them out; only what those do not know is mended.
    """
    shown_text = " ".join(_TAG.sub(" ", text).split())
    masked = _LINK.sub(lambda link: GAP + link[1] + GAP * (len(link[0]) - len(link[1]) - 1), shown_text)
    masked = _URL.sub(lambda url: "link".ljust(len(url[0]), GAP)[: len(url[0])], masked)
    masked = _EMPHASIS.sub(lambda found: GAP * 2 + found[2] + GAP * 2, masked)
    masked = _ACTION.sub(_mask_action, masked)
    masked = _KAOMOJI.sub(lambda face: GAP * len(face[0]), masked)
    words = [(word[0], masked[word.start() : word.end()]) for word in re.finditer(r"\S+", shown_text)]
    return Speakable([shown for shown, _ in words], [_say(spoken) for _, spoken in words])


def _mask_action(found: re.Match[str]) -> str:
    """A stage direction begins with a verb in -s or -ing, or is one bare verb; all else is emphasis."""
    inner = found[1]
    verb = inner.split()[0].casefold()
    acts = verb.endswith(("s", "ing")) and not verb.endswith("thing") and verb not in _NOT_ACTIONS
    if acts or inner.casefold() in _BARE_ACTIONS:
        return GAP * len(found[0])
    return GAP + inner + GAP


def _say(word: str) -> str:
    word = unicodedata.normalize("NFKC", word.replace(GAP, ""))
    kept = "".join(character for character in word if _is_read(character))
    kept = _RUN.sub(_shorten, kept)[:MAX_WORD_CHARS].replace("_", "-")
    kept = _MULTIPLE.sub(lambda found: f"{found[1]} {_MULTIPLES[found[2]]}", kept)
    kept = _DIGITS.sub(lambda digits: " ".join(digits[0]), kept)
    if kept[-1:] in _CURRENCIES and kept[:1].isdigit():
        kept = kept[-1] + kept[:-1]
    kept = _STRONG.sub(lambda run: "?" if "?" in run[0] else "!", kept)
    kept = _DASHES.sub("—", _DOTS.sub("…", kept))
    if kept in _PAUSES or any(character.isalnum() for character in kept):
        return kept
    return kept.strip("'\"()@#/&=+%-")


_PAUSES = frozenset(("-", "—", "–", "&", "+", "%", "="))


def _is_read(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] in "LNM" or character in _KEPT_MARKS


def _shorten(run: re.Match[str]) -> str:
    """ "sooo" -> "so", "cooool" -> "cool", "hmmmm" -> "hmm", "yaaay" -> "yay"."""
    letter, at_end = run[1], run.end() == len(run.string) or not run.string[run.end()].isalpha()
    if letter.casefold() in _HUMMED or not letter.isascii():
        return letter * 2
    return letter if at_end or letter.casefold() not in "oe" else letter * 2
