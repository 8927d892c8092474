"""Text from people is made harmless once, at the door.

No control characters, escape codes, bidirectional tricks or towers of combining marks get past it.
"""

from __future__ import annotations

import re
import unicodedata

_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])|\x9b[0-?]*[ -/]*[@-~]"
)
"""ECMA-48 control sequences: CSI, OSC and two-character escapes."""
_BIDI = dict.fromkeys([0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xFEFF])
_MAX_MARKS = 4
"""Combining marks kept on one character; more is the 'Zalgo' trick, which draws over neighbouring lines."""


def clean_text(text: str, max_chars: int) -> str:
    """One printable line of at most `max_chars` characters; white space is folded, the ends are trimmed."""
    text = _ESCAPES.sub("", unicodedata.normalize("NFC", text[: max_chars * 8])).translate(_BIDI)
    kept: list[str] = []
    marks = 0
    for character in text:
        category = unicodedata.category(character)
        if category in ("Mn", "Me"):
            marks += 1
            if marks > _MAX_MARKS:
                continue
        else:
            marks = 0
        if category in ("Zs", "Zl", "Zp") or character in "\t\n\r\v\f":
            kept.append(" ")
        elif category in ("Cc", "Cs", "Cn", "Co"):
            continue
        else:
            kept.append(character)
    return " ".join("".join(kept).split())[:max_chars].rstrip()


def clean_name(name: str, max_chars: int = 40) -> str:
    """A viewer's name, safe to show and to put into a prompt; `someone` when nothing readable is left."""
    cleaned = clean_text(name, max_chars).strip("<>|[]{}\"'`:# ")
    return cleaned or "someone"
