"""SRT, WebVTT and YouTube's JSON3 subtitles, read into cues."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from training.errors import TrainingError
from training.transcripts.json_items import dig, items, number
from training.transcripts.reading import in_order, read_chunks, read_head, read_lines
from training.transcripts.records import Cue

MAX_CUE_CHARS = 2_000
_TIME = r"(-?)(?:(\d{1,4}):)?(\d{1,2}):(\d{2})[,.](\d{1,3})"
_TIMING = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}(?:\s.*)?$")
_LIKE_TIMING = re.compile(r"\s*-?\d+:\S*\s*-->")


def read_subtitles(path: Path) -> list[Cue]:
    """All cues in order of time. Raises TrainingError, in one sentence, for anything else than subtitles."""
    if read_head(path).startswith("{"):
        found = parse_json3(items(read_chunks(path), "events", path), path)
    else:
        found = parse_cues(read_lines(path), path)
    return in_order(found, lambda cue: cue.start_s, path, "subtitles")


def parse_cues(lines: Iterable[str], path: Path) -> Iterator[Cue]:
    """Cues of SRT or WebVTT: a line of times, then text until an empty line.

    Whatever lies outside of a cue (numbers, WEBVTT, NOTE, STYLE and REGION blocks) is passed over.
    """
    times: tuple[float, float] | None = None
    text: list[str] = []
    n_chars = 0
    for at, line in enumerate(lines, 1):
        timing = _TIMING.match(line)
        if timing:
            if text and text[-1].strip().isdigit():
                text.pop()  # the number of this cue, where no empty line stands before it
            if times and text:
                yield Cue(*times, "\n".join(text))
            times, text, n_chars = _times(timing, f"{path} line {at}"), [], 0
        elif _LIKE_TIMING.match(line):
            raise TrainingError(
                f"{path} line {at} has times that cannot be read: write 00:01:02,345 --> 00:01:04,000."
            )
        elif line == "":
            if times and text:
                yield Cue(*times, "\n".join(text))
            times, text = None, []
        elif times and line.strip():
            text.append(line)
            n_chars += len(line)
            if n_chars > MAX_CUE_CHARS:
                raise TrainingError(
                    f"{path} line {at}: a subtitle is longer than {MAX_CUE_CHARS:,} characters."
                )
    if times and text:
        yield Cue(*times, "\n".join(text))


def parse_json3(events: Iterable[dict[str, Any]], path: Path) -> Iterator[Cue]:
    """Cues of YouTube's `json3`: events with a start, a duration (both ms) and segments of text."""
    for event in events:
        segments = dig(event, "segs")
        if not isinstance(segments, list):
            continue  # where a window opens
        start_ms, duration_ms = number(dig(event, "tStartMs")), number(dig(event, "dDurationMs") or 0)
        if start_ms is None or duration_ms is None or duration_ms < 0:
            raise TrainingError(f"{path} has an event whose tStartMs or dDurationMs is no time in ms.")
        text = "".join(part for one in segments if isinstance(part := dig(one, "utf8"), str))
        if len(text) > MAX_CUE_CHARS:
            raise TrainingError(f"{path} has an event of more than {MAX_CUE_CHARS:,} characters.")
        if text.strip():
            yield Cue(start_ms / 1000, (start_ms + duration_ms) / 1000, text.strip())


def _times(timing: re.Match[str], where: str) -> tuple[float, float]:
    start_s, end_s = (
        (-1 if sign else 1)
        * (int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds) + int(f"{fraction:0<3}") / 1000)
        for sign, hours, minutes, seconds, fraction in (timing.groups()[:5], timing.groups()[5:])
    )
    if start_s < 0 or end_s < start_s:
        raise TrainingError(f"{where} has times below zero, or an end before its start.")
    return start_s, end_s
