"""Text from people is made harmless once, at the door.

No control characters, escape codes, bidirectional tricks, hidden text or towers of marks get past it.
"""

from __future__ import annotations

import re
import unicodedata

_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor, modes
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"  # OSC, DCS, SOS, PM, APC
    r"|\x1b[ -/]*[0-~]"  # what is left: two characters, or a character set
)
"""ECMA-48 control sequences, in their seven-bit and eight-bit forms."""
_JOINERS = "\u200c\u200d"
"""Needed inside Persian and Indic words and emoji families; hidden text anywhere else."""
_BLANKS = {"\u115f", "\u1160", "\u2800", "\u3164", "\uffa0"}
"""Letters and symbols, says Unicode, but drawn as nothing: an empty name made of them looks like no name."""
_MAX_MARKS = 4
"""Combining marks kept on one character; more is the 'Zalgo' trick, which draws over neighbouring lines."""
_NAME_DROPS = dict.fromkeys(map(ord, '<>|[]{}"`:#'))
"""What could end a name early where it is put into a prompt or into markup."""


def clean_text(text: str, max_chars: int) -> str:
    """One printable line of at most `max_chars` characters; white space is folded, the ends are trimmed.

    The result is NFC, and cleaning it again changes nothing.
    """
    text = _ESCAPES.sub("", unicodedata.normalize("NFC", text[: max_chars * 8]))
    kept: list[str] = []
    marks = 0
    for character in text:
        category = unicodedata.category(character)
        blank = category in ("Zs", "Zl", "Zp") or character in _BLANKS or character in "\t\n\r\v\f\x85"
        based = bool(kept) and kept[-1] != " "
        if blank:
            kept.append(" ")
        elif category in ("Mn", "Me"):
            marks += 1
            if based and marks <= _MAX_MARKS and not 0xE0100 <= ord(character) <= 0xE01EF:
                kept.append(character)
            continue
        elif character in _JOINERS:
            if based and kept[-1] not in _JOINERS:
                kept.append(character)
            continue
        elif _is_shown(character, category):
            kept.append(character)
        else:
            continue
        marks = 0
    line = unicodedata.normalize("NFC", " ".join("".join(kept).split()))
    return line[:max_chars].rstrip(" " + _JOINERS)


def clean_name(name: str, max_chars: int = 40) -> str:
    """A viewer's name, safe to show and to put into a prompt; `someone` when nothing readable is left."""
    line = clean_text(name, 4 * max_chars)  # first: an escape code without its bracket would stay as text
    return clean_text(line.translate(_NAME_DROPS), max_chars) or "someone"


def _is_shown(character: str, category: str) -> bool:
    """No controls, surrogates, private use or invisible formatting (bidi, tags that smuggle hidden text)."""
    if category == "Cn":
        # This Python's Unicode tables may be older than the emoji that people send.
        return 0x1F000 <= ord(character) <= 0x1FAFF
    return category not in ("Cc", "Cf", "Cs", "Co")
