"""Which hotkey of the model shows a mood."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

EXPRESSION = "ToggleExpression"
MAX_HOTKEYS = 1_000


@dataclass(frozen=True)
class Hotkey:
    """One of a model's hotkeys; `file` is that of its expression or animation, if it has one."""

    id: str
    name: str
    kind: str
    file: str

    @property
    def is_expression(self) -> bool:
        """It switches an expression on and off: she can have it as long as the mood lasts."""
        return self.kind == EXPRESSION and bool(self.file)


def hotkeys_of(data: Mapping[str, Any]) -> list[Hotkey]:
    """Those of a `HotkeysInCurrentModelResponse`; what has no id is left out."""
    listed = data.get("availableHotkeys")
    if not isinstance(listed, list):
        return []
    entries = [entry for entry in listed[:MAX_HOTKEYS] if isinstance(entry, dict)]
    texts = [[_text(entry, field) for field in ("hotkeyID", "name", "type", "file")] for entry in entries]
    return [Hotkey(id, name, kind, file) for id, name, kind, file in texts if id]


def _text(entry: Mapping[str, Any], field: str) -> str:
    value = entry.get(field)
    return value if isinstance(value, str) else ""


def table_of(lines: Iterable[str]) -> dict[str, str]:
    """`happy=Smile` lines of the settings -> mood to name (or id) of a hotkey."""
    return {mood: name.strip() for mood, _, name in (line.partition("=") for line in lines)}


def chosen(table: Mapping[str, str], moods: Iterable[str], hotkeys: Iterable[Hotkey]) -> dict[str, Hotkey]:
    """Mood -> hotkey: the one the table names, else one that is called like the mood, in any case."""
    named: dict[str, Hotkey] = {}
    for hotkey in hotkeys:
        named.setdefault(hotkey.name.casefold(), hotkey)  # of equal names VTube Studio takes the first
        named.setdefault(hotkey.id.casefold(), hotkey)
    found = ((mood, named.get(table.get(mood, mood).casefold())) for mood in moods)
    return {mood: hotkey for mood, hotkey in found if hotkey is not None}
