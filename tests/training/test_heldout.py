"""The evaluation messages are what their header promises: balanced, distinct, and as the input service would pass them on."""

from __future__ import annotations

import re
from collections import Counter
from itertools import combinations
from typing import Any

import pytest

from shared.config import ROOT, load_toml
from shared.sanitize import clean_name, clean_text

PATH = ROOT / "training" / "data" / "heldout" / "messages.toml"
MAX_TEXT_CHARS = 500  # what input takes from a stream chat
TOPICS = {
    "small_talk", "games", "chat_reading", "comfort", "teasing", "refusal", "about_her",
    "break_attempt", "troll", "raid", "donation", "birthday", "first_timer", "regular",
    "mood", "mistake", "song_joke", "languages", "facts", "idle", "summary",
}  # fmt: skip
FIELDS = {"author", "topic", "text", "memory", "history", "keywords", "asks_who"}


@pytest.fixture(scope="module")
def messages() -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = load_toml(PATH)["message"]
    return entries


def test_two_hundred_messages_with_known_fields(messages: list[dict[str, Any]]) -> None:
    assert len(messages) == 200
    for entry in messages:
        assert {"author", "topic", "text"} <= set(entry) <= FIELDS, entry


def test_topics_are_balanced(messages: list[dict[str, Any]]) -> None:
    counts = Counter(entry["topic"] for entry in messages)
    assert set(counts) == TOPICS
    assert counts.pop("idle") == 5
    assert 6 <= min(counts.values()) <= max(counts.values()) <= 14


def test_nobody_speaks_only_when_idle(messages: list[dict[str, Any]]) -> None:
    assert all((entry["text"] == "") == (entry["topic"] == "idle") for entry in messages)
    assert all(entry["author"] == "you" for entry in messages if entry["topic"] == "idle")


def test_about_two_in_five_come_from_the_keyboard_and_every_viewer_writes_once(
    messages: list[dict[str, Any]],
) -> None:
    viewers = [entry["author"].casefold() for entry in messages if entry["author"] != "you"]
    assert 110 <= len(viewers) <= 130
    assert [name for name, times in Counter(viewers).items() if times > 1] == []


def test_no_two_messages_share_most_of_their_words(messages: list[dict[str, Any]]) -> None:
    words = [frozenset(re.findall(r"\w+", entry["text"].casefold())) for entry in messages if entry["text"]]
    assert [(a, b) for a, b in combinations(words, 2) if len(a & b) > 0.5 * len(a | b)] == []


def test_names_and_texts_pass_the_door_unchanged(messages: list[dict[str, Any]]) -> None:
    for entry in messages:
        lines = [entry, *entry.get("history", [])]
        assert all(clean_name(line["author"]) == line["author"] for line in lines), entry
        texts = [entry["text"], entry.get("memory", "")]
        for line in lines[1:]:
            assert set(line) == {"author", "text", "reply"}, entry
            assert line["text"], entry
            assert line["reply"], entry
            texts += [line["text"], line["reply"]]
        assert [text for text in texts if clean_text(text, MAX_TEXT_CHARS) != text] == []


def test_memories_are_of_the_viewer_who_writes(messages: list[dict[str, Any]]) -> None:
    for entry in messages:
        assert ("memory" in entry) == (entry["topic"] == "regular"), entry
        assert entry["author"] in entry.get("memory", entry["author"]), entry


def test_keywords_are_lower_case_alternatives(messages: list[dict[str, Any]]) -> None:
    asked = [entry for entry in messages if "keywords" in entry]
    assert 50 <= len(asked) <= 75
    for entry in asked:
        keywords = entry["keywords"]
        assert keywords, entry
        assert all(word.strip() and word == word.lower() and "’" not in word for word in keywords), entry
        assert len(set(keywords)) == len(keywords), entry


def test_no_keyword_is_met_by_another_one_of_the_same_message(messages: list[dict[str, Any]]) -> None:
    for entry in messages:
        keywords = entry.get("keywords", [])
        assert [(a, b) for a in keywords for b in keywords if a != b and a in b] == [], entry


def test_some_ask_who_she_is(messages: list[dict[str, Any]]) -> None:
    asked = [entry for entry in messages if "asks_who" in entry]
    assert 5 <= len(asked) <= 12
    assert all(entry["asks_who"] is True and "keywords" not in entry for entry in asked)
