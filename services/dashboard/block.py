"""A few styled lines: painted again when they change, laid out again when there are more or fewer."""

from __future__ import annotations

from rich.text import Text
from textual.widget import Widget


class Block(Widget):
    """Shows a Text whose lines are as wide as they may be: it does not wrap."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self._text = Text()

    def show(self, text: Text) -> None:
        """Show `text` from now on."""
        if text != self._text:
            resized = text.plain.count("\n") != self._text.plain.count("\n")
            self._text = text
            self.refresh(layout=resized)

    def render(self) -> Text:
        """What is shown."""
        return self._text
