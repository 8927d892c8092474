"""Word error rate with words that do not count: names, which nobody can spell by ear, and interjections."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

INTERJECTIONS = frozenset("oh ooh aww aw hehe haha hmm hm ah yay wow eek mm hey huh um uh".split())  # noqa: SIM905
SWALLOWED = 2
"""So many heard words may stand for one said word that does not count."""
_INSIDE = re.compile(r"(?<![.!?…\"“] )(?<![\"“])(?<!^)\b(?!I\b)[A-Z]\w+")


def names(text: str) -> set[str]:
    """Words with a capital inside a sentence, in small letters."""
    return {name.casefold() for name in _INSIDE.findall(text)}


def word_errors(said: Sequence[str], heard: Sequence[str], ignored: Collection[str]) -> int:
    """The fewest words put in, left out or replaced; nothing that happened to `ignored` ones counts."""
    extra = [word not in ignored for word in heard]
    row = [0]
    for cost in extra:
        row.append(row[-1] + cost)
    for word in said:
        counts = word not in ignored
        below = [row[0] + counts]
        for at, other in enumerate(heard, 1):
            if counts:
                matched = min(row[at] + 1, row[at - 1] + (word != other))
            else:
                matched = min(row[max(0, at - SWALLOWED) : at + 1])
            below.append(min(matched, below[-1] + extra[at - 1]))
        row = below
    return row[-1]


def error_rate(pairs: Sequence[tuple[str, str]], ignored: Collection[str]) -> float:
    """Errors per said word that counts, over pairs of (said, heard)."""
    split = [(said.split(), heard.split()) for said, heard in pairs]
    wrong = sum(word_errors(said, heard, ignored) for said, heard in split)
    return wrong / sum(word not in ignored for said, _ in split for word in said)
