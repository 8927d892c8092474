"""Files cut into pieces that can be read by themselves, and the documents in a piece."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from training.errors import TrainingError

Format = Literal["text", "jsonl", "parquet"]
FORMATS: dict[str, Format] = {
    ".txt": "text",
    ".md": "text",
    ".rst": "text",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
"""What is read in a folder. A file that is named itself is text when its name ends otherwise."""

PIECE_BYTES = 1 << 20
PART_BYTES = 1 << 16
"""A text file that is longer is several documents, cut at blank lines: a book can be validated on, too."""
_BLANK_LINE = re.compile(rb"\n\r?\n")


@dataclass(frozen=True)
class Piece:
    """What one process reads at once: of parquet a row group, else where it may start and must stop."""

    path: Path
    format: Format
    start: int
    stop: int
    size_bytes: int
    """Of the file, that it is good for: what progress is measured by."""
    bad: str = ""
    """Why the file cannot be read, as the beginning of a sentence."""


@dataclass(frozen=True)
class Bad:
    """Something that cannot be read, and why."""

    reason: str


def pieces_of(path: Path, format: Format, field: str) -> Iterator[Piece]:
    """The pieces of a file in order; one that is `bad` stands for a whole file.

    Raises OSError, and TrainingError when a package is not installed.
    """
    size = path.stat().st_size
    if format == "parquet":
        yield from _row_groups(path, field, size)
        return
    if format == "text" and (reason := _not_text(path)):
        yield Piece(path, format, 0, 0, size, reason)
        return
    for start in range(0, size, PIECE_BYTES):
        stop = min(start + PIECE_BYTES, size)
        yield Piece(path, format, start, stop, stop - start)


def read_documents(piece: Piece, field: str) -> Iterator[str | Bad]:
    """The documents of a piece in order, empty ones too. Raises OSError."""
    if piece.bad:
        yield Bad(piece.bad)
    elif piece.format == "parquet":
        yield from _rows(piece, field)
    elif piece.format == "jsonl":
        yield from _lines(piece, field)
    else:
        yield from _parts(piece)


# -- text ------------------------------------------------------------------------------------------


def _not_text(path: Path) -> str:
    """Why a file is no UTF-8 text; empty when it is."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    done = 0
    with path.open("rb") as file:
        while True:
            block = file.read(PIECE_BYTES)
            if done == 0 and block.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                return f"{path} is UTF-16, not UTF-8"
            if (at := block.find(0)) >= 0:
                return f"{path} is binary (a zero byte at {done + at})"
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                # What was held back of the block before counts as the beginning of this one.
                at = done - (len(error.object) - len(block)) + error.start
                return f"{path} is not UTF-8 (byte 0x{error.object[error.start]:02x} at {at})"
            if not block:
                return ""
            done += len(block)


def _parts(piece: Piece) -> Iterator[str]:
    with piece.path.open("rb") as file:
        size = file.seek(0, 2)
        places = [*range(piece.start, piece.stop, PART_BYTES), piece.stop]
        cuts = [_cut(file, place, size) for place in places]
        for i in range(len(cuts) - 1):
            file.seek(cuts[i])
            text = file.read(cuts[i + 1] - cuts[i]).decode("utf-8").replace("\r\n", "\n")
            yield text.lstrip("\ufeff").strip() if cuts[i] == 0 else text.strip()


def _cut(file: Any, place: int, size: int) -> int:
    """Where a document may begin at or behind `place`: after a blank line, a line, or at a character."""
    if place in (0, size):
        return place
    file.seek(place)
    window = file.read(PART_BYTES)
    if blank := _BLANK_LINE.search(window):
        return place + blank.end()
    line = window.find(b"\n")
    if line >= 0:
        return place + line + 1
    return place + next(i for i, byte in enumerate(window) if byte & 0xC0 != 0x80)


# -- JSONL -----------------------------------------------------------------------------------------


def _lines(piece: Piece, field: str) -> Iterator[str | Bad]:
    """Texts of the lines that begin in the piece."""
    with piece.path.open("rb") as file:
        if piece.start:
            # The line that the piece before ends with; only its end when that is where this one starts.
            file.seek(piece.start - 1)
            file.readline()
        while (begins := file.tell()) < piece.stop and (line := file.readline()):
            line = line.removeprefix(codecs.BOM_UTF8) if begins == 0 else line
            if not line.strip():
                continue
            try:
                # Bytes would let JSON guess at UTF-16.
                text = json.loads(line.decode("utf-8"))[field]
                if not isinstance(text, str):
                    raise TypeError
            except UnicodeDecodeError:
                yield Bad(f"{_line(piece.path, begins)} is not UTF-8")
            except (ValueError, RecursionError):
                yield Bad(f"{_line(piece.path, begins)} is not JSON")
            except (TypeError, KeyError):
                yield Bad(f"{_line(piece.path, begins)} has no text {field!r}")
            else:
                yield text


def _line(path: Path, offset: int) -> str:
    number = 1
    with path.open("rb") as file:
        while offset > 0 and (block := file.read(min(PIECE_BYTES, offset))):
            number += block.count(b"\n")
            offset -= len(block)
    return f"{path}:{number}"


# -- parquet ---------------------------------------------------------------------------------------


def _arrow() -> Any:
    try:
        import pyarrow.parquet
    except ImportError:
        raise TrainingError("Parquet files need pyarrow: pip install -e '.[pretrain]'.") from None
    return pyarrow


def _row_groups(path: Path, field: str, size: int) -> Iterator[Piece]:
    arrow = _arrow()
    bad, groups = "", 0
    try:
        with arrow.parquet.ParquetFile(path) as file:
            groups, columns = file.num_row_groups, file.schema_arrow
        if columns.names.count(field) != 1:
            bad = f"{path} has no column {field!r} but {', '.join(columns.names[:8])}"
        elif (kind := columns.field(field).type) not in (arrow.string(), arrow.large_string()):
            bad = f"The column {field!r} of {path} is {kind}, not text"
    except (arrow.ArrowException, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno:  # of the disk; what Thrift cannot read has no number
            raise
        bad = f"{path} is not parquet ({' '.join(str(error).split())[:80]})"
    if bad:
        yield Piece(path, "parquet", 0, 0, size, bad)
        return
    for group in range(groups):
        yield Piece(path, "parquet", group, group + 1, size * (group + 1) // groups - size * group // groups)


def _rows(piece: Piece, field: str) -> Iterator[str | Bad]:
    arrow = _arrow()
    try:
        with arrow.parquet.ParquetFile(piece.path, page_checksum_verification=True) as file:
            groups = range(piece.start, piece.stop)
            for batch in file.iter_batches(1024, row_groups=groups, columns=[field], use_threads=False):
                for row in batch.column(0):
                    # As bytes: Arrow does not check what a file calls text.
                    data = row.as_buffer()
                    try:
                        yield "" if data is None else data.to_pybytes().decode("utf-8")
                    except UnicodeDecodeError:
                        yield Bad(f"A row in row group {piece.start} of {piece.path} is not UTF-8")
    except (arrow.ArrowException, ValueError, OSError) as error:
        yield Bad(f"Row group {piece.start} of {piece.path} is damaged ({' '.join(str(error).split())[:80]})")
