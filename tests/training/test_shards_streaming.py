"""Parquet of which only a part is here: what is asked for, and what becomes of a file that lies."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.shards import streaming
from training.shards.documents import Bad, pieces_of, read_documents
from training.shards.streaming import begin, spans, stream

TEXTS = [f"document {i} " * (i % 7 + 1) for i in range(90)]


def parquet(compression: str = "none", dictionary: bool = True) -> bytes:
    buffer = io.BytesIO()
    table = pa.table({"before": TEXTS, "text": TEXTS, "behind": [text * 20 for text in TEXTS]})
    options = {"row_group_size": 30, "compression": compression, "use_dictionary": dictionary}
    pyarrow.parquet.write_table(table, buffer, write_page_checksum=True, **options)
    return buffer.getvalue()


def text_chunks(data: bytes) -> list[tuple[int, int]]:
    metadata = pyarrow.parquet.read_metadata(io.BytesIO(data))
    chunks = [metadata.row_group(i).column(1) for i in range(metadata.num_row_groups)]
    starts = [chunk.dictionary_page_offset or chunk.data_page_offset for chunk in chunks]
    return [(start, start + chunk.total_compressed_size) for start, chunk in zip(starts, chunks, strict=True)]


class Far:
    """A file elsewhere; notes which of its bytes were asked for."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.asked: list[tuple[int, int]] = []

    def read(self, start: int, stop: int) -> bytes:
        self.asked.append((start, stop))
        return self.data[start:stop]


def read_all(far: Far, path: Path, field: str = "text", first: int = 0) -> list[str | Bad]:
    begin(far.read, len(far.data), path)
    return [text for piece in stream(far.read, path, field, first) for text in read_documents(piece, field)]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "TAIL_BYTES", 16)
    monkeypatch.setattr(streaming, "GAP_BYTES", 100)


@pytest.mark.parametrize("compression", ["none", "zstd"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_the_text_is_read_and_nothing_else(
    tmp_path: Path, small: None, compression: str, dictionary: bool
) -> None:
    far = Far(parquet(compression, dictionary))
    assert read_all(far, tmp_path / "far" / "a.parquet") == TEXTS
    footer, *chunks = far.asked[1:]
    assert far.asked[0] == (len(far.data) - 16, len(far.data))
    assert footer[1] == far.asked[0][0]
    assert chunks == text_chunks(far.data)


def test_it_goes_on_behind_the_pieces_that_were_read(tmp_path: Path, small: None) -> None:
    far = Far(parquet())
    assert read_all(far, tmp_path / "a.parquet", first=2) == TEXTS[60:]
    assert len(far.asked) == 2 + 1


def test_a_row_group_is_asked_for_when_the_one_before_was_taken(tmp_path: Path, small: None) -> None:
    far = Far(parquet())
    begin(far.read, len(far.data), tmp_path / "a.parquet")
    pieces = stream(far.read, tmp_path / "a.parquet", "text")
    next(pieces)
    assert len(far.asked) == 2 + 1
    next(pieces)
    assert len(far.asked) == 2 + 2


def test_pieces_and_what_they_count_for_are_those_of_the_whole_file(tmp_path: Path) -> None:
    far, whole = Far(parquet()), tmp_path / "whole.parquet"
    whole.write_bytes(far.data)
    begin(far.read, len(far.data), tmp_path / "a.parquet")
    streamed = [
        (one.start, one.stop, one.size_bytes) for one in stream(far.read, tmp_path / "a.parquet", "text")
    ]
    assert streamed == [(one.start, one.stop, one.size_bytes) for one in pieces_of(whole, "parquet", "text")]


GROUPS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=12).map(
    lambda steps: [
        (sum(gap + size for gap, size in steps[:i]) + gap, sum(gap + size for gap, size in steps[: i + 1]))
        for i, (gap, _) in enumerate(steps)
    ]
)


@given(GROUPS, st.integers(0, 12), st.integers(1, 60), st.integers(0, 20))
def test_spans_hold_every_group_once_and_stay_small(
    groups: list[tuple[int, int]], first: int, most: int, gap: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streaming, "SPAN_BYTES", most)
        patch.setattr(streaming, "GAP_BYTES", gap)
        found = list(spans(groups, first))
    assert [group for span in found for group in span.groups] == list(range(first, len(groups)))
    for span in found:
        assert span.start <= groups[span.groups.start][0]
        assert span.stop >= groups[span.groups.stop - 1][1]
        assert len(span.groups) == 1 or span.stop - span.start <= most
    for one, other in pairwise(found):
        to, end = groups[other.groups.start]
        assert to - one.stop > gap or end - one.start > most, "they would have gone together"


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _long_footer(data: bytes) -> bytes:
    return data[:-8] + (len(data) * 2).to_bytes(4, "little") + data[-4:]


@pytest.mark.parametrize("spoilt", [_cut, _long_footer, lambda data: b"", lambda data: b"PAR1"])
def test_what_is_no_parquet_is_one_bad_piece(tmp_path: Path, spoilt: Callable[[bytes], bytes]) -> None:
    (bad,) = read_all(Far(spoilt(parquet())), tmp_path / "a.parquet")
    assert isinstance(bad, Bad)
    assert "a.parquet is not parquet" in bad.reason


def test_a_column_that_is_not_there_is_told_before_any_of_it_is_read(tmp_path: Path) -> None:
    far = Far(parquet())
    (bad,) = read_all(far, tmp_path / "a.parquet", "words")
    assert isinstance(bad, Bad)
    assert bad.reason.endswith("has no column 'words' but before, text, behind")
    assert len(far.asked) == 1


def test_a_file_that_lies_gives_bad_documents_and_nothing_worse(tmp_path: Path) -> None:
    """Bytes are changed at random, in the footer most of all; Arrow's errors for it are of many kinds."""
    data, draw = parquet(), random.Random(0)
    footer = int.from_bytes(data[-8:-4], "little") + 8
    spoilt = 0
    for _ in range(300):
        wrong = bytearray(data)
        for _ in range(draw.randint(1, 4)):
            wrong[draw.randrange(len(data) - footer, len(data))] = draw.randrange(256)
        found = read_all(Far(bytes(wrong)), tmp_path / "a.parquet")
        spoilt += any(isinstance(one, Bad) for one in found)
    assert spoilt > 50


def test_changed_text_is_found_by_the_checksum_of_its_page(tmp_path: Path) -> None:
    data = parquet(dictionary=False)
    start, stop = text_chunks(data)[1]
    at = (start + stop) // 2
    found = read_all(Far(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]), tmp_path / "a.parquet")
    assert [one for one in found if isinstance(one, str)] == TEXTS[:30] + TEXTS[60:]
    (bad,) = [one.reason for one in found if isinstance(one, Bad)]
    assert "Row group 1 of" in bad
    assert "CRC" in bad
