"""What is read aloud, what is only shown, and what is neither."""

from __future__ import annotations

import pytest
from costs import cost_s

from services.tts.speakable import MAX_WORD_CHARS, speakable


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Hello there, friend!", "Hello there, friend!"),
        ("Great 😀👍🏽 work 👩‍👩‍👧 🇯🇵 ♥ ☆", "Great work"),
        ("*waves happily* Hi!", "Hi!"),
        ("Hi! *giggles* *smile*", "Hi!"),
        ("*I mean it*, *nothing* else", "I mean it, nothing else"),
        ("I *really* love **this** and __that__", "I really love this and that"),
        ("[happy] Hi [very sad] there", "Hi there"),
        ("<b>bold</b> <|im_end|> move", "bold move"),
        ("see https://example.org/a?b=c now", "see link now"),
        ("see [my page](https://example.org) now", "see my page now"),
        ("well :) yes ;-) XD ^_^ >_< T_T o_O <3 \\o/ (◕‿◕) (´･ω･`) ok", "well yes ok"),
        ("f(x) and (yes) at 10:30", "f(x) and (yes) at 10:30"),
        ("Sooo cooool, noooo way, yaaay, hmmmm", "So cool, no way, yay, hmm"),
        ("What?!?! No!!!! Wait......", "What? No! Wait…"),
        ("10k views, ½, x² × 3, 20€", "10k views, ½, x² × 3, 20€"),
        ("$10k at -5 is 3-4", "$10k at -5 is 3-4"),
        ("my_name `code`", "my-name code"),
        ("ＦＵＬＬ width", "FULL width"),
        ("こんにちは、元気？", "こんにちは、元気?"),
        ("don't “quote” well-known U.S.A. e.g. this", "don't “quote” well-known U.S.A. e.g. this"),
    ],
)
def test_said(written: str, said: str) -> None:
    assert speakable(written).text == said


@pytest.mark.parametrize(
    "nothing", ["", "   ", "😀😀", "!!!", "...", "*waves*", ":)", "[happy]", "( )", "~ ~", "👍🏽"]
)
def test_nothing_to_say(nothing: str) -> None:
    assert speakable(nothing).text == ""
    assert not speakable(nothing).audible


def test_shown_words_stand_beside_what_is_said() -> None:
    words = speakable("[happy] Hi 😀 *waves at you* friend!!")
    assert words.shown == ["Hi", "😀", "*waves", "at", "you*", "friend!!"]
    assert words.spoken == ["Hi", "", "", "", "", "friend!"]


@pytest.mark.parametrize(
    "hostile",
    [
        "a" * 2000,
        "1" * 2000,
        "a1" * 1000,
        "(" * 2000,
        "*" * 2000,
        "[" * 2000,
        "<" * 2000,
        "(´" * 1000,
        "_ " * 1000,
        ":" * 2000,
        "(" + "´" * 1999,
        "(´" + "x" * 1998,
        "**" + "x *" * 600,
        "[x](" * 500,
    ],
)
def test_hostile_text_is_bounded_and_quick(hostile: str) -> None:
    assert cost_s(lambda: speakable(hostile), limit_s=0.5) < 0.5
    words = speakable(hostile)
    assert max((len(word) for word in words.spoken), default=0) <= 2 * MAX_WORD_CHARS
