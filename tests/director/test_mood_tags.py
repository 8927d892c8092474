"""A mood between brackets is a tag; between stars or parentheses it is one only where no word of hers can stand."""

from __future__ import annotations

import pytest
from conversation import BLOCKLIST, PERSONA

from services.director.gate import Gate, Scene
from services.director.mood import take_tags
from services.director.reply import Reply


@pytest.mark.parametrize(
    ("text", "said", "left", "mood"),
    [
        ("[Happy] hi [sad] there", "", " hi  there", "sad"),
        ("I am < shy > here", "", "I am  here", "shy"),
        ("*happy* Hello!", "", " Hello!", "happy"),
        ("(sad) Oh no.", "I did.", " Oh no.", "sad"),
        (" **excited** Yes!", "", "  Yes!", "excited"),
        ("Oh! *surprised* You did?", "", "Oh!  You did?", "surprised"),
        ('"Boo!" (surprised) He said.', "", '"Boo!"  He said.', "surprised"),
        ("\n(thinking) Let me see.", "Well,", "\n Let me see.", "thinking"),
        (" *sad*", "So it is,", " ", "sad"),
        ("[sad] *happy* Hello", "", "  Hello", "happy"),
        ("I'm so *excited*!", "", "I'm so *excited*!", None),
        ("That made me *sad* today", "", "That made me *sad* today", None),
        ("It was (happy) music.", "", "It was (happy) music.", None),
        (" *excited* even!", "I am really glad,", " *excited* even!", None),
        ("I'm so... *shy* today", "", "I'm so... *shy* today", None),
        ("[1] hi (very sad) [hungry]", "", "[1] hi (very sad) [hungry]", None),
    ],
)
def test_what_is_a_tag(text: str, said: str, left: str, mood: str | None) -> None:
    assert take_tags(text, said) == (left, mood)


@pytest.mark.parametrize(
    ("drawn", "spoken"),
    [
        ("I'm so *excited*!", "I'm so excited!"),
        ("That made me *sad* today.", "That made me sad today."),
        (
            "I was really glad about it, *excited* even. Bye!",
            "I was really glad about it, excited even. Bye!",
        ),
        ("*happy* Hello you! (sad) I missed it.", "Hello you! I missed it."),
        ("[smiling] Miso has a short name. (laughs softly) Take two!", "Miso has a short name. Take two!"),
    ],
)
def test_no_word_of_hers_is_lost(drawn: str, spoken: str) -> None:
    reply = Reply(Gate(PERSONA, BLOCKLIST), Scene(), 3)
    pieces = [*reply.feed(drawn), *reply.finish()]
    assert " ".join(piece.text for piece in pieces) == spoken
