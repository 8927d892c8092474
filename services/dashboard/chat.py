"""The chat: wrapped once per exchange, drawn line by line, so that a token costs one bubble and no layout."""

from __future__ import annotations

from collections.abc import Hashable

from rich.style import Style
from rich.text import Text
from textual.cache import LRUCache
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from services.dashboard.lines import exchange_lines
from services.dashboard.state import Exchange

_PAGE = 64


class Chat(ScrollView, can_focus=False):
    """Exchanges above each other; follows its end unless it was scrolled up."""

    class Following(Message):
        """Whether the end of the chat is in sight has changed."""

        def __init__(self, following: bool) -> None:
            super().__init__()
            self.following = following

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self._exchanges: tuple[Exchange, ...] = ()
        self._blocks: list[tuple[Exchange, list[Text]]] = []
        self._lines: list[Text] = []
        self._wrapped_at = 0
        self._strips: LRUCache[Hashable, Strip] = LRUCache(512)
        self._ground = Style()
        self._following = True

    @property
    def max_scroll_y(self) -> int:
        """The scroll position that shows the last line at the bottom."""
        return max(0, len(self._lines) - self.scrollable_content_region.height)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Scrolling up stops following, reaching the end starts it again."""
        super().watch_scroll_y(old_value, new_value)
        following = new_value >= self.max_scroll_y
        if new_value != old_value and following != self._following:
            self._following = following
            self.post_message(self.Following(following))

    def show(self, exchanges: tuple[Exchange, ...]) -> None:
        """Draw these; only what changed since the last call is wrapped and painted again."""
        self._exchanges = exchanges
        width = self.scrollable_content_region.width
        if width <= 0:
            return
        old = self._blocks if width == self._wrapped_at else []
        same = 0
        while same < min(len(old), len(exchanges)) and old[same][0] is exchanges[same]:
            same += 1
        if same == len(old) == len(exchanges):
            return
        self._wrapped_at = width
        known = {id(exchange): lines for exchange, lines in old[same:]}
        start = sum(len(lines) for _, lines in old[:same])
        before = self._lines[start:]
        self._blocks = old[:same]
        del self._lines[start:]
        for exchange in exchanges[same:]:
            lines = known.get(id(exchange)) or exchange_lines(exchange, width)
            self._blocks.append((exchange, lines))
            self._lines.extend(lines)
        # Growing the widget lays the whole screen out anew: it grows a pageful ahead of its lines.
        self.virtual_size = Size(width, -(-len(self._lines) // _PAGE) * _PAGE)
        self.vertical_scrollbar.window_virtual_size = len(self._lines)
        self._follow()
        pairs = zip(before, self._lines[start:], strict=False)
        start += next(
            (n for n, (a, b) in enumerate(pairs) if a != b), min(len(before), len(self._lines) - start)
        )
        top = max(0, start - self.scroll_offset.y)
        self.refresh(Region(0, top, self.size.width, max(1, self.size.height - top)))

    def on_resize(self) -> None:
        """The lines break elsewhere now."""
        self._strips.clear()
        self._ground = self.rich_style
        following = self._following  # the new size may have moved the scroll position already
        self.show(self._exchanges)
        self._following = following
        self._follow()

    def render_line(self, y: int) -> Strip:
        """Line `y` of what is in sight."""
        at = self.scroll_offset.y + y
        if at >= len(self._lines):
            return Strip.blank(self.size.width, self._ground)
        return self._painted(self._lines[at])

    def _painted(self, line: Text) -> Strip:
        """A line as cells; while a reply grows, all its lines but the last are found here again."""
        key = (line.plain, tuple(line.spans))
        strip = self._strips.get(key)
        if strip is None:
            strip = Strip(line.render(self.app.console), line.cell_len)
            strip = strip.adjust_cell_length(self.size.width, self._ground).apply_style(self._ground)
            self._strips[key] = strip
        return strip

    def _follow(self) -> None:
        if self._following:
            self.scroll_end(animate=False, immediate=True, force=True)
