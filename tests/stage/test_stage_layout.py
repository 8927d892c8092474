"""How her page is laid out at the sizes that streams have, what it is told to look like, and what it says when refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import OpenBus
from pydantic import ValidationError
from stage_helpers import TOKEN, Stage, Tab, progress, timeline, turn
from waiting import until_true

from services.stage.service import StageService
from shared.config import BusSettings, Settings, StageSettings
from shared.events import ChatMessage
from shared.service import StartError

pytest_plugins = ("stage_fixtures",)

SAYS = "I would plant a tiny red flag up there and then dance until the stars are tired!"
LAYOUT = """() => {
  const box = (name) => {
    const { left, top, right, bottom } = document.querySelector(name).getBoundingClientRect();
    return { left, top, right, bottom };
  };
  const size = (name) => parseFloat(getComputedStyle(document.querySelector(name)).fontSize);
  const figure = akane.avatar.puppet;
  const { left, top } = figure.canvas.getBoundingClientRect();
  const place = figure.ctx.getTransform();
  const at = (x, y) => {
    const point = place.transformPoint(new DOMPoint(x, y));
    return [left + point.x / devicePixelRatio, top + point.y / devicePixelRatio];
  };
  const [[faceLeft, faceTop], [faceRight, faceBottom]] = [at(-200, 300), at(200, 681)];
  return {
    page: { left: 0, top: 0, right: innerWidth, bottom: innerHeight },
    face: { left: faceLeft, top: faceTop, right: faceRight, bottom: faceBottom },
    chat: box(".chat"), status: box(".status"), captions: box(".captions .line"),
    rows: [...document.querySelectorAll(".message")].map((row) => row.getBoundingClientRect().top),
    sizes: [".captions", ".chat", ".status"].map(size),
  };
}"""
"""Boxes of her page in CSS pixels; the face from brows to chin as the puppet draws it when at rest."""


def apart(one: dict[str, float], other: dict[str, float]) -> bool:
    return (
        one["right"] <= other["left"] or other["right"] <= one["left"]
        or one["bottom"] <= other["top"] or other["bottom"] <= one["top"]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("width", "height", "sizes", "chat_width"),
    [
        (800, 600, (24.4, 13.3, 11), 240),  # what OBS offers first; the status is as small as may be
        (1920, 1080, (44, 24, 18), 460.8),
        (3840, 2160, (88, 48, 36), 921.6),
        (1080, 1920, (59.4, 32.4, 24.3), 993.6),
    ],
)
def test_words_grow_with_the_page_and_leave_her_face_alone(
    stage: Stage, open_bus: OpenBus, tab: Tab, width: int, height: int, sizes: tuple[float, ...], chat_width: float
) -> None:  # fmt: skip
    chat, tts, director = open_bus("input"), open_bus("tts"), open_bus("director")
    tab.page.set_viewport_size({"width": width, "height": height})
    page = tab.open(stage.url)
    until_true(lambda: "speech.progress" in stage.service.bus._events.topics)
    for number in range(30):
        text = "a line of the chat that is long enough to be broken"
        line = ChatMessage(id=str(number), channel="twitch", author="Mia", author_id="mia", text=text)
        chat.publish("chat.message", line)
    director.publish("turn.state", turn(1, "speaking"))
    tts.publish("speech.timeline", timeline(1, SAYS))
    tts.publish("speech.progress", progress(1, 0.1, SAYS))
    tab.until(lambda: page.locator(".message").count() == 31 and page.locator(".captions .line").count() == 1)
    found: dict[str, Any] = page.evaluate(LAYOUT)
    assert found["sizes"] == pytest.approx(sizes, abs=0.1)
    assert found["chat"]["right"] - found["chat"]["left"] == pytest.approx(chat_width, abs=1)
    parts = ("chat", "status", "captions")
    for part in parts:
        assert apart(found[part], found["face"]), (part, found)
        assert all(found[part][side] >= 0 for side in ("left", "top"))
        assert found[part]["right"] <= width
        assert found[part]["bottom"] <= height
    assert all(apart(found[one], found[other]) for one in parts for other in parts if one != other), found
    assert found["chat"]["bottom"] - found["chat"]["top"] >= 0.3 * height
    assert min(found["rows"]) < found["chat"]["top"]  # it is full, and the oldest rows leave at its top


def test_a_lone_line_of_chat_is_not_faded(stage: Stage, open_bus: OpenBus, tab: Tab) -> None:
    """The fade lies at the top of a chat that is higher than its lines."""
    chat = open_bus("input")
    page = tab.open(stage.url)
    until_true(lambda: "chat.message" in stage.service.bus._events.topics)
    line = ChatMessage(id="1", channel="twitch", author="Mia", author_id="mia", text="Hello!")
    chat.publish("chat.message", line)
    tab.until(lambda: page.locator(".message").count() == 1)
    above, fade = page.evaluate(
        """() => {
          const chat = document.querySelector(".chat");
          const above = chat.firstChild.getBoundingClientRect().top - chat.getBoundingClientRect().top;
          return [above, 2.2 * parseFloat(getComputedStyle(chat).fontSize)];
        }"""
    )
    assert above > fade


def test_a_part_alone_has_the_sizes_of_the_settings(stage: Stage, tab: Tab) -> None:
    """It cannot know how large the scene is in which it stands."""
    size = "parseFloat(getComputedStyle(document.querySelector('.alone')).fontSize)"
    for part, expected in (("captions", 44), ("chat", 24), ("status", 18)):
        assert tab.open(stage.url + part).evaluate(size) == expected


def test_her_name_is_that_of_the_persona(
    broker: BusSettings, open_bus: OpenBus, tab: Tab, tmp_path: Path
) -> None:
    file = tmp_path / "own.toml"
    file.write_text('name = "Mio <b>"\nsystem = "You are Mio."\nfallback = ["Hm."]\ncare = "Take care."\n')
    stage = Stage(broker, persona=str(file))
    tts = open_bus("tts")
    page = tab.open(stage.url + "?name=Mallory")
    until_true(lambda: "speech.progress" in stage.service.bus._events.topics)
    tts.publish("speech.progress", progress(1, 0.1, "Hello"))
    tab.until(lambda: page.locator(".hers").count() == 1)
    assert page.inner_text(".hers .author") == "Mio <b>"
    assert page.title() == "Mio <b> · index"
    page.goto(f"{stage.url}control?token={TOKEN}")
    tab.until(lambda: page.inner_text("h1") == "Mio <b>")
    stage.close()
    with pytest.raises(StartError, match="There is no persona 'nobody'"):
        Stage(broker, persona="nobody")


def test_a_page_that_is_refused_says_why(broker: BusSettings, tab: Tab) -> None:
    stage = Stage(broker, host="0.0.0.0")
    away = stage.url.replace("127.0.0.1", "0.0.0.0")  # a name that is not this machine's
    for query, says in (("", "the token is needed"), ("?token=guess", "The token is wrong")):
        tab.page.goto(away + query)
        tab.page.wait_for_selector(".notice:not([hidden])")
        assert says in tab.page.inner_text("body > .notice")
    assert all("WebSocket connection to" in error for error in tab.errors)
    tab.errors.clear()
    tab.open(f"{away}?token={TOKEN}")
    assert tab.page.locator("body > .notice").count() == 0
    stage.close()


def test_colours_of_the_puppet_have_three_digits_or_six(broker: BusSettings, tab: Tab) -> None:
    stage = Stage(broker, puppet=["eyes=#c8e", "gold=#aabbcc"])
    page = tab.open(stage.url + "?hair=35c&skin=FFEEDD")
    colours = page.evaluate("akane.avatar.puppet.colours")
    assert [colours[key] for key in ("eyes", "gold", "hair", "skin")] == [
        "#cc88ee",
        "#aabbcc",
        "#3355cc",
        "#FFEEDD",
    ]
    known = page.evaluate("import('/page/puppet/palette.js').then(({ THEME }) => Object.keys(THEME))")
    assert StageSettings(puppet=[f"{key}=#123" for key in known])
    for wrong in ("hare=#3355cc", "hair=#3355c", "hair=3355cc", "hair=#3355cc "):
        with pytest.raises(ValidationError, match="hair"):
            StageSettings(puppet=[wrong])
    stage.close()


def test_a_check_names_an_address_that_can_be_opened() -> None:
    own = StageSettings(host="0.0.0.0", port=0, token=TOKEN)
    (row,) = StageService.check(Settings(stage=own))
    assert row.ok
    assert row.detail.startswith("http://127.0.0.1:")
