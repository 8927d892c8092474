"""Her moods as hotkeys of the model: which one is worn, what to change, and what the model lacks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.vtube_studio import messages
from services.vtube_studio.face import MOODS
from services.vtube_studio.hotkeys import Hotkey, chosen, hotkeys_of

AGAIN_S = 1.0
MAX_TRIES = 6
"""The cooldown of a hotkey is at most five seconds."""


class Wardrobe:
    """Answers with requests to send. `table`: mood -> name of a hotkey."""

    def __init__(self, table: Mapping[str, str]) -> None:
        self._table = table
        self._hotkeys: dict[str, Hotkey] | None = None
        """None until the model's are known."""
        self._worn = "neutral"
        self._again_at: float | None = None
        self._tries = 0
        self.complaint = ""
        """One sentence: what the model lacks, or did not do; empty when all is well."""

    def forget(self) -> None:
        """Another model, or another connection: nothing is known of it."""
        self._hotkeys, self._worn = None, "neutral"
        self._again_at, self.complaint = None, ""

    def hang(self, data: Mapping[str, Any], mood: str) -> list[str]:
        """A `HotkeysInCurrentModelResponse` came. Of a new model all that is not `mood` is switched off:
        another connection, or a run that was killed, may have left it on."""
        is_new = self._hotkeys is None
        self._hotkeys = chosen(self._table, MOODS, hotkeys_of(data))
        lacking = [f"{name!r} ({mood})" for mood, name in self._table.items() if mood not in self._hotkeys]
        self.complaint = ""
        if lacking and data.get("modelLoaded"):
            self.complaint = (
                f"The model has no hotkey {', '.join(lacking)}: check vtube_studio.hotkeys, "
                "or make it in VTube Studio."
            )
        if not is_new:
            return []
        files = {hotkey.file for hotkey in self._hotkeys.values() if hotkey.is_expression}
        wanted = self._hotkeys.get(mood)
        files -= {wanted.file if wanted else ""}
        return [messages.express(file, active=False) for file in sorted(files)]

    def put_on(self, mood: str, now: float) -> list[str]:
        """Change from what is worn to `mood`; nothing when it is worn already."""
        if self._hotkeys is None:
            return []
        if mood == self._worn:
            return self._try_again(mood, now)
        old, new = self._hotkeys.get(self._worn), self._hotkeys.get(mood)
        self._worn, self._again_at, self._tries = mood, None, 0
        changes = []
        if old and old.is_expression and not (new and new.is_expression and new.file == old.file):
            changes.append(messages.express(old.file, active=False))
        return changes + ([_worn_by(new)] if new else [])

    def refused(self, error: int, sentence: str, now: float) -> list[str]:
        """The last change was refused: try again, look what the model has, or complain."""
        if error in messages.HOTKEY_LATER and self._tries < MAX_TRIES:
            self._again_at = now + AGAIN_S
            return []
        self.complaint = f"VTube Studio did not show {self._worn}: {sentence}."
        return [messages.list_hotkeys()] if error == messages.HOTKEY_GONE else []

    def _try_again(self, mood: str, now: float) -> list[str]:
        hotkey = (self._hotkeys or {}).get(mood)
        if self._again_at is None or now < self._again_at or hotkey is None:
            return []
        self._again_at = None
        self._tries += 1
        return [_worn_by(hotkey)]


def _worn_by(hotkey: Hotkey) -> str:
    # Triggered twice, an expression's hotkey takes it off again: say what is wanted instead.
    return messages.express(hotkey.file, active=True) if hotkey.is_expression else messages.trigger(hotkey.id)
