"""What the block-list finds through its disguises, and what it must leave alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.blocklist import Blocklist, load_blocklist
from shared.config import ConfigError


@pytest.fixture(scope="module")
def blocklist() -> Blocklist:
    return load_blocklist()


@pytest.mark.parametrize(
    "text",
    [
        "fuck you",
        "FUCK",
        "f u c k",
        "f.u.c.k",
        "f-u-c-k off",
        "fuuuuuck",
        "fu ck",
        "f*ck",
        "sh1t",
        "$hit",
        "b!tch",
        "what a b1tch",
        "a55hole",
        "FuCk",
        "fu\u200bck",
        "fück",
        "shіt",
        "motherfucking",
        "you faggots",
        "N1GGER",
        "dicks",
        "two bitches",
        "unfuckingbelievable",
    ],
)
def test_profanity_is_found_through_disguise(blocklist: Blocklist, text: str) -> None:
    assert blocklist.rule_for(text) == "profanity"


@pytest.mark.parametrize(
    "text",
    [
        "the cock crowed at dawn",
        "Dick Van Dyke danced",
        "I live in Scunthorpe",
        "Moby-Dick is long",
        "she sat on the grass",
        "the class assessed it",
        "cocktail party",
        "shiitake soup",
        "I passed the assignment",
        "a flame retardant coat",
        "that's a chink in the armour",
        "magna cum laude",
        "the pen is mightier than the sword",
        "raccoon",
        "Maine Coon cats",
        "sweet and spicy",
        "spices and cumin",
        "a cocker spaniel",
        "Essex and Sussex",
        "you're killing it!",
        "this game is killing me",
        "I will find you a snack",
        "kill the boss",
        "a b c d e f g",
        "it's 455 meters",
        "how do I make a cake",
        "my skys are grey",
        "grapes",
        "therapist",
        "document",
    ],
)
def test_harmless_words_pass(blocklist: Blocklist, text: str) -> None:
    assert blocklist.rule_for(text) is None


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("I want to relax in bed with you.", "lewd"),
        ("kys", "threat"),
        ("K.Y.S.", "threat"),
        ("kill yourself", "threat"),
        ("k1ll y0urself", "threat"),
        ("go die", "threat"),
        ("I will kill you", "threat"),
        ("I'll stab you", "threat"),
        ("i know where you live", "threat"),
        ("how to make a bomb", "threat"),
        ("I want to kill myself", "self_harm"),
        ("I'm going to hurt myself", "self_harm"),
        ("i wanna die", "self_harm"),
        ("I want to end my life", "self_harm"),
    ],
)
def test_threats_and_cries_for_help_are_told_apart(blocklist: Blocklist, text: str, rule: str) -> None:
    assert blocklist.rule_for(text) == rule


def test_own_words_are_added(tmp_path: Path) -> None:
    extra = tmp_path / "words.txt"
    extra.write_text("# spoilers\nfrobnicate\nsecret ending\n", encoding="utf-8")
    blocklist = load_blocklist(str(extra))
    assert blocklist.rule_for("please Frobnicate it") == "profanity"
    assert blocklist.rule_for("the secret-ending is") == "profanity"
    assert load_blocklist().rule_for("please frobnicate it") is None


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_blocklist(str(tmp_path / "none.txt"))
