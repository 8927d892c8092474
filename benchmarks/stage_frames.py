"""What a frame of her page costs the browser's main thread, by Chromium's trace: script, layout, paint."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import Any

from benchmarks.figures import Figure, percentile
from benchmarks.page import her_page

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


def measured(url: str, play: Callable[[], object]) -> list[Figure]:
    """Her page at 1080p while `play` lasts. Raises RuntimeError, in a sentence, without a browser."""
    with her_page(url) as page:
        browser = page.context.browser
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
