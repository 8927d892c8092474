"""The objects of one array of a large JSON document, one at a time, without the whole in memory."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from training.errors import TrainingError

MAX_ITEM_CHARS = 1 << 20
MAX_DEPTH = 64
_STRUCTURE = re.compile(r'["{}\[\]]')
_STRING_END = re.compile(r'["\\]')
_MAX_KEY = 64


def items(chunks: Iterable[str], key: str, path: Path) -> Iterator[dict[str, Any]]:
    """Objects of the array `key` of the outermost object. Raises TrainingError for what is no JSON.

    What lies outside of that array is skipped: only its brackets and strings have to fit.
    """
    open_brackets: list[str] = []
    quoted = escaped = inside = False
    last_string = ""
    item: list[str] | None = None
    item_chars = 0
    for chunk in chunks:
        at, item_from = 0, 0
        while at < len(chunk):
            if escaped:
                escaped, at = False, at + 1
                continue
            found = (_STRING_END if quoted else _STRUCTURE).search(chunk, at)
            end = found.start() if found else len(chunk)
            if quoted and len(open_brackets) == 1 and len(last_string) < _MAX_KEY:
                last_string += chunk[at : min(end, at + _MAX_KEY)]
            if not found:
                break
            at = end + 1
            mark = found[0]
            if quoted:
                escaped, quoted = mark == "\\", mark != '"'
            elif mark == '"':
                quoted = True
                if len(open_brackets) == 1:
                    last_string = ""
            elif mark in "{[":
                open_brackets.append(mark)
                if len(open_brackets) > MAX_DEPTH:
                    raise TrainingError(
                        f"{path} is nested deeper than {MAX_DEPTH} levels: this is no chat log."
                    )
                if open_brackets == ["{", "["] and last_string == key:
                    inside = True
                elif inside and len(open_brackets) == 3 and mark == "{":
                    item, item_from, item_chars = [], end, 0
            else:
                if not open_brackets or open_brackets.pop() + mark not in ("{}", "[]"):
                    raise TrainingError(f"{path} is not valid JSON: a {mark} closes what was not opened.")
                if item is not None and len(open_brackets) == 2:
                    item.append(chunk[item_from:at])
                    yield load_object("".join(item), str(path))
                    item = None
                inside = inside and len(open_brackets) >= 2
        if item is not None:
            item.append(chunk[item_from:])
            item_chars += len(chunk) - item_from
            if item_chars > MAX_ITEM_CHARS:
                raise TrainingError(f"{path} has an entry of more than {MAX_ITEM_CHARS:,} characters.")
    if open_brackets or quoted:
        raise TrainingError(f"{path} ends in the middle of its JSON: fetch it again.")


def load_object(text: str, where: str) -> dict[str, Any]:
    """One JSON object. Raises TrainingError when it is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TrainingError(f"{where} is not valid JSON: {str(error)[:80]}.") from None
    if not isinstance(value, dict):
        raise TrainingError(f"{where} is no JSON object.")
    return value


def dig(value: object, *keys: str | int) -> Any:
    """`value[key][key]…`, or None where something on the way is missing or of another kind."""
    for key in keys:
        if isinstance(key, str) and isinstance(value, dict):
            value = value.get(key)
        elif isinstance(key, int) and isinstance(value, list) and len(value) > key:
            value = value[key]
        else:
            return None
    return value


def number(value: object) -> float | None:
    """A number that was written as one or as text; None for anything else, not-a-number included."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if found - found == 0 else None
