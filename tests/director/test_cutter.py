"""Where a reply is cut, and that the cuts depend on the text alone."""

from __future__ import annotations

import random
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.director.cutter import MAX_CHARS, Cutter


def cut(text: str, pieces: list[str] | None = None) -> list[str]:
    cutter = Cutter()
    chunks = [chunk for piece in (pieces or [text]) for chunk in cutter.feed(piece)]
    chunks += cutter.flush()
    return [chunk.text.strip() for chunk in chunks]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hi there! How are you?", ["Hi there!", "How are you?"]),
        ("Oh, hi there Bob, nice to see you. Sit!", ["Oh, hi there Bob,", "nice to see you.", "Sit!"]),
        ("Well, I do. First, tea, then cake.", ["Well, I do.", "First, tea, then cake."]),
        ("I met Mr. Smith. He waved.", ["I met Mr. Smith.", "He waved."]),
        ("I like fruit, e.g. apples. You?", ["I like fruit, e.g. apples.", "You?"]),
        ("The U.S. is big. So is Peru.", ["The U.S. is big.", "So is Peru."]),
        ("Cake, tea, etc. are good. Yes.", ["Cake, tea, etc. are good.", "Yes."]),
        ("We have cake, tea, etc. Come in.", ["We have cake, tea,", "etc.", "Come in."]),
        ("Pi is 3.14 or so. Neat.", ["Pi is 3.14 or so.", "Neat."]),
        ("It costs 1,000 yen today. Ok.", ["It costs 1,000 yen today.", "Ok."]),
        ("I have 3. You have 4.", ["I have 3.", "You have 4."]),
        ("1. Boil water. 2. Add tea.", ["1. Boil water.", "2. Add tea."]),
        ("Hmm... let me see. Ah... Yes.", ["Hmm... let me see.", "Ah...", "Yes."]),
        ("Hmm… no idea. Ok… Bye.", ["Hmm… no idea.", "Ok…", "Bye."]),
        ('He said "stop!" Then he left.', ['He said "stop!"', "Then he left."]),
        ("(I know.) Next one.", ["(I know.)", "Next one."]),
        ("What?! No way!! Really?", ["What?!", "No way!!", "Really?"]),
        ("Hi! 😊 How are you?", ["Hi! 😊", "How are you?"]),
        ("Hi!😊How are you?", ["Hi!😊", "How are you?"]),
        ("Yay 👩‍👩‍👧 nice. Bye!", ["Yay 👩‍👩‍👧 nice.", "Bye!"]),
        ("こんにちは。元気ですか？はい！", ["こんにちは。", "元気ですか？", "はい！"]),
        ("今日はとても、いい天気。散歩しよう。", ["今日はとても、", "いい天気。", "散歩しよう。"]),
        ("「元気！」と言った。うん。", ["「元気！」", "と言った。", "うん。"]),
        ("Look at https://a.example/x?y=1.2 now. Done.", ["Look at https://a.example/x?y=1.2 now.", "Done."]),
        ("Line one\nLine two", ["Line one", "Line two"]),
        ("hi there. how are you", ["hi there.", "how are you"]),
        ("It is 5 p.m. now. It is 5 p.m. Tea!", ["It is 5 p.m. now.", "It is 5 p.m.", "Tea!"]),
        ("J. K. Rowling wrote it. Yes.", ["J. K. Rowling wrote it.", "Yes."]),
        ("नमस्ते। आप कैसे हैं?", ["नमस्ते।", "आप कैसे हैं?"]),
        ("", []),
        ("   \n ", []),
    ],
)
def test_cuts_where_a_reader_would_pause(text: str, expected: list[str]) -> None:
    assert cut(text) == expected


def test_a_stop_is_believed_after_one_character() -> None:
    cutter = Cutter()
    assert cutter.feed("I am fine. ") == []
    assert [chunk.text for chunk in cutter.feed("A")] == ["I am fine."]


def test_first_clause_leaves_before_its_sentence_ends() -> None:
    cutter = Cutter()
    (chunk,) = cutter.feed("Red is my colour, because")
    assert chunk.text == "Red is my colour,"
    assert not chunk.ends_sentence


def test_thai_is_cut_at_its_phrase_spaces() -> None:
    text = "สวัสดีค่ะทุกคน วันนี้อากาศดีมากเลยนะคะ ไปเดินเล่นกันไหม"
    assert cut(text)[0] == "สวัสดีค่ะทุกคน"


def test_text_without_any_space_is_cut_without_tearing_a_character() -> None:
    text = "ที่นี่มีดอกไม้สวยมากๆ".replace(" ", "") * 40
    chunks = cut(text)
    assert len(chunks) > 2
    assert all(len(chunk) <= MAX_CHARS + 8 for chunk in chunks)
    assert not any(unicodedata.category(chunk[0]).startswith("M") for chunk in chunks)


def test_a_long_clause_is_cut_at_a_space() -> None:
    chunks = cut("word " * 200)
    assert all(len(chunk) <= MAX_CHARS for chunk in chunks)
    assert set(" ".join(chunks).split()) == {"word"}


PROSE = st.lists(
    st.sampled_from([*"aB1 ..,!?…\n\"')(e。、！ไทย่😊\u200d\ufe0f-:/—", "e.g. ", "Mr. ", " 3.1 ", " word"]),
    max_size=120,
).map("".join)


@settings(max_examples=200, deadline=None)
@given(text=st.one_of(PROSE, st.text(max_size=400)), seed=st.integers(0, 1 << 30))
def test_chunks_join_to_the_text_however_it_was_split(text: str, seed: int) -> None:
    rng = random.Random(seed)
    pieces, at = [], 0
    while at < len(text):
        size = rng.randint(1, 9)
        pieces.append(text[at : at + size])
        at += size
    split = Cutter()
    chunks = [chunk for piece in pieces for chunk in split.feed(piece)] + split.flush()
    whole = Cutter()
    assert chunks == whole.feed(text) + whole.flush()
    assert "".join(chunk.text for chunk in chunks) == text.rstrip()
    assert all(chunk.text.strip() for chunk in chunks)
