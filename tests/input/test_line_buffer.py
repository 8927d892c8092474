"""Lines come out whole however the bytes were cut on their way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.input.line_buffer import LineBuffer


def feed(data: bytes, sizes: list[int], max_bytes: int = 1000) -> list[bytes | None]:
    buffer = LineBuffer(max_bytes)
    lines: list[bytes | None] = []
    for size in sizes:
        piece, data = data[:size], data[size:]
        lines += buffer.feed(piece)
    return lines + buffer.feed(data) + buffer.close()


@given(st.binary(max_size=200), st.lists(st.integers(1, 7), max_size=80))
def test_the_cut_does_not_matter(data: bytes, sizes: list[int]) -> None:
    assert feed(data, sizes) == feed(data, [])


def test_a_character_split_over_packets_arrives_whole() -> None:
    text = "あかね 👩‍👧 ok\r\n".encode()
    assert feed(text + text, [1] * len(text)) == [text[:-2], text[:-2]]


def test_a_line_too_long_is_reported_once_and_the_next_one_is_read() -> None:
    data = b"ok\n" + b"x" * 5_000 + b"\nnext\n"
    for sizes in ([], [100] * 60, [1] * 5_000):
        assert feed(data, sizes) == [b"ok", None, b"next"]


def test_the_rest_without_a_line_end_is_a_line() -> None:
    assert feed(b"one\ntwo", []) == [b"one", b"two"]
    assert feed(b"one\n", []) == [b"one"]
    assert feed(b"one\n" + b"x" * 2_000, [1_500]) == [b"one", None]


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_memory_is_bounded(pieces: list[bytes]) -> None:
    buffer = LineBuffer(64)
    for piece in pieces:
        assert all(line is None or len(line) <= 64 for line in buffer.feed(piece))
        assert len(buffer._begun) <= 64
