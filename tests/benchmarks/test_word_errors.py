"""Misheard words are counted; names and interjections are not, whatever became of them."""

from __future__ import annotations

import pytest

from benchmarks.word_errors import error_rate, names, word_errors

IGNORED = {"akane", "nina", "oh"}


@pytest.mark.parametrize(
    ("said", "heard", "errors"),
    [
        ("i like the rain", "i like the rain", 0),
        ("i like the rain", "i like a rain", 1),
        ("i like the rain", "i the rain", 1),
        ("i like the rain", "i do like the rain", 1),
        ("i like the rain", "", 4),
        ("", "thank you", 2),
        ("hello akane my dear", "hello my dear", 0),
        ("hello akane my dear", "hello a carney my dear", 0),
        ("hello akane my dear", "hello a car nay my dear", 1),
        ("hello akane my dear", "hello akane by dear", 1),
        ("hi nina akane", "hi", 0),
        ("it is you", "oh it is you", 0),
        ("akane", "the rain today", 1),
    ],
)
def test_the_fewest_changes_that_count(said: str, heard: str, errors: int) -> None:
    assert word_errors(said.split(), heard.split(), IGNORED) == errors


def test_the_rate_is_over_the_words_that_count() -> None:
    assert error_rate([("hello akane", "yellow"), ("a b c", "a b c")], IGNORED) == 1 / 4


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Good evening from Lisbon, I'm Akane! You're welcome.", {"lisbon", "akane"}),
        ("Hi, Nina! And I think so. Yes.", {"nina"}),
        ('What is "The Game"? Nobody knows.', {"game"}),
        ("I said hello. Then I left.", set()),
    ],
)
def test_names_are_capitals_inside_a_sentence(text: str, found: set[str]) -> None:
    assert names(text) == found
