"""The screen: chat on the left, figures and health on the right, the input line below."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.driver import Driver
from textual.events import Resize
from textual.widgets import Input

from services.dashboard import lines
from services.dashboard.block import Block
from services.dashboard.chat import Chat
from services.dashboard.feed import Answer, Feed
from services.dashboard.prompt import Prompt
from services.dashboard.state import DashboardState
from services.dashboard.words import printable
from shared.commands import MAX_TEXT_CHARS, Command, Interrupt, Panic, Submit

CHAT_PERIOD_S = 1 / 20
PANEL_PERIOD_S = 1.0
WIDE_COLUMNS = 90
PANEL_COLUMNS = 42
BLOCKS = ("header", "summary", "below", "waiting", "panel", "notice", "hints")
FAREWELLS = ("quit", "exit", "q")
HINTS = (("Enter", "send"), ("Esc", "interrupt"), ("F2", "mute"), ("PgUp/PgDn", "scroll"), ("^C", "quit"),
         ("^L", "clear"), ("^Z", "suspend"))  # fmt: skip
NARROW_HINTS = (*HINTS[:4], ("F3", "figures"), *HINTS[4:])


class DashboardApp(App[int]):
    """Draws the feed's newest state, at most 20 times a second, and hands what is typed to it."""

    CSS = f"""
    Screen {{ background: {lines.GROUND}; color: {lines.INK}; layout: vertical; overflow: hidden; }}
    #header, #summary, #hints, #notice {{ height: 1; width: 100%; }}
    #header {{ background: #1e1416; }}
    #summary {{ background: #1e1416; display: none; }}
    #notice {{ color: {lines.WARN}; padding: 0 1; display: none; height: auto; max-height: 3; }}
    #middle {{ height: 1fr; }}
    #left {{ width: 1fr; height: 100%; }}
    #chat {{ height: 1fr; padding: 0 1; overflow-x: hidden; overflow-y: scroll; scrollbar-size-vertical: 1;
        scrollbar-color: #5a2a30; scrollbar-color-hover: {lines.MADDER};
        scrollbar-color-active: {lines.MADDER};
        scrollbar-background: {lines.GROUND}; scrollbar-background-hover: {lines.GROUND};
        scrollbar-background-active: {lines.GROUND}; }}
    #below {{ height: 1; padding: 0 1; display: none; }}
    #waiting {{ height: auto; max-height: 3; padding: 0 1; display: none; }}
    #side {{ width: {PANEL_COLUMNS}; height: 100%; padding: 0 1; border-left: vkey #3a2629; overflow-y: auto;
        scrollbar-size-vertical: 1; }}
    #panel {{ height: auto; }}
    #prompt {{ height: 3; border: round #7c2f38; background: {lines.GROUND}; padding: 0 1; }}
    #prompt:focus {{ border: round {lines.MADDER}; background-tint: {lines.GROUND} 0%; }}
    .narrow #summary {{ display: block; }}
    .narrow #side {{ display: none; }}
    .narrow.figures #side {{ display: block; width: 1fr; border-left: none; }}
    .narrow.figures #left {{ display: none; }}
    """
    ENABLE_COMMAND_PALETTE = False
    BINDINGS = [
        Binding("ctrl+c,ctrl+q", "leave", priority=True),
        Binding("escape,ctrl+x", "interrupt", priority=True),
        Binding("f2,ctrl+p", "panic", priority=True),
        Binding("f3", "figures", priority=True),
        Binding("ctrl+l", "clear", priority=True),
        Binding("ctrl+z", "suspend_process", priority=True),
        Binding("pageup", "scroll_chat(-1)", priority=True),
        Binding("pagedown", "scroll_chat(1)", priority=True),
        Binding("ctrl+end", "follow", priority=True),
    ]

    def __init__(self, feed: Feed, driver_class: type[Driver] | None = None) -> None:
        super().__init__(driver_class=driver_class)
        self.feed = feed
        self.animation_level = "none"
        self.chat = Chat("chat")
        self.prompt = Prompt("prompt")
        self._blocks = {id: Block(id) for id in BLOCKS}
        self._chat_pace = Pace(self, CHAT_PERIOD_S, self._draw_chat)
        self._panel_pace = Pace(self, PANEL_PERIOD_S, self._draw_panel)
        self._state = DashboardState()
        self._hidden: frozenset[str] = frozenset()

    def compose(self) -> ComposeResult:
        """The widgets, top to bottom."""
        yield self._blocks["header"]
        yield self._blocks["summary"]
        with Horizontal(id="middle"):
            with Vertical(id="left"):
                yield self.chat
                yield self._blocks["below"]
                yield self._blocks["waiting"]
            with Vertical(id="side"):
                yield self._blocks["panel"]
        yield self._blocks["notice"]
        yield self.prompt
        yield self._blocks["hints"]

    def on_mount(self) -> None:
        """Start listening to the feed."""
        self.prompt.focus()
        self._event_loop = asyncio.get_running_loop()
        self.feed.notify = self._notified
        self._take()

    def on_resize(self, event: Resize) -> None:
        """Below 90 columns the right side folds into a line under the header."""
        width = event.size.width
        self.screen.set_class(width < WIDE_COLUMNS, "narrow")
        self._draw_panel()
        self._blocks["hints"].show(lines.hints(width, NARROW_HINTS if width < WIDE_COLUMNS else HINTS))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Send the line; it leaves the input at once and comes back when it is refused."""
        text = event.value.strip()
        if not text:
            return
        if text.lower() in FAREWELLS:
            self.action_leave()
            return
        if len(text) > MAX_TEXT_CHARS:
            self._say(f"That line has {len(text):,} characters; at most {MAX_TEXT_CHARS:,} fit: shorten it.")
            return
        self._say("")
        self.prompt.history.add(text)
        self.prompt.value = ""
        self.chat.scroll_end(animate=False)
        self.feed.send(Submit(text=text))

    def on_input_changed(self) -> None:
        """A sentence about the last line has been read by then."""
        if self.prompt.value:
            self._say("")

    def on_chat_following(self, event: Chat.Following) -> None:
        """While she goes on below what is in sight, say so."""
        below = self._blocks["below"]
        below.show(Text("▼ more below: PgDn, or Ctrl-End to follow", lines.MADDER, no_wrap=True))
        below.display = not event.following

    def action_leave(self) -> None:
        """End the show: exit code 0 tells the launcher so."""
        self.exit(0)

    def action_interrupt(self) -> None:
        """Have her stop talking now."""
        self.feed.send(Interrupt(reason="the terminal"))

    def action_panic(self) -> None:
        """Mute her at once, or let her speak again."""
        self.feed.send(Panic(muted=not self._state.muted))

    def action_figures(self) -> None:
        """In a narrow terminal: the figures instead of the chat, and back."""
        self.screen.toggle_class("figures")

    def action_clear(self) -> None:
        """Empty the chat on this screen; nobody else's."""
        self._hidden = frozenset(e.turn for e in self._state.exchanges if not e.live)
        self._draw_chat()

    def action_scroll_chat(self, pages: int) -> None:
        """A page up (-1) or down (1)."""
        self.chat.scroll_relative(y=pages * max(1, self.chat.size.height - 2), animate=False)

    def action_follow(self) -> None:
        """To the end of the chat, and stay there."""
        self.chat.scroll_end(animate=False)

    def _notified(self) -> None:
        """Called by the bus thread."""
        # Not call_later alone: from a signal handler (SIGTERM) that would not wake the event loop.
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody draws any more
            self._event_loop.call_soon_threadsafe(self.call_later, self._take)

    def _take(self) -> None:
        if self.feed.closed:
            self.exit(0)
            return
        for answer in self.feed.take_answers():
            self._answered(answer)
        state, before = self.feed.take_state(), self._state
        self._state = state
        if state.exchanges is not before.exchanges or state.waiting is not before.waiting:
            self._chat_pace.run()
        self._panel_pace.run(now=(state.phase, state.muted) != (before.phase, before.muted))

    def _answered(self, answer: Answer) -> None:
        command: Command = answer.command
        if answer.reply is None:
            self._say(answer.sentence)
            if isinstance(command, Submit) and not self.prompt.value:
                with self.prevent(Input.Changed):
                    self.prompt.value = command.text
                self.prompt.cursor_position = len(command.text)

    def _say(self, sentence: str) -> None:
        notice = self._blocks["notice"]
        notice.display = bool(sentence)
        notice.show(Text("\n").join(lines.wrap(Text(printable(sentence)), self.size.width - 2)))

    def _draw_chat(self) -> None:
        exchanges = self._state.exchanges
        if self._hidden:
            exchanges = tuple(e for e in exchanges if e.turn not in self._hidden)
        self.chat.show(exchanges)
        waiting = lines.waiting_lines(self._state, self.chat.size.width - 1)
        self._blocks["waiting"].show(Text("\n").join(waiting))
        self._blocks["waiting"].display = bool(waiting)

    def _draw_panel(self) -> None:
        width = self.size.width
        self._blocks["header"].show(lines.header(self._state, width))
        if width < WIDE_COLUMNS:
            self._blocks["summary"].show(lines.summary(self._state, width))
        self._blocks["panel"].show(lines.panel(self._state, PANEL_COLUMNS - 4))


class Pace:
    """Runs `work` at most once per `period_s`, and always once after the last call.

    Where drawing takes long (a very long reply, a machine that is busy generating) it rests three times
    as long, so that a key mostly finds the app idle.
    """

    def __init__(self, app: App[int], period_s: float, work: Callable[[], None]) -> None:
        self._app, self._period_s, self._work = app, period_s, work
        self._due_at = 0.0
        self._waiting = False

    def run(self, now: bool = False) -> None:
        """`work` now if it has rested long enough (or `now`), else when it has."""
        if self._waiting and not now:
            return
        rest_s = 0.0 if now else self._due_at - time.monotonic()
        if rest_s <= 0:
            self._do()
        else:
            self._waiting = True
            self._app.set_timer(rest_s, self._due)

    def _due(self) -> None:
        if self._waiting:
            self._waiting = False
            self.run()

    def _do(self) -> None:
        self._waiting = False
        began = time.monotonic()
        self._due_at = began + self._period_s
        self._work()
        self._app.call_after_refresh(self._painted, began)

    def _painted(self, began: float) -> None:
        now = time.monotonic()
        self._due_at = max(began + self._period_s, now + 3 * (now - began))
