"""What a trace says of her page's frames: each part once, by frame, of the page's own thread only."""

from __future__ import annotations

from typing import Any

from benchmarks.stage_frames import FRAME, frames_of


def event(name: str, ts: int, cpu_us: int, dur: int | None = None, tid: int = 1) -> dict[str, Any]:
    return {"name": name, "ts": ts, "dur": dur or cpu_us, "tdur": cpu_us, "pid": 7, "tid": tid, "ph": "X"}


def test_each_part_is_counted_once_in_its_frame() -> None:
    trace = [
        event("FunctionCall", 0, 900),  # before the first frame
        event(FRAME, 1000, 2000, dur=5000),
        event("FunctionCall", 1500, 1500),  # inside the callback: counted with it
        event("Layout", 6100, 300),
        event("Paint", 6500, 400),
        event("FunctionCall", 8000, 250),  # a message that came between two frames
        event("Paint", 8100, 100, tid=2),  # another thread
        event(FRAME, 17_000, 1000),
        event("Unknown", 18_500, 4000),
        event(FRAME, 33_000, 9000),  # its end is not known
        {"name": "Layout", "ph": "I", "ts": 34_000},
    ]
    assert frames_of(trace) == [
        {"script": 2.25, "layout": 0.3, "paint": 0.4},
        {"script": 1.0, "layout": 0.0, "paint": 0.0},
    ]
    assert frames_of([event("Paint", 0, 5)]) == []
