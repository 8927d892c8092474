"""Cuts a growing reply into what can be spoken already: a clause first, then sentences."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

CLAUSE_MIN_WORDS = 4
CLAUSE_MIN_CHARS = 14
FIRST_MAX_CHARS = 90
"""Her first sound must not wait for the end of a long sentence."""
MAX_CHARS = 220
"""Later chunks: a voice runs out of breath, and a chunk cannot be taken back once it was sent."""

_STOPS = ".!?…。！？｡．‼⁇⁈⁉।॥۔؟"
_WIDE_STOPS = "。！？｡．।॥"
"""Stops of scripts that put no space after a sentence."""
_CLAUSES = ",;—–،；，、؛"
_WIDE_CLAUSES = "；，、"
_CLOSERS = "\"'”’»›)]}」』）】》〉"
_TRAILING = frozenset(_STOPS + _CLOSERS)
_NEVER_END = frozenset({
    "mr", "mrs", "ms", "mx", "dr", "prof", "st", "mt", "vs", "e.g", "i.e", "cf", "fig", "approx", "dept",
    "est", "gen", "sgt", "capt", "lt", "col", "rev", "hon",
})  # fmt: skip
"""Abbreviations that are followed by more of the sentence."""
_MAY_END = frozenset(["etc", "inc", "ltd", "co", "corp", "jr", "sr", "a.m", "p.m", "al"])
"""Abbreviations that may close a sentence: a capital letter after them decides."""
_INITIALS = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]", re.UNICODE)
_THAI_LEADING = "เแโใไ"
"""Thai vowels written before the consonant they belong to."""
_THAI_BOUND = "ะาำๅๆฯ"
_ZWJ = "\u200d"


@dataclass(frozen=True)
class Chunk:
    """A piece of a reply with the white space before it, so that the pieces join to the whole text."""

    text: str
    ends_sentence: bool


class Cutter:
    """Feed it text as it arrives. Where it cuts depends on the text alone, never on how it was split.

    A stop is believed once the first character after it (and after the white space) is known: `3.14`, `Mr. X`
    and `?!` need that look ahead, and with word-piece tokens it costs no time. Joined, the chunks are the
    text again but for white space at its very end.
    """

    def __init__(self) -> None:
        self._open = ""
        self._is_first = True

    def feed(self, text: str) -> list[Chunk]:
        """The chunks that `text` completes."""
        chunks: list[Chunk] = []
        for character in text:
            if not character.isspace() and self._open.strip():
                cut = self._cut_before(character)
                if cut is not None:
                    at, ends_sentence = cut
                    chunks.append(Chunk(self._open[:at], ends_sentence))
                    self._open = self._open[at:]
                    self._is_first = False
            self._open += character
        return chunks

    def flush(self) -> list[Chunk]:
        """The rest, when nothing more comes."""
        rest, self._open = self._open.rstrip(), ""
        self._is_first = False
        return [Chunk(rest, True)] if rest else []

    def _cut_before(self, after: str) -> tuple[int, bool] | None:
        """Where to cut when `after` is the next visible character, and whether a sentence ends there."""
        said = self._open.rstrip()
        gap = self._open[len(said) :]
        if "\n" in gap:
            return len(said), True
        if not gap and (after in _TRAILING or _is_mark(after)):
            return None
        if gap and _is_emoji(after) and _ends_with_stop(said):
            return None
        if _sentence_ends(said, gap, after):
            return len(said), True
        if self._is_first and _clause_ends(said, gap):
            return len(said), False
        return self._overlong(said, gap, after)

    def _overlong(self, said: str, gap: str, after: str) -> tuple[int, bool] | None:
        if len(said.lstrip()) < (FIRST_MAX_CHARS if self._is_first else MAX_CHARS):
            return None
        if gap:
            return len(said), False
        lead = len(said) - len(said.lstrip())
        space = max(said.rfind(mark, lead) for mark in " \t\u3000")
        if space > lead:
            return space, False
        # No space anywhere (Thai, Chinese, a long URL): cut where no character is torn from its marks.
        if len(said.lstrip()) < MAX_CHARS or after == _ZWJ or said[-1] == _ZWJ:
            return None
        if said[-1] in _THAI_LEADING or after in _THAI_BOUND:
            return None
        return len(said), False


def _sentence_ends(said: str, gap: str, after: str) -> bool:
    core = _strip_trailing(said)
    stops = said[len(core) :]
    if not any(character in _STOPS for character in stops):
        return _is_unspaced(core[-1:]) and bool(gap) and _is_unspaced(after) and len(core.lstrip()) >= 40
    if any(character in _WIDE_STOPS for character in stops):
        return True
    if not gap:
        # "Hi!😊How are you": an emoji stands where the space should be.
        return any(_is_emoji(character) for character in stops) and after.isalpha()
    only = "".join(character for character in stops if character in _STOPS)
    if only in ("…", "...", "..") or (only.endswith(("…", "..")) and set(only) <= {".", "…"}):
        return not after.islower()
    if only != ".":
        return True
    return _full_stop_ends(core, after)


def _full_stop_ends(core: str, after: str) -> bool:
    """Whether a single full stop behind `core` ends a sentence, not an abbreviation or a list number."""
    word = core.split()[-1].lstrip("(\"'“‘[") if core.split() else ""
    lowered = word.lower()
    if lowered in _NEVER_END or (lowered == "no" and after.isdigit()):
        return False
    if lowered in _MAY_END:
        return not after.islower()
    if _INITIALS.fullmatch(word) and (word[0].isupper() or "." in word) and word != "I":
        return False
    is_list_number = word.isdigit() and len(word) <= 2 and core.strip() == word
    return not is_list_number


def _clause_ends(said: str, gap: str) -> bool:
    core = said.rstrip(_CLOSERS)
    if not core:
        return False
    long_enough = len(core.split()) >= CLAUSE_MIN_WORDS and len(core.strip()) >= CLAUSE_MIN_CHARS
    if core[-1] in _WIDE_CLAUSES:
        return len(core.strip()) >= 5
    if not gap:
        return False
    if core[-1] in _CLAUSES or core.endswith(("...", "…", " -")):
        return long_enough
    return _is_unspaced(core[-1]) and len(core.strip()) >= CLAUSE_MIN_CHARS


def _strip_trailing(said: str) -> str:
    end = len(said)
    while end and (said[end - 1] in _TRAILING or _is_mark(said[end - 1]) or said[end - 1].isspace()):
        end -= 1
    return said[:end]


def _ends_with_stop(said: str) -> bool:
    return any(character in _STOPS for character in said[len(_strip_trailing(said)) :])


def _is_mark(character: str) -> bool:
    """Belongs to what stands before it: emoji, joiners, variation selectors, combining marks."""
    return _is_emoji(character) or unicodedata.category(character) in ("Mn", "Mc", "Me")


def _is_emoji(character: str) -> bool:
    code = ord(character)
    return (
        0x1F000 <= code <= 0x1FAFF
        or 0x2600 <= code <= 0x27BF
        or 0xFE00 <= code <= 0xFE0F
        or 0xE0020 <= code <= 0xE007F
        or code in (0x200D, 0x20E3, 0x2B50, 0x2B55, 0x2764, 0x3030, 0x303D)
    )


def _is_unspaced(character: str) -> bool:
    """Thai, Lao, Burmese or Khmer: spaces stand between phrases there, not between words."""
    return bool(character) and (
        0x0E00 <= ord(character) <= 0x0EFF
        or 0x1000 <= ord(character) <= 0x109F
        or 0x1780 <= ord(character) <= 0x17FF
    )
