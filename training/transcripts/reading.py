"""Files of strangers, read piece by piece and within limits; what is wrong is said in one sentence."""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from training.errors import TrainingError

MAX_FILE_BYTES = 2 << 30
MAX_LINE_CHARS = 1 << 20
"""The longest line of a real live chat replay is a tenth of this."""
MAX_RECORDS = 500_000
"""Cues or messages of one file; a day of busy chat has fewer."""
MAX_TIME_S = 100 * 3600.0
MAX_DISORDER_S = 60.0
"""Records may be out of order by this much; they are sorted. More means that the file is broken."""
CHUNK_CHARS = 1 << 16

Record = TypeVar("Record")


@contextmanager
def _opened(path: Path) -> Iterator[io.TextIOBase]:
    """The file as text, UTF-8 or UTF-16 with a byte order mark."""
    try:
        if not path.is_file():
            raise TrainingError(f"There is no file {path}: name a subtitle file or a chat log.")
        size = path.stat().st_size
        if size == 0:
            raise TrainingError(f"{path} is empty.")
        if size > MAX_FILE_BYTES:
            raise TrainingError(f"{path} is larger than {MAX_FILE_BYTES >> 30} GiB: split it.")
        with path.open("rb") as raw:
            head = raw.read(4096)
            raw.seek(0)
            utf16 = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
            if not utf16 and b"\0" in head:
                raise TrainingError(f"{path} is no text file: subtitles and chat logs are text.")
            with io.TextIOWrapper(raw, encoding="utf-16" if utf16 else "utf-8-sig") as text:
                yield text
    except OSError as error:
        raise TrainingError(f"{path} cannot be read: {error.strerror or error}.") from None
    except UnicodeError:
        raise TrainingError(f"{path} is not UTF-8 text: save it as UTF-8.") from None


def read_lines(path: Path) -> Iterator[str]:
    """Its lines without their ends."""
    with _opened(path) as text:
        number = 0
        while line := text.readline(MAX_LINE_CHARS + 1):
            number += 1
            if len(line) > MAX_LINE_CHARS:
                raise TrainingError(f"{path} line {number} is longer than {MAX_LINE_CHARS:,} characters.")
            if "\0" in line:
                raise TrainingError(f"{path} line {number} has a zero byte: this is no text file.")
            yield line.rstrip("\n")


def read_chunks(path: Path) -> Iterator[str]:
    """Its text in pieces."""
    with _opened(path) as text:
        while chunk := text.read(CHUNK_CHARS):
            yield chunk


def read_head(path: Path) -> str:
    """The first piece, without white space in front."""
    with _opened(path) as text:
        return text.read(CHUNK_CHARS).lstrip()


def in_order(
    records: Iterable[Record], start_s: Callable[[Record], float], path: Path, what: str
) -> list[Record]:
    """All records by time. Raises TrainingError for none, too many, or times that cannot be."""
    kept: list[Record] = []
    latest_s = 0.0
    for record in records:
        at_s = start_s(record)
        if not 0 <= at_s <= MAX_TIME_S:
            raise TrainingError(
                f"{path} has a time of {at_s:,.0f} s: times go from 0 to {MAX_TIME_S / 3600:.0f} hours."
            )
        if at_s < latest_s - MAX_DISORDER_S:
            raise TrainingError(
                f"{path} goes back in time, from {clock(latest_s)} to {clock(at_s)}: sort or split it."
            )
        if len(kept) == MAX_RECORDS:
            raise TrainingError(f"{path} has more than {MAX_RECORDS:,} {what}: split it.")
        latest_s = max(latest_s, at_s)
        kept.append(record)
    if not kept:
        raise TrainingError(f"There are no {what} in {path}.")
    return sorted(kept, key=start_s)


def clock(seconds: float) -> str:
    """`1:02:03`."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def by_stem(subtitles: Sequence[Path], chats: Sequence[Path]) -> list[tuple[Path | None, Path | None]]:
    """Which chat belongs to which subtitles: by the beginning of the name, else by order.

    `day1.en.vtt` and `day1.live_chat.json` are a pair. Raises TrainingError when it cannot be told.
    """
    open_subtitles, open_chats = list(subtitles), list(chats)
    pairs: list[tuple[Path | None, Path | None]] = []
    for subtitle in subtitles:
        same = [chat for chat in open_chats if stem(chat) == stem(subtitle)]
        if same:
            pairs.append((subtitle, same[0]))
            open_subtitles.remove(subtitle)
            open_chats.remove(same[0])
    if open_subtitles and open_chats and len(open_subtitles) != len(open_chats):
        raise TrainingError(
            f"Which chat belongs to {open_subtitles[0]}? Begin the names of both files alike, as "
            "day1.vtt and day1.chat.json."
        )
    if open_subtitles and open_chats:
        return pairs + list(zip(open_subtitles, open_chats, strict=True))
    return pairs + [(one, None) for one in open_subtitles] + [(None, one) for one in open_chats]


def stem(path: Path) -> str:
    """Name without what subtitle and chat tools append: suffixes, languages, `live_chat`."""
    name = path.name
    for suffix in reversed(path.suffixes):
        known = suffix[1:].lower().split("-")[0]
        if known not in _APPENDED and not (len(known) in (2, 3) and known.isalpha()):
            break
        name = name[: -len(suffix)]
    return name


_APPENDED = {"json", "json3", "srt", "vtt", "txt", "log", "csv", "live_chat", "chat", "jsonl", "auto"}
