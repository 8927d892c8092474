from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from shared.model.detokenize import StopScanner, TextStream


def streamed(pieces: list[bytes]) -> list[str]:
    stream = TextStream(pieces.__getitem__)
    return [stream.push(i) for i in range(len(pieces))] + [stream.flush()]


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@given(st.text(), st.lists(st.integers(0, 1_000), max_size=12))
def test_text_comes_out_whole_however_its_bytes_are_cut(text: str, places: list[int]) -> None:
    shown = streamed(cut(text.encode(), places))
    assert "".join(shown) == text
    assert shown[-1] == ""


@given(st.binary(), st.lists(st.integers(0, 1_000), max_size=12))
def test_any_bytes_decode_as_they_would_in_one_piece(data: bytes, places: list[int]) -> None:
    assert "".join(streamed(cut(data, places))) == data.decode("utf-8", "replace")


def test_a_character_is_shown_with_its_last_byte() -> None:
    assert streamed([b"a\xf0", b"\x9f\x8e", b"\x89b"]) == ["a", "", "🎉b", ""]


def test_an_invalid_byte_does_not_hold_up_what_follows() -> None:
    assert streamed([b"\xff", b"a", b"\xe3\x81", b"b"]) == ["\ufffd", "a", "", "\ufffdb", ""]


def test_a_character_that_is_never_finished_is_shown_as_broken_at_the_end() -> None:
    assert streamed([b"ok\xf0\x9f"]) == ["ok", "\ufffd"]


def test_a_special_token_adds_nothing() -> None:
    assert streamed([b"\xf0\x9f", b"", b"\x8e\x89"]) == ["", "", "🎉", ""]


def scanned(pieces: list[str], stops: list[str]) -> tuple[list[str], str | None]:
    scanner = StopScanner(stops)
    return [scanner.push(piece) for piece in pieces] + [scanner.flush()], scanner.stopped


def test_a_stop_string_is_found_across_pieces_and_nothing_after_it_is_shown() -> None:
    assert scanned(["Hi!\nUs", "er", ": what", "?"], ["\nUser:"]) == (["Hi!", "", "", "", ""], "\nUser:")


def test_only_what_could_begin_a_stop_string_is_held_back() -> None:
    assert scanned(["Hi!\nU", "nder ", "it"], ["\nUser:"]) == (["Hi!", "\nUnder ", "it", ""], None)


def test_what_was_held_back_is_shown_at_the_end() -> None:
    assert scanned(["Hi!\nUser"], ["\nUser:"]) == (["Hi!", "\nUser"], None)


def test_the_stop_string_that_is_complete_first_counts() -> None:
    assert scanned(["abcd"], ["d", "bc", "b"]) == (["a", ""], "b")
    for pieces in (["aaabbaaa"], ["aaab", "baaa"], [*"aaabbaaa"]):
        shown, stopped = scanned(pieces, ["b", "abb"])
        assert ("".join(shown), stopped) == ("aaa", "b")


def test_without_stop_strings_text_passes() -> None:
    assert scanned(["a", "b"], [""]) == (["a", "b", ""], None)


letters = st.text("ab\n", max_size=30)


@given(letters, st.lists(st.text("ab\n", min_size=1, max_size=4), max_size=3), st.lists(st.integers(0, 99)))
def test_any_cutting_gives_the_text_before_the_first_stop(
    text: str, stops: list[str], places: list[int]
) -> None:
    pieces = [piece.decode() for piece in cut(text.encode(), places)]
    shown, stopped = scanned(pieces, stops)
    found = [(at + len(stop), at, stop) for stop in stops if (at := text.find(stop)) >= 0]
    _, first, stop = min(found, default=(0, len(text), None))
    assert "".join(shown) == text[:first]
    assert stopped == stop


@given(letters, st.lists(st.text("ab\n", min_size=1, max_size=4), min_size=1, max_size=3))
def test_never_more_is_held_back_than_a_stop_string_may_need(text: str, stops: list[str]) -> None:
    scanner = StopScanner(stops)
    shown = ""
    for letter in text:
        shown += scanner.push(letter)
        if scanner.stopped is not None:
            return
    held = text[len(shown) :]
    assert held == "" or any(stop.startswith(held) and stop != held for stop in stops)
