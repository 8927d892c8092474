"""Times of words and mouths: estimates, and the way from what a voice said to what is written."""

from __future__ import annotations

from itertools import pairwise

import pytest

from services.tts.mouth import from_letters, from_phonemes
from services.tts.rendering import TimedWord
from services.tts.timing import align, estimate, fit


def said(text: str) -> list[TimedWord]:
    return [TimedWord(word, float(index), index + 0.8) for index, word in enumerate(text.split())]


def test_equal_words_keep_their_times() -> None:
    assert align(said("hello there friend"), ["Hello,", "there", "friend!"]) == [
        ("Hello,", 0.0, 0.8),
        ("there", 1.0, 1.8),
        ("friend!", 2.0, 2.8),
    ]


def test_numbers_share_the_time_of_what_was_said_for_them() -> None:
    timed = align(said("at seven thirty P.M. we start"), ["At", "7:30", "pm", "we", "start."])
    assert [word.text for word in timed] == ["At", "7:30", "pm", "we", "start."]
    assert timed[1].start_s == 1.0
    assert timed[2].end_s == 3.8
    assert (timed[3].start_s, timed[4].start_s) == (4.0, 5.0)


def test_words_nobody_said_have_no_length_and_extra_words_belong_to_the_one_before() -> None:
    assert align(said("one three"), ["one", "two", "three"])[1] == ("two", 0.8, 0.8)
    assert align(said("five kilometers away"), ["five", "away"])[0] == ("five", 0.0, 1.8)
    assert align([], ["a", "b"]) == [("a", 0.0, 0.0), ("b", 0.0, 0.0)]
    assert align(said("a b"), []) == []


@pytest.mark.parametrize(
    "text", ["one", "I am 3 years old, e.g. 4 or 5!", "well - ok … 12:30 x x x x", "a a a b a a"]
)
def test_aligned_times_never_run_backwards(text: str) -> None:
    timed = align(said("I am three years old for example four or five x a b a"), text.split())
    assert [word.text for word in timed] == text.split()
    assert all(word.start_s <= word.end_s for word in timed)
    assert all(sooner.start_s <= later.start_s for sooner, later in pairwise(timed))


def test_estimate_is_about_as_fast_as_people_speak() -> None:
    text = "this is what an ordinary sentence looks like when somebody reads it to you"
    words = estimate(text.split())
    words_a_minute = len(words) / words[-1].end_s * 60
    assert 130 < words_a_minute < 220
    assert estimate(text.split(), rate=2.0)[-1].end_s == pytest.approx(words[-1].end_s / 2, rel=0.01)
    assert estimate(["one.", "two"])[1].start_s > estimate(["one", "two"])[1].start_s
    assert estimate(["こんにちは"])[0].end_s > estimate(["hello"])[0].end_s
    assert estimate(["—"])[0].end_s == 0.0


def test_fit_stretches() -> None:
    timed = fit(said("a b c"), 10.0, 12.8)
    assert (timed[0].start_s, timed[-1].end_s) == pytest.approx((10.0, 12.8))
    assert fit([], 0.0, 1.0) == []
    assert fit([TimedWord("a", 0.0, 0.0)], 1.0, 2.0) == [("a", 1.0, 1.0)]


def test_phonemes_become_the_shapes_of_their_vowels() -> None:
    timed = [(sign, index * 0.1, 0.1) for index, sign in enumerate("hˈə mˈI.")]
    shapes = [(mouth.shape, round(mouth.start_s, 3)) for mouth in from_phonemes(timed)]
    assert shapes == [("N", 0.0), ("E", 0.1), ("closed", 0.4), ("A", 0.5), ("I", 0.62), ("closed", 0.7)]


def test_letters_give_a_guess() -> None:
    shapes = [mouth.shape for mouth in from_letters("Mama!", 1.0, 2.0)]
    assert shapes == ["closed", "A", "closed", "A"]
    assert from_letters("…", 0.0, 1.0) == []
