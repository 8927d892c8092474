"""The app under Textual's own pilot: typing, streaming, scrolling, folding, and text that means harm."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from dashboard_events import SESSIONS, demo, exchange, health, message, tokens, turn
from textual.pilot import Pilot

from services.dashboard import lines
from services.dashboard.app import DashboardApp
from services.dashboard.feed import Answer, Feed
from services.dashboard.state import DashboardState, replay_all
from shared.bus import SourceLost
from shared.commands import Interrupt, Panic, Submit
from shared.events import Muted

ABOUT = {"author": "Mika", "channel": "twitch", "prompt": "hi", "message_id": "m1", "generation": "g1"}


class Screen:
    """The app as a person sees it."""

    def __init__(self, feed: Feed, app: DashboardApp, pilot: Pilot[int]) -> None:
        self.feed, self.app, self.pilot = feed, app, pilot

    @property
    def rows(self) -> list[str]:
        strips = self.app.screen._compositor.render_strips()
        return ["".join(segment.text for segment in strip) for strip in strips]

    @property
    def text(self) -> str:
        return "\n".join(self.rows)

    async def until(self, done: Callable[[], object]) -> None:
        deadline = time.monotonic() + 20
        while not done():
            assert time.monotonic() < deadline, self.text
            await self.pilot.pause(0.01)

    async def shows(self, text: str) -> None:
        await self.until(lambda: text in self.text)


def drive(script: Callable[[Screen], Awaitable[None]], width: int = 100, height: int = 30) -> DashboardApp:
    """Run `script` against an app of this size."""
    feed = Feed()
    app = DashboardApp(feed)

    async def go() -> None:
        async with app.run_test(size=(width, height)) as pilot:
            await script(Screen(feed, app, pilot))

    asyncio.run(go())
    return app


def many(count: int) -> DashboardState:
    return replay_all([item for n in range(count) for item in exchange(n, f"question {n}", f"answer {n}.")])


def test_a_typed_line_goes_out_at_once_and_the_input_is_free_again() -> None:
    async def script(screen: Screen) -> None:
        await screen.pilot.press(*"hi Akane", "enter")
        assert screen.feed.take_commands() == [Submit(text="hi Akane")]
        assert screen.app.prompt.value == ""

    drive(script)


def test_a_click_beside_the_input_does_not_take_the_keys_from_it() -> None:
    async def script(screen: Screen) -> None:
        for place in ("#chat", "#panel", "#header"):
            await screen.pilot.click(place)
        await screen.pilot.press("a", "tab", "b")
        assert screen.app.prompt.value == "ab"

    drive(script)


def test_her_reply_streams_into_the_last_bubble() -> None:
    async def script(screen: Screen) -> None:
        state = replay_all([turn("t1", 1, "thinking", **ABOUT)])
        for token in tokens("g1", "one two three", "t1", 1):
            state = replay_all([token], state)
            screen.feed.show(state)
            await screen.shows(state.exchanges[-1].reply + "▍")
        screen.feed.show(replay_all([turn("t1", 1, "done", **ABOUT, text="One, two.", end="stop")], state))
        await screen.shows("Akane  One, two.")
        assert "three" not in screen.text

    drive(script)


def test_the_chat_follows_its_end_unless_scrolled_up() -> None:
    async def script(screen: Screen) -> None:
        screen.feed.show(many(40))
        await screen.shows("answer 39.")
        await screen.pilot.press("pageup", "pageup")
        await screen.until(lambda: "answer 39." not in screen.text)
        seen = screen.app.chat.scroll_offset.y
        screen.feed.show(many(41))
        await screen.until(lambda: len(screen.app.chat._blocks) == 41)
        assert screen.app.chat.scroll_offset.y == seen
        await screen.shows("more below")
        await screen.pilot.press("pagedown", "pagedown", "pagedown")
        await screen.shows("answer 40.")
        screen.feed.show(many(42))
        await screen.shows("answer 41.")
        await screen.until(lambda: "more below" not in screen.text)

    drive(script)


def test_narrow_terminals_fold_the_figures_away_and_f3_shows_them() -> None:
    async def script(screen: Screen) -> None:
        screen.feed.show(replay_all(demo()))
        await screen.shows("process   state")
        await screen.pilot.resize_terminal(80, 24)
        await screen.until(lambda: "process   state" not in screen.text)
        assert "135 M parameters  48.1 tok/s" in screen.text
        assert "lighthouse" in screen.text
        await screen.pilot.press("f3")
        await screen.shows("process   state")
        await screen.pilot.press("f3")
        await screen.shows("lighthouse")
        await screen.pilot.resize_terminal(200, 60)
        await screen.shows("process   state")
        await screen.shows("lighthouse")

    drive(script)


def test_the_smallest_windows_draw_without_an_error() -> None:
    async def script(screen: Screen) -> None:
        screen.feed.show(replay_all(demo()))
        for size in ((10, 4), (1, 1), (40, 8), (90, 3), (120, 40)):
            await screen.pilot.resize_terminal(*size)
        await screen.shows("lighthouse")

    assert drive(script).return_code in (0, None)


def test_resizing_wraps_again_and_keeps_to_the_end() -> None:
    async def script(screen: Screen) -> None:
        words = " ".join(f"word{n}" for n in range(60))
        screen.feed.show(replay_all([*exchange(1, "q", "First."), *exchange(2, "q", words)]))
        await screen.shows("word59")
        for size in ((60, 12), (140, 12), (95, 14)):
            await screen.pilot.resize_terminal(*size)
            await screen.shows("word59")

    drive(script)


def test_markup_and_escape_codes_are_only_text() -> None:
    async def script(screen: Screen) -> None:
        hostile = "[bold red]x[/] [@click=app.leave]go[/] \x1b[2J\x1b]0;title\x07 \u202eabc $var {x}"
        screen.feed.show(replay_all(exchange(1, hostile, hostile, author="[b]\x1b[31mEve", channel="twitch")))
        await screen.shows("[bold red]x[/] [@click=app.leave]go[/]")
        assert not any(
            ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c == "\u202e" for row in screen.rows for c in row
        )
        assert "b" + "Eve" in screen.text
        screen.feed.answer(Answer(Submit(text="x"), None, "[red]no[/] \x1b[31mwhy"))
        await screen.shows("[red]no[/] why")

    drive(script)


def test_a_refused_line_comes_back_with_the_reason() -> None:
    async def script(screen: Screen) -> None:
        await screen.pilot.press(*"bad", "enter")
        screen.feed.answer(Answer(Submit(text="bad"), None, "That line is on the block-list."))
        await screen.shows("That line is on the block-list.")
        assert screen.app.prompt.value == "bad"
        await screen.pilot.press("x")
        await screen.until(lambda: "block-list" not in screen.text)

    drive(script)


def test_a_refused_line_does_not_overwrite_the_next_one() -> None:
    async def script(screen: Screen) -> None:
        await screen.pilot.press(*"bad", "enter", *"nex")
        screen.feed.answer(Answer(Submit(text="bad"), None, "No."))
        await screen.shows("No.")
        await screen.pilot.press("t")
        assert screen.app.prompt.value == "next"

    drive(script)


def test_a_line_typed_before_the_screen_was_there_is_sent_by_its_line_feed() -> None:
    async def script(screen: Screen) -> None:
        await screen.pilot.press(*"hi", "ctrl+j", *"and")
        assert screen.app.prompt.value == "and"
        (sent,) = screen.feed.take_commands()
        assert isinstance(sent, Submit)
        assert sent.text == "hi"

    drive(script)


def test_a_line_over_the_limit_stays_in_the_input() -> None:
    async def script(screen: Screen) -> None:
        screen.app.prompt.value = "x" * 2001
        await screen.pilot.press("enter")
        await screen.shows("2,001 characters; at most 2,000 fit")
        assert screen.feed.take_commands() == []
        assert len(screen.app.prompt.value) == 2001

    drive(script)


def test_up_and_down_walk_the_history_and_keep_what_was_being_typed() -> None:
    async def script(screen: Screen) -> None:
        await screen.pilot.press(*"one", "enter", *"two", "enter", *"thr", "up")
        assert screen.app.prompt.value == "two"
        await screen.pilot.press("up", "up")
        assert screen.app.prompt.value == "one"
        await screen.pilot.press("down", "down", "down")
        assert screen.app.prompt.value == "thr"

    drive(script)


def test_several_pasted_lines_become_one() -> None:
    async def script(screen: Screen) -> None:
        from textual.events import Paste

        screen.app.prompt.post_message(Paste("first\nsecond\r\n  third"))
        await screen.until(lambda: screen.app.prompt.value == "first second third")

    drive(script)


def test_keys_interrupt_and_mute() -> None:
    async def script(screen: Screen) -> None:
        await screen.pilot.press("escape", "ctrl+x", "f2")
        sent = screen.feed.take_commands()
        assert [type(command) for command in sent] == [Interrupt, Interrupt, Panic]
        assert sent[2] == Panic(muted=True)
        screen.feed.show(replay_all([message(Muted(muted=True))]))
        await screen.shows("MUTED")
        await screen.pilot.press("ctrl+p")
        (unmute,) = screen.feed.take_commands()
        assert unmute == Panic(muted=False)
        screen.feed.show(replay_all([message(Muted(muted=False))]))
        await screen.until(lambda: "MUTED" not in screen.text)

    drive(script)


def test_she_is_shown_muted_whoever_did_it_and_after_her_director_died() -> None:
    async def script(screen: Screen) -> None:
        lost = SourceLost("director", SESSIONS["director"])
        screen.feed.show(replay_all([health("director"), message(Muted(muted=True)), lost]))
        await screen.shows("MUTED")
        assert any(
            "MUTED" in segment.text and segment.style and segment.style.color.name == lines.BAD
            for strip in screen.app.screen._compositor.render_strips()
            for segment in strip
        )
        await screen.pilot.press("f2")
        assert screen.feed.take_commands() == [Panic(muted=False)]

    drive(script)


def test_clear_empties_this_screen_and_the_next_exchange_appears() -> None:
    async def script(screen: Screen) -> None:
        screen.feed.show(many(3))
        await screen.shows("answer 2.")
        await screen.pilot.press("ctrl+l")
        await screen.until(lambda: "answer" not in screen.text)
        screen.feed.show(many(4))
        await screen.shows("answer 3.")
        assert "answer 2." not in screen.text

    drive(script)


def test_every_farewell_leaves_with_zero() -> None:
    for keys in (["ctrl+c"], ["ctrl+q"], [*"quit", "enter"], [*"EXIT", "enter"], ["q", "enter"]):

        async def script(screen: Screen, keys: list[str] = keys) -> None:
            await screen.pilot.press(*keys)
            assert screen.feed.take_commands() == []

        assert drive(script).return_code == 0


def test_the_end_of_the_show_leaves_with_zero() -> None:
    async def script(screen: Screen) -> None:
        screen.feed.close()
        await screen.until(lambda: screen.app._exit)

    assert drive(script).return_code == 0


def test_six_hundred_states_a_second_cost_twenty_drawings() -> None:
    drawn = 0

    async def script(screen: Screen) -> None:
        nonlocal drawn
        show = screen.app.chat.show

        def counted(*args: object) -> None:
            nonlocal drawn
            drawn += 1
            show(*args)  # type: ignore[arg-type]

        screen.app.chat.show = counted  # type: ignore[method-assign]
        state = replay_all([turn("t1", 1, "thinking", **ABOUT)])
        began = time.monotonic()
        for token in tokens("g1", " ".join(["la"] * 60), "t1", 1):
            state = replay_all([token], state)
            screen.feed.show(state)
            await screen.pilot.pause(0)
        await screen.shows("la▍")
        await screen.until(lambda: screen.app.chat._blocks[-1][0] is state.exchanges[-1])
        assert drawn <= 20 * (time.monotonic() - began) + 2

    drive(script)
    assert drawn > 0
