"""What viewers must not see leaves her page for good: lines taken back, and lines that break the block-list."""

from __future__ import annotations

from typing import Any

from conftest import OpenBus
from stage_helpers import Stage, Tab, line, progress, timeline, turn

from shared.events import ChatRetracted, TurnState

pytest_plugins = ("stage_fixtures",)


def test_what_is_taken_back_goes_and_stays_away(stage: Stage, open_bus: OpenBus, tab: Tab) -> None:
    chat, director = open_bus("input"), open_bus("director")
    page = tab.open(stage.url + "chat")
    for name, author in (("1", "Bo"), ("2", "Mallory"), ("3", "Mallory")):
        chat.publish("chat.message", line(name, f"line {name}", author))
    tab.until(lambda: page.locator(".message").count() == 3)
    chat.publish("chat.retracted", ChatRetracted(channel="twitch", author_id="Mallory", reason="banned"))
    tab.until(lambda: page.inner_text(".chat") == "Boline 1")
    director.publish("turn.state", turn(2, "speaking", prompt="line 2", author="Mallory", message_id="2"))
    director.publish(
        "turn.state", turn(2, "done", "t9", end="stop", prompt="line 4", message_id="4", heard="Yes!")
    )
    tab.until(lambda: "Yes!" in page.inner_text(".chat"))
    assert "line 2" not in page.inner_text(".chat")


def answered(number: int, author: str, **fields: Any) -> TurnState:
    """A line and her answer to it."""
    about = {"channel": "twitch", "author": author, "author_id": author, "message_id": f"m{number}"}
    text = {"prompt": f"line {number}", "text": f"reply {number}", "heard": f"reply {number}", "end": "stop"}
    return turn(number, "done", f"t{number}", **{**about, **text, **fields})


def test_after_a_reload_a_ban_still_takes_lines_and_answers(
    stage: Stage, open_bus: OpenBus, tab: Tab
) -> None:
    """OBS loads the page anew whenever its scene is shown: all that it knows then is what is retained."""
    chat, director, tts = open_bus("input"), open_bus("director"), open_bus("tts")
    page = tab.open(stage.url + "chat")
    for number, author in ((1, "Bo"), (2, "Mallory"), (3, "Eve"), (4, "Mallory")):
        chat.publish("chat.message", line(f"m{number}", f"line {number}", author))
        director.publish("turn.state", answered(number, author))
    tab.until(lambda: page.locator(".message").count() == 8)
    page = tab.open(stage.url + "chat")
    assert page.locator(".message").count() == 8
    chat.publish("chat.retracted", ChatRetracted(channel="twitch", author_id="Mallory", reason="banned"))
    tab.until(lambda: page.locator(".message").count() == 4)
    chat.publish("chat.retracted", ChatRetracted(channel="twitch", message_id="m3", reason="deleted"))
    tab.until(lambda: page.inner_text(".chat") == "Boline 1\nAkanereply 1")
    director.publish(
        "turn.state", turn(5, "speaking", "t5", message_id="m5", channel="twitch", author_id="Z")
    )
    tab.until(lambda: page.evaluate("akane.feed.epoch") == 5)
    chat.publish("chat.retracted", ChatRetracted(channel="twitch", reason="cleared"))
    tab.until(lambda: page.locator(".message").count() == 0)
    tts.publish("speech.progress", progress(5, 0.2, "still on its way", name="t5"))
    director.publish("turn.state", answered(6, "Bo"))
    tab.until(lambda: page.locator(".message").count() == 2)
    assert "line 6" in page.inner_text(".chat")
    assert "on its way" not in page.inner_text(".chat")


def test_captions_of_a_turn_that_was_over_go_when_it_is_taken_back(
    stage: Stage, open_bus: OpenBus, tab: Tab
) -> None:
    """After her last word they stay for a moment, for who reads slowly."""
    director, tts = open_bus("director"), open_bus("tts")
    page = tab.open(stage.url + "captions")

    def shown() -> bool:
        tts.publish("speech.timeline", timeline(1, "So rude"))
        tts.publish("speech.progress", progress(1, 0.9, "So rude"))
        tts.poll(0.02)
        return bool(page.inner_text(".captions") == "So rude")

    tab.until(shown)
    page.evaluate(
        """() => {
          window.states = 0;
          const call = akane.feed.call.bind(akane.feed);
          akane.feed.call = (name, ...given) => { call(name, ...given); if (name === "turn.state") states += 1; };
        }"""
    )
    director.publish("turn.state", turn(1, "done", "another", end="retracted"))
    director.publish("turn.state", turn(1, "done", end="stop", message_id="m1"))
    tab.until(lambda: page.evaluate("states") == 2)
    assert page.inner_text(".captions") == "So rude"
    director.publish("turn.state", turn(1, "done", end="retracted", message_id="m1"))
    tab.until(lambda: page.inner_text(".captions") == "")


def test_a_line_that_breaks_the_block_list_is_never_shown(stage: Stage, open_bus: OpenBus, tab: Tab) -> None:
    chat, director = open_bus("input"), open_bus("director")
    page = tab.open(stage.url + "chat")
    page.evaluate(
        """() => {
          window.shown = [];
          new MutationObserver(() => shown.push(document.body.textContent))
            .observe(document.body, { childList: true, subtree: true, characterData: true });
        }"""
    )
    for number, author in ((1, "foul name"), (2, "Sam")):
        foul = line(f"m{number}", f"foul {number}", author).model_copy(update={"rule": "profanity"})
        chat.publish("chat.message", foul)
    refused = {"prompt": "foul 1", "rule": "profanity", "text": "", "heard": "", "end": "refused"}
    director.publish("turn.state", answered(1, "foul name", **refused))
    care = {"prompt": "foul 2", "rule": "self_harm", "end": "refused"}  # answered with words of care
    for phase in ("thinking", "speaking", "done"):
        director.publish("turn.state", answered(2, "Sam", **care).model_copy(update={"phase": phase}))
    unanswered = {"text": "", "heard": "", "end": "refused"}
    chat.publish("chat.message", line("m3", "line 3", "Bo"))
    director.publish("turn.state", answered(3, "Bo", **unanswered))  # muted, or the queue was full
    tab.until(lambda: page.locator(".message").count() == 2)
    assert sorted(page.inner_text(".chat").splitlines()) == ["Akanereply 2", "Boline 3"]
    seen = "".join(page.evaluate("shown"))
    assert "reply 2" in seen
    assert "foul" not in seen
    page = tab.open(stage.url + "chat")  # nor after a reload
    assert page.inner_text(".chat") == "Akanereply 2"
