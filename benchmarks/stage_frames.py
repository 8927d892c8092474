"""What a frame of her page costs the browser's main thread, by Chromium's trace: script, layout, paint."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

from benchmarks.figures import Figure, percentile

FRAME = "FireAnimationFrame"
PARTS = {
    "script": (FRAME, "FunctionCall", "EvaluateScript", "TimerFire", "RunMicrotasks", "V8.GC_SCAVENGER"),
    "layout": ("UpdateLayoutTree", "Layout", "IntersectionObserverController::computeIntersections"),
    "paint": ("PrePaint", "Paint", "Layerize", "UpdateLayer", "Commit"),
}
"""Part -> the trace's names of what belongs to it; style is counted with layout."""
_PART_OF = {name: part for part, names in PARTS.items() for name in names}
SETTLED = 60
"""Frames at the beginning that are spent on compiling and do not count."""
BAR = "at most 8"


def measured(url: str, play: Callable[[], None]) -> list[Figure]:
    """Her page at 1080p while `play` lasts. Raises RuntimeError, in a sentence, without a browser."""
    with a_browser() as browser:
        page = live_page(browser, url, 1920, 1080)
        browser.start_tracing(page=page, categories=["devtools.timeline"])
        play()
        events = json.loads(browser.stop_tracing())["traceEvents"]
    frames = frames_of(events)[SETTLED:]
    if not frames:
        raise RuntimeError("the page drew too few frames to judge: the machine is too busy")
    whole = [sum(frame.values()) for frame in frames]
    p95_ms = {part: percentile([frame[part] for frame in frames], 0.95) for part in PARTS}
    return [
        Figure("stage.frame_p50_ms", percentile(whole, 0.5), "ms"),
        Figure("stage.frame_p95_ms", percentile(whole, 0.95), "ms", target=BAR),
        *(Figure(f"stage.frame_{part}_p95_ms", value, "ms") for part, value in p95_ms.items()),
        Figure("stage.frames", len(frames), "frames"),
    ]


@contextmanager
def a_browser() -> Iterator[Any]:
    """A Chromium driven by Playwright. Raises RuntimeError, in a sentence, without one."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise RuntimeError("playwright is not installed (pip install -e '.[dev]')") from None
    with sync_playwright() as driver:
        path = shutil.which("chromium") or shutil.which("google-chrome") or driver.chromium.executable_path
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"], timeout=120_000)
        yield browser
        browser.close()


def live_page(browser: Any, url: str, width: int, height: int) -> Any:
    """A page of the stage that has had the state; sizes in pixels."""
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(120_000)
    page.goto(url)
    page.wait_for_selector("html[data-live=yes]", state="attached")
    return page


def frames_of(events: Iterable[Mapping[str, Any]]) -> list[dict[str, float]]:
    """Milliseconds of processor time (`tdur`, not the clock's: other programs do not count) of each part.

    A frame lasts from one animation callback to the next. An event inside another one is counted with it.
    """
    known = [event for event in events if event.get("name") in _PART_OF and "tdur" in event]
    callbacks = [event for event in known if event["name"] == FRAME]
    if not callbacks:
        return []
    thread = (callbacks[0]["pid"], callbacks[0]["tid"])
    own = sorted((e for e in known if (e["pid"], e["tid"]) == thread), key=lambda e: (e["ts"], -e["dur"]))
    starts = [event["ts"] for event in own if event["name"] == FRAME]
    frames = []
    at, end = 0, float("-inf")
    for first, after in pairwise(starts):
        frame = dict.fromkeys(PARTS, 0.0)
        while at < len(own) and own[at]["ts"] < after:
            event = own[at]
            at += 1
            if event["ts"] < end:
                continue
            end = event["ts"] + event["dur"]
            if event["ts"] >= first:
                frame[_PART_OF[event["name"]]] += event["tdur"] / 1000
        frames.append(frame)
    return frames
