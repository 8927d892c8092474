"""Chat as plain text (`[00:01:02] name: text`, IRC logs) and as CSV."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from pathlib import Path

from training.errors import TrainingError
from training.transcripts.json_items import number
from training.transcripts.records import Drop, Message

HALF_DAY_S = 12 * 3600
_LINE = re.compile(
    r"\s*\[?(?P<sign>-)?(?:(?P<date>\d{4}-\d\d-\d\d)[ T])?(?P<times>\d{1,3}(?::\d\d){1,2})"
    r"(?:\.\d{1,6})?(?: ?UTC|Z)?\]?"
    r"\s+(?:<[@+%~& ]?(?P<nick>[^>]{1,60})>|(?P<name>[^:\s][^:]{0,59}):)\s+(?P<text>.*)"
)
_COLUMNS = {
    "time": ("time", "timestamp", "offset", "time_s", "seconds", "time_in_seconds", "content_offset_seconds"),
    "author": ("author", "name", "user", "username", "user_name", "display_name", "nick", "author_name"),
    "text": ("text", "message", "body", "content", "msg", "comment"),
}


def parse_plain(lines: Iterable[str], path: Path, drop: Drop) -> Iterator[Message]:
    """Messages of a log. Times of day that pass midnight go on; dates count from the first message.

    Two-part times are minutes and seconds, in IRC logs (`<nick>`) hours and minutes.
    """
    n_messages, n_others, days = 0, 0, 0
    previous_s, first_s = 0.0, None
    for line in lines:
        found = _LINE.match(line)
        if not found:
            if line.strip():
                n_others += 1
                drop("no message", line)
                if n_others > 100 and n_others > 9 * n_messages:
                    break
            continue
        n_messages += 1
        at_s = _seconds(found["times"], hours_first=found["nick"] is not None)
        if found["date"]:
            try:
                day = datetime.strptime(found["date"], "%Y-%m-%d").replace(tzinfo=timezone.utc)
            except ValueError:
                raise TrainingError(f"{path} has the date {found['date']}, which is none.") from None
            at_s += day.timestamp()
            first_s = at_s if first_s is None else first_s
            at_s -= first_s
        elif found["sign"]:
            at_s = -1.0
        else:
            if at_s + days * 86400 < previous_s - HALF_DAY_S:
                days += 1
            previous_s = at_s = at_s + days * 86400
        yield Message(at_s, found["nick"] or found["name"], found["text"])
    if n_others > n_messages:
        raise TrainingError(
            f"{path} is no chat log that is known: its lines do not look like [00:01:02] name: text."
        )


def parse_csv(lines: Iterable[str], path: Path) -> Iterator[Message]:
    """Messages of a table whose first line names a column for time (seconds or 0:01:02), author and text."""
    columns: dict[str, int] = {}
    try:
        for at, row in enumerate(csv.reader(line + "\n" for line in lines), 1):
            if at == 1:
                names = [name.strip().lower() for name in row]
                columns = {
                    kind: names.index(known[0])
                    for kind, all_known in _COLUMNS.items()
                    if (known := [name for name in all_known if name in names])
                }
                if len(columns) < 3:
                    missing = next(kind for kind in _COLUMNS if kind not in columns)
                    raise TrainingError(
                        f"{path} has no column for the {missing}: name it {' or '.join(_COLUMNS[missing])}."
                    )
            elif row:
                if len(row) <= max(columns.values()):
                    raise TrainingError(f"{path} row {at} has too few columns.")
                written = row[columns["time"]].strip()
                at_s = number(written)
                if at_s is None and re.fullmatch(r"-?\d{1,3}(:\d\d){1,2}(\.\d{1,6})?", written):
                    at_s = -1.0 if written[0] == "-" else _seconds(written.split(".")[0])
                if at_s is None:
                    raise TrainingError(
                        f"{path} row {at} has the time {written[:20]!r}: write seconds or 0:01:02."
                    )
                yield Message(at_s, row[columns["author"]], row[columns["text"]])
    except csv.Error as error:
        raise TrainingError(f"{path} is no CSV table: {error}.") from None


def is_table(first_line: str) -> bool:
    """Whether this is the head of a CSV table of chat."""
    names = {name.strip().strip('"').lower() for name in first_line.split(",")}
    return all(names & set(known) for known in _COLUMNS.values())


def _seconds(times: str, hours_first: bool = False) -> float:
    parts = [int(part) for part in times.split(":")]
    if len(parts) == 2:
        return float(parts[0] * 3600 + parts[1] * 60 if hours_first else parts[0] * 60 + parts[1])
    return float(parts[0] * 3600 + parts[1] * 60 + parts[2])
