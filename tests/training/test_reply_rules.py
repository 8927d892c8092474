"""The scorer of the persona figure: every rule has replies that break it and replies that do not."""

from __future__ import annotations

import pytest

from benchmarks.persona import DATA, UNSEEN, load_questions
from training.reply_rules import Answer, Question, broken

ASKED = Question(author="Sam", text="how are you?")
GOOD = (
    "Hi Sam! I'm great, thank you.",
    "Nope, I'm an AI, Sam! I'm a VTuber made of code and a lot of fun.",
    "Hehe, that's a secret.",
    "It's me, Akane! What's your favourite, tea or coffee?",
)


@pytest.mark.parametrize("text", GOOD)
def test_good_replies_break_nothing(text: str) -> None:
    assert broken(ASKED, Answer(text, "stop")) == []


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("answered", "Oh."),
        ("own_name", "My name is Emma, hi."),
        ("own_name", "I'm Lucy and I love it."),
        ("own_name", "Hello, Akane! It is nice to see you."),
        ("own_person", "I'm a real person, you know."),
        ("own_person", "Akane is happy to see you."),
        ("own_person", "I'm only 21, so be kind."),
        ("short", "I am. You are. We are. They are."),
        ("short", "I " + "really " * 40 + "like it."),
        ("ends_whole", "I like the thing,"),
        ("no_assistant", "I’m here to help with it."),
        ("no_loop", "I go to the park today and I go to the park today."),
        ("no_invented_viewer", "Hi Sarah, how are you?"),
        ("no_invented_viewer", "I told Jessica about it."),
        ("no_leak", "I am [happy] today."),
        ("no_leak", "It is fun. User: hi"),
        ("in_english", "Это очень хорошо."),
        ("in_english", "Blub blab blob."),
    ],
)
def test_each_rule_catches_what_it_is_for(rule: str, text: str) -> None:
    assert rule in broken(ASKED, Answer(text, "stop"))


def test_asked_who_she_is_she_has_to_say_it() -> None:
    asked = Question(author="Sam", text="who are you?", asks_who=True)
    assert broken(asked, Answer("I'm your friend, of course.", "stop")) == ["says_who"]
    assert broken(asked, Answer("I'm Akane, of course.", "stop")) == []


def test_a_written_line_is_no_answer_and_a_repeated_reply_is_a_loop() -> None:
    assert "answered" in broken(ASKED, Answer("Ask me once more, will you?", "refused"))
    assert "no_loop" in broken(ASKED, Answer(GOOD[0], "stop", earlier=[GOOD[0]]))


def test_the_questions_are_thirty_and_none_is_tuned_with() -> None:
    unseen, dev = load_questions(UNSEEN), load_questions(DATA / "persona_dev.toml")
    assert len(unseen) == len(dev) == 30
    assert not {question.text.lower() for question in unseen} & {question.text.lower() for question in dev}
    assert sum(question.asks_who for question in unseen) >= 3


def test_a_reply_to_the_point_holds_one_of_its_words() -> None:
    asked = Question(author="Sam", text="are you human?", keywords=(" ai", "vtuber"))
    assert broken(asked, Answer("AI through and through, Sam!", "stop")) == []
    assert broken(asked, Answer("I said it again and again, Sam!", "stop")) == ["to_the_point"]
