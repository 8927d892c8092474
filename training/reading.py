"""Blind reading of replies: sheets for readers who must not know who said what, and what their marks say.

    python -m training.reading pairs REPLIES --first WAY --second WAY --out FOLDER   # which is better
    python -m training.reading matches REPLIES --first WAY --out FOLDER              # what was answered
    python -m training.reading score FOLDER

A folder gets `sheet.jsonl` for the reader, `key.jsonl` for the scorer, and the reader's `marks.jsonl`: one
object a line with `item`, `choice` (`a`, `b` or `tie`; a number from 1 to 5) and `reason`.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training.errors import TrainingError

CHOICES = 5
"""Messages of which a reader has to find the one that was answered."""
Row = dict[str, Any]


def pairs(
    replies: Sequence[Row], first: str, second: str, count: int, seed: int
) -> tuple[list[Row], list[Row]]:
    """A sheet of two replies to each of `count` messages, in an order drawn for each, and its key."""
    draw = random.Random(f"{seed}/{first}/{second}")
    by_case = [
        {(row["case"], row["seed"]): row for row in replies if row["way"] == way} for way in (first, second)
    ]
    both = sorted(by_case[0].keys() & by_case[1].keys(), key=lambda place: (place[1], place[0]))
    sheet, key = [], []
    for item, place in enumerate(both[:count], 1):
        order = [0, 1] if draw.random() < 0.5 else [1, 0]
        row = by_case[0][place]
        a, b = (by_case[side][place]["reply"] for side in order)
        sheet.append({"item": item, "author": row["author"], "message": row["message"], "a": a, "b": b})
        key.append({"item": item, "a": (first, second)[order[0]], "b": (first, second)[order[1]]})
    return sheet, key


def matches(replies: Sequence[Row], way: str, count: int, seed: int) -> tuple[list[Row], list[Row]]:
    """A sheet of replies, each with its own message among CHOICES, and its key. Silence is no message."""
    draw = random.Random(f"{seed}/{way}")
    rows = [row for row in replies if row["way"] == way and row["message"]]
    messages = sorted({row["message"] for row in rows})
    sheet, key = [], []
    for item, row in enumerate(draw.sample(rows, min(count, len(rows))), 1):
        others = draw.sample([text for text in messages if text != row["message"]], CHOICES - 1)
        offered = [row["message"], *others]
        draw.shuffle(offered)
        sheet.append({"item": item, "reply": row["reply"], "messages": offered})
        key.append({"item": item, "choice": offered.index(row["message"]) + 1})
    return sheet, key


def wilson(share: float, count: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return centre - half, centre + half


def score(key: Sequence[Row], marks: Sequence[Row]) -> str:
    """One sentence. Raises TrainingError when marks are missing or twice."""
    chosen = {mark["item"]: mark["choice"] for mark in marks}
    if len(chosen) != len(marks) or chosen.keys() != {row["item"] for row in key}:
        raise TrainingError(f"{len(key)} items need one mark each; there are {len(marks)} marks.")
    if "choice" in key[0]:
        right = sum(chosen[row["item"]] == row["choice"] for row in key) / len(key)
        low, high = wilson(right, len(key))
        return f"{100 * right:.1f} % of {len(key)} matched right (95 %: {100 * low:.1f} to {100 * high:.1f})"
    first = min({row["a"] for row in key} | {row["b"] for row in key})
    second = max({row["a"] for row in key} | {row["b"] for row in key})
    ties = sum(chosen[row["item"]] == "tie" for row in key)
    wins = sum(row.get(chosen[row["item"]]) == first for row in key)
    share = (wins + ties / 2) / len(key)
    low, high = wilson(share, len(key))
    losses = len(key) - wins - ties
    return (
        f"{first} against {second}: {wins} preferred, {ties} ties, {losses} not; "
        f"{100 * share:.1f} % with ties halved (95 %: {100 * low:.1f} to {100 * high:.1f})"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 2 and one sentence for what cannot be read."""
    parser = argparse.ArgumentParser(
        prog="python -m training.reading", description=(__doc__ or "").split("\n")[0]
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("pairs", "matches"):
        command = commands.add_parser(name)
        command.add_argument("replies", type=Path, help="replies.jsonl of training.evaluate")
        command.add_argument("--first", required=True, help="a column of the evaluation")
        command.add_argument("--out", type=Path, required=True)
        command.add_argument("--count", type=int, default=200)
        command.add_argument("--seed", type=int, default=0)
        if name == "pairs":
            command.add_argument("--second", required=True)
    commands.add_parser("score").add_argument("folder", type=Path)
    asked = parser.parse_args(argv)
    try:
        if asked.command == "score":
            print(score(_read(asked.folder / "key.jsonl"), _read(asked.folder / "marks.jsonl")))
            return 0
        replies = _read(asked.replies)
        known = {row["way"] for row in replies}
        for way in (asked.first, getattr(asked, "second", asked.first)):
            if way not in known:
                raise TrainingError(
                    f"There is no column {way!r} in {asked.replies}: known are {sorted(known)}."
                )
        made = (
            pairs(replies, asked.first, asked.second, asked.count, asked.seed)
            if asked.command == "pairs"
            else matches(replies, asked.first, asked.count, asked.seed)
        )
        asked.out.mkdir(parents=True, exist_ok=True)
        for rows, file in zip(made, ("sheet.jsonl", "key.jsonl"), strict=True):
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            (asked.out / file).write_text(text, encoding="utf-8")
    except TrainingError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _read(path: Path) -> list[Row]:
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path} cannot be read as JSON lines: {str(error)[:100]}.") from None


if __name__ == "__main__":
    sys.exit(main())
