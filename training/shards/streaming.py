"""Parquet from far away: of a file on this disk only what is read is there, the rest of it are holes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from training.shards.documents import Piece, pieces_of

Read = Callable[[int, int], bytes]
"""The bytes of the far file from one place up to another."""

TAIL_BYTES = 1 << 16
"""Where the footer of a file is looked for first."""
MAX_FOOTER_BYTES = 1 << 28
SPAN_BYTES, GAP_BYTES = 16 << 20, 1 << 20
"""Neighbouring row groups come at once, up to so many bytes; so wide a gap of other columns comes along."""
_MAGIC = b"PAR1"


class Span(NamedTuple):
    """Bytes of the far file that hold the text of `groups`."""

    start: int
    stop: int
    groups: range


def begin(read: Read, size_bytes: int, path: Path) -> None:
    """Make the file at `path` with nothing in it but its footer. Raises OSError and what `read` does.

    The layout: https://parquet.apache.org/docs/file-format (footer, its length in four bytes, PAR1).
    """
    tail = read(max(0, size_bytes - TAIL_BYTES), size_bytes)
    footer_bytes = int.from_bytes(tail[-8:-4], "little") + 8
    if tail.endswith(_MAGIC) and len(tail) < footer_bytes <= min(size_bytes, MAX_FOOTER_BYTES):
        tail = read(size_bytes - footer_bytes, size_bytes - len(tail)) + tail
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(size_bytes)
        file.seek(size_bytes - len(tail))
        file.write(tail)


def stream(read: Read, path: Path, field: str, first: int = 0) -> Iterator[Piece]:
    """The pieces of a file that was begun, from number `first` on, each when its text has been read.

    Raises OSError, TrainingError when pyarrow is missing, and what `read` does.
    """
    pieces = list(pieces_of(path, "parquet", field))
    if any(piece.bad for piece in pieces):
        yield from pieces
        return
    groups = _groups(path, field)
    with path.open("r+b") as file:
        for span in spans(groups, first):
            for start in range(span.start, span.stop, SPAN_BYTES):
                file.seek(start)
                file.write(read(start, min(start + SPAN_BYTES, span.stop)))
            file.flush()
            yield from pieces[span.groups.start : span.groups.stop]


def spans(groups: list[tuple[int, int]], first: int = 0) -> Iterator[Span]:
    """What to read at once, of where the text of each row group starts and stops."""
    while first < len(groups):
        start, stop = groups[first]
        behind = first + 1
        while behind < len(groups):
            to, end = groups[behind]
            if not (stop <= to <= stop + GAP_BYTES and end - start <= SPAN_BYTES):
                break
            stop, behind = end, behind + 1
        yield Span(start, stop, range(first, behind))
        first = behind


def _groups(path: Path, field: str) -> list[tuple[int, int]]:
    """Start and stop of the text of each row group."""
    import pyarrow.parquet

    metadata = pyarrow.parquet.read_metadata(path)
    size = path.stat().st_size
    column = next(i for i in range(metadata.num_columns) if metadata.schema.column(i).path == field)
    found = [_chunk(metadata.row_group(i), column) for i in range(metadata.num_row_groups)]
    # A footer is believed as far as what it says lies within the file; else the group cannot be read.
    return [(max(0, min(start, size)), max(0, min(stop, size))) for start, stop in found]


def _chunk(group: Any, column: int) -> tuple[int, int]:
    """A dictionary stands before the pages that need it."""
    if column >= group.num_columns:
        return 0, 0
    chunk = group.column(column)
    start = chunk.data_page_offset
    if chunk.has_dictionary_page and 0 < (chunk.dictionary_page_offset or 0) < start:
        start = chunk.dictionary_page_offset
    return start, start + chunk.total_compressed_size
