"""The input line: one line of text, with a history on the up and down keys."""

from __future__ import annotations

from textual import events
from textual.widgets import Input

HISTORY_LIMIT = 200


class History:
    """Lines sent before; what is being typed waits at the end while one looks back."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._at = 0
        self._typed = ""

    def add(self, line: str) -> None:
        """Remember a line that was sent."""
        if not self._lines or self._lines[-1] != line:
            self._lines = [*self._lines, line][-HISTORY_LIMIT:]
        self._at, self._typed = len(self._lines), ""

    def move(self, steps: int, typed: str) -> str:
        """The line `steps` on from here (negative: older); `typed` is what the input holds now."""
        if self._at == len(self._lines):
            self._typed = typed
        self._at = max(0, min(len(self._lines), self._at + steps))
        return self._typed if self._at == len(self._lines) else self._lines[self._at]


class Prompt(Input):
    """Textual's input with a history; several pasted lines become one."""

    # What is typed while the model loads, before there is a screen, comes with line feeds for the return key.
    BINDINGS = [("up", "recall(-1)"), ("down", "recall(1)"), ("ctrl+j", "submit")]

    def __init__(self, id: str) -> None:
        super().__init__(id=id, placeholder="say something to Akane", select_on_focus=False)
        self.history = History()
        self.cursor_blink = False

    def action_recall(self, steps: int) -> None:
        """Show an older (-1) or newer (1) line."""
        self.value = self.history.move(steps, self.value)
        self.cursor_position = len(self.value)

    def _on_paste(self, event: events.Paste) -> None:
        event.prevent_default()
        event.stop()
        start, end = self.selection
        self.replace(" ".join(event.text.split()), min(start, end), max(start, end))
