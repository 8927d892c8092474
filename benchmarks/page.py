"""Her page in a headless Chromium, and what it shows in every frame, for benchmarks."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.in_step import Change
from services.tts.audio import Floats

CLOCK_TRIES = 40
WATCH = """() => {
  const seen = globalThis.seen = { mouths: [], opening: [], words: {} };
  let last = "";
  const sum = ({ closed, ...weights }) => Object.values(weights).reduce((all, weight) => all + weight, 0);
  const look = () => {
    const now = performance.now(), puppet = akane.avatar.puppet, shown = akane.captions.shown;
    const [mouth] = Object.entries(puppet.mouth);
    if (String(mouth) !== last) seen.mouths.push([now, ...mouth]);
    last = String(mouth);
    seen.opening.push([now, sum(puppet.mouthNow)]);
    shown?.words.forEach((word, at) => {
      if (word.span.classList.contains("heard")) seen.words[`${shown.name}/${at}`] ??= now;
    });
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}"""


@contextmanager
def her_page(url: str, width: int = 1920, height: int = 1080) -> Iterator[Any]:
    """A Playwright page that has had the state. Raises RuntimeError, in a sentence, without a browser."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        raise RuntimeError("playwright is not installed (pip install -e '.[dev]')") from None
    with sync_playwright() as driver:
        path = shutil.which("chromium") or shutil.which("google-chrome") or driver.chromium.executable_path
        try:
            browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"], timeout=120_000)
        except Error as error:
            raise RuntimeError(f"Chromium does not start ({str(error).splitlines()[0]})") from None
        page = browser.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(120_000)
        page.goto(url)
        page.wait_for_selector("html[data-live=yes]", state="attached")
        yield page
        browser.close()


@dataclass(frozen=True)
class Shown:
    """What the page showed, in monotonic milliseconds."""

    mouths: list[Change]
    """What the mouth was told to be."""
    opening: Floats
    """(frames, 2): time, and how open the drawn mouth was, which follows with 40 ms of easing."""
    words: dict[str, float]
    """`turn/chunk/index` -> when it was first visible."""
    uncertain_ms: float
    """Of the page's clock."""


class Watch:
    """Looks at her page in every frame from now on.

    The page's clock becomes monotonic time by asking for `performance.now()` many times, before and after.
    Each answer was given between the question and its arrival: the quickest is right within half that time.
    """

    def __init__(self, page: Any) -> None:
        self._page = page
        self._page.evaluate(WATCH)
        self._clocks = [self._clock() for _ in range(CLOCK_TRIES)]

    def shown(self) -> Shown:
        """All so far."""
        self._clocks += [self._clock() for _ in range(CLOCK_TRIES)]
        uncertain_ms, ahead_ms = min(self._clocks)
        seen = self._page.evaluate("seen")
        mouths = [Change(at_ms + ahead_ms, (shape, float(open))) for at_ms, shape, open in seen["mouths"]]
        words = {name: at_ms + ahead_ms for name, at_ms in seen["words"].items()}
        return Shown(mouths, np.array(seen["opening"]) + np.array([ahead_ms, 0.0]), words, uncertain_ms)

    def _clock(self) -> tuple[float, float]:
        """Half the way there and back, and by how much monotonic time is ahead of the page's."""
        asked_ms = time.monotonic_ns() / 1e6
        page_ms = self._page.evaluate("performance.now()")
        half_ms = (time.monotonic_ns() / 1e6 - asked_ms) / 2
        return half_ms, asked_ms + half_ms - page_ms
