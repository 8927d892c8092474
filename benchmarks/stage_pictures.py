"""Pictures of her page as viewers see it: each expression in three sizes and on a sheet, or one scene."""

from __future__ import annotations

import argparse
import base64
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.page import her_page
from benchmarks.stage import running_stage
from shared.bus import Bus
from shared.events import ChatMessage, Mood, Mouth, Progress, Timeline, TurnState, Word
from shared.mood_model import MOODS

SIZES = (1080, 400, 200)
"""Pixels; she is as wide as her page is high."""
FREEZE = """([mood, mouth]) => {
  const { moodsNow, mouthNow, closing, peek } = akane.avatar.puppet;
  const is_steady = moodsNow[mood] > 0.95 && closing === 0 && peek < 0.02 && mouthNow.A >= mouth;
  if (is_steady) akane.avatar.update = () => {};
  return is_steady;
}"""
"""She stays as she stands once her mood is on her face, between two blinks, the mouth open so far."""
BACKGROUND = "2c2531"
PATIENCE_S = 60.0
WORD_S = 0.3
CHAT = (
    ("Mia", "Evening, Akane!"),
    ("kofi_tan", "the moon looks huge from my window"),
    ("Jonas", "what would you do up there?"),
)
SAYS = "I would plant a tiny red flag and dance!"
SHEET = """
<style>
  body { margin: 0; padding: 6px; background: #fff; }
  body { display: grid; grid-template-columns: repeat(4, auto); gap: 6px; }
  figure { margin: 0; position: relative; font: 600 14px sans-serif; }
  img { display: block; }
  figcaption { position: absolute; left: 8px; bottom: 6px; color: #fff; }
</style>
"""


def expressions(folder: Path) -> None:
    """Writes MOOD-SIZE.png into `folder`, and `expressions.png`, the smallest ones on one sheet."""
    folder.mkdir(parents=True, exist_ok=True)
    with running_stage() as (url, _, buses):
        for size in SIZES:
            place = f"{url}?hide=chat,captions,status&background={BACKGROUND}"
            with her_page(place, size, size) as page:
                for mood in MOODS:
                    buses["director"].publish("avatar.mood", Mood(mood=mood))
                    _until(lambda page=page, mood=mood: page.evaluate(FREEZE, [mood, 0]))  # type: ignore[misc]
                    page.screenshot(path=folder / f"{mood}-{size}.png")
                    page.reload()
                    page.wait_for_selector("html[data-live=yes]", state="attached")
                if size == SIZES[-1]:
                    _sheet(page.context.browser, folder)


def _sheet(browser: Any, folder: Path) -> None:
    sheet = browser.new_page(viewport={"width": 4 * 206 + 6, "height": 2 * 206 + 6})
    sheet.set_content(SHEET + "".join(_card(folder, mood) for mood in MOODS))
    sheet.screenshot(path=folder / "expressions.png")


def _until(look: Callable[[], Any]) -> None:
    """Raises RuntimeError when her page does not come to look so."""
    deadline = time.monotonic() + PATIENCE_S
    while not look():
        if time.monotonic() > deadline:
            raise RuntimeError(f"her page did not get there within {PATIENCE_S:.0f} s")


def _card(folder: Path, mood: str) -> str:
    raw = base64.b64encode((folder / f"{mood}-{SIZES[-1]}.png").read_bytes()).decode()
    return f'<figure><img src="data:image/png;base64,{raw}"><figcaption>{mood}</figcaption></figure>'


def scene(file: Path, width: int, height: int) -> None:
    """Her page while she answers the last of three lines."""
    with (
        running_stage() as (url, _, buses),
        her_page(f"{url}?background={BACKGROUND}", width, height) as page,
    ):
        _answer(buses, page)
        page.screenshot(path=file)


def _answer(buses: dict[str, Bus], page: Any) -> None:
    """Publish a turn, and hold its last open mouth until that is drawn."""
    said: dict[str, Any] = {"turn": "t", "epoch": time.time_ns() // 1_000_000}
    for number, (author, text) in enumerate(CHAT):
        line = ChatMessage(id=str(number), channel="twitch", author=author, author_id=author, text=text)
        buses["input"].publish("chat.message", line)
    _until(lambda: page.locator(".message").count() == len(CHAT))
    tts, director, spoken = buses["tts"], buses["director"], SAYS.split()
    words = [Word(text=word, start_s=n * WORD_S, end_s=(n + 1) * WORD_S) for n, word in enumerate(spoken)]
    length_s = len(words) * WORD_S
    director.publish("turn.state", TurnState(**said, phase="speaking"))
    director.publish("avatar.mood", Mood(**said, mood="excited"))
    chunk: dict[str, Any] = {**said, "chunk": 0}
    plan = Timeline(
        **chunk, text=SAYS, mood="excited", duration_s=length_s, sample_rate_hz=24_000, words=words
    )
    tts.publish("speech.timeline", plan)
    began = time.monotonic()

    def has_spoken() -> Any:
        now_s = time.monotonic() - began
        position_s = min(now_s, length_s)
        heard = round(position_s / WORD_S)
        step = Progress(**chunk, position_s=position_s, words_heard=heard, heard=" ".join(spoken[:heard]))
        tts.publish("speech.progress", step)
        tts.publish("avatar.mouth", Mouth(**said, shape="A", openness=0.8, position_s=position_s))
        for bus in buses.values():
            bus.poll(0.01)
        return now_s > length_s and page.evaluate(FREEZE, ["excited", 0.5])

    _until(has_spoken)


def main() -> None:
    """`python -m benchmarks.stage_pictures expressions FOLDER`, or `scene FILE [--size WIDTH HEIGHT]`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stage_pictures", description=__doc__)
    parser.add_argument("what", choices=("expressions", "scene"))
    parser.add_argument("path", type=Path)
    parser.add_argument("--size", type=int, nargs=2, default=(1280, 720), help="of a scene, in pixels")
    given = parser.parse_args()
    if given.what == "expressions":
        expressions(given.path)
    else:
        scene(given.path, *given.size)


if __name__ == "__main__":
    main()
