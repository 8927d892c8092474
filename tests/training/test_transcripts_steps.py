"""Each step by itself: what is cleaned, replaced, tied together and left out."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from costs import cost_s
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.persona import load_persona
from training.transcripts.aligning import aligned, without_noise
from training.transcripts.cleaning import fluent, unmarked, unsounded
from training.transcripts.conversations import dialogue, distinct_dialogues, fitting, grouped, in_language
from training.transcripts.languages import language_test
from training.transcripts.names import Names
from training.transcripts.personal import scrubbed
from training.transcripts.records import Cue, Exchange, Message, Utterance
from training.transcripts.speech import joined, spoken

PERSONA = load_persona("akane")
HANDLES = st.from_regex(r"_?[abcdXYZ0-3][abcdXYZ_0-3]{2,10}", fullmatch=True)


def nothing(reason: str, text: str) -> None:
    pass


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("<i>Hello</i> &amp;amp; {\\an8}welcome", "Hello & welcome."),
        ("so <00:00:01.000><c> what</c>", "So what."),
        ("[Music] hi (laughs) there *sighs* ♪ la la la ♪", "Hi there."),
        ("um i i think the the frog, uh, is is fine", "I think the frog, is fine."),
        ("no no no no way", "No no way."),
        ("No! No! No! Stop!", "No! No! Stop!"),
        ("I want to I want to go", "I want to go."),
        ("THIS IS LOUD. VERY LOUD, I SAID", "This is loud. Very loud, I said."),
        ("NASA", "NASA."),
        ("where did i put it", "Where did I put it?"),
        ("zero\u200bwidth \u202eword", "Zerowidth word."),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2."),
        ("…", ""),
        ("かわいいね", "かわいいね"),
    ],
)
def test_cleaning(text: str, clean: str) -> None:
    assert fluent(unsounded(unmarked(text))) == clean


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("mail jo.doe+x@example.co.uk please", "e-mail address"),
        ("mail jo at example dot com please", "e-mail address"),
        ("pay DE89 3704 0044 0532 0130 00 today", "account number"),
        ("card 4111-1111-1111-1111 thanks", "card number"),
        ("call +49 170 1234567 now", "phone number"),
        ("call (555) 123-4567 now", "phone number"),
        ("call 0170/1234567 now", "phone number"),
        ("he lives at 221b Baker Street you know", "street address"),
        ("Sonnenallee 12, 12045 Berlin ist es", "street address"),
        ("see https://a.b/c?d=e now", "address of the web"),
        ("see youtu.be/abc now", "address of the web"),
        ("go to mikaplays dot com now", "address of the web"),
        ("my server is 192.168.0.12 here", "network address"),
    ],
)
def test_personal_data_is_replaced(text: str, kind: str) -> None:
    found: Counter[str] = Counter()
    clean = scrubbed(text, lambda one: found.update([one]))
    assert found == {kind: 1}
    assert not re.search(r"\d|@|http|example|mikaplays|Baker", clean)
    assert clean.split()[0] == text.split()[0] or kind == "street address"


@pytest.mark.parametrize(
    "text",
    [
        *("score 10 20 30 40", "1 2 3 4 5 6 7 8 9", "on 2024-01-02 and 12.05.2031", "1 000 000 hp"),
        *("3 cars on the road", "2 people can drive", "love.it was", "version 1.2.3", "hi @turnip.lord"),
        *("we met at the dot com boom", "DE00 3704 0044 0532 0130 00"[:11], "1999-2004 was great"),
    ],
)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert scrubbed(text, lambda kind: pytest.fail(kind)) == text


@pytest.mark.parametrize("unit", ["a'", "a ", "a b c ", "a.", "1 ", "1-", "<v.a", "&amp;", "a@", "12 A B "])
def test_a_text_made_to_stall_takes_no_time(unit: str) -> None:
    """The longest subtitle that is read; a pattern with a square in it takes seconds for sixteen of them."""
    text = (unit * 2000)[:2000]

    def sixteen() -> None:
        for _ in range(16):
            scrubbed(fluent(unsounded(unmarked(text))), lambda kind: None)

    assert cost_s(sixteen, limit_s=1.2) < 1.2


@given(
    st.lists(st.integers(0, 9), min_size=12, max_size=18),
    st.sampled_from(["", " ", "-"]),
    st.text("ab ", max_size=9),
)
def test_every_card_number_is_found(digits: list[int], gap: str, around: str) -> None:
    total = sum(digits[-2::-2]) + sum(sum(divmod(2 * one, 10)) for one in digits[::-2])
    number = gap.join(map(str, [*digits, -total % 10]))
    assert number not in scrubbed(f"{around} {number} {around}", lambda kind: None)


@settings(deadline=None)
@given(st.text("ab1@.-/+ ", max_size=60))
def test_scrubbing_twice_changes_nothing(text: str) -> None:
    once = scrubbed(text, lambda kind: None)
    assert scrubbed(once, lambda kind: None) == once


def test_names_are_replaced_the_same_everywhere() -> None:
    names = Names(["Mika Hoshino", "Mika"], PERSONA)
    names.meet(["xX_Noodle_Xx", "GravelPit7", "pizza_lover", "You", "Kim"], [])
    noodle, pit, pizza = map(names.viewer, ("xX_Noodle_Xx", "GravelPit7", "pizza_lover"))
    assert len({noodle, pit, pizza}) == 3
    assert (
        names.replaced("hi @xx_noodle_xx and @gravelpit7, says mika hoshino")
        == f"hi {noodle} and {pit}, says Akane"
    )
    assert names.replaced("Hoshino's pizza is for you") == "Akane's pizza is for you"
    assert names.replaced("thanks gravel pit!", aloud=True) == f"thanks {pit.split('_')[0].title()}!"
    short = noodle.split("_")[0].title()
    assert names.replaced("Noodle, hi.", ["xX_Noodle_Xx"], aloud=True) == f"{short}, hi."
    assert (
        names.replaced("I love pizza too.", ["pizza_lover"], ["do you like pizza"], aloud=True)
        == "I love pizza too."
    )
    assert "stranger" not in names.replaced("ask @stranger.99 about it")
    assert Names(["Rin"], PERSONA).viewer("xX_Noodle_Xx") == noodle, "another run agrees"


@settings(deadline=None)
@given(st.lists(HANDLES, unique_by=str.lower, min_size=1, max_size=20))
def test_no_mentioned_handle_stays(handles: list[str]) -> None:
    names = Names(["Mika"], PERSONA)
    names.meet(handles, [])
    text = names.replaced(" and ".join(f"@{handle}" for handle in handles))
    invented = [names.viewer(handle) for handle in handles]
    assert "@" not in text
    assert all(one in text for one in invented)


def test_many_viewers_have_many_names() -> None:
    names = Names(["Mika"], PERSONA)
    assert len({names.viewer(f"viewer{number}") for number in range(20_000)}) == 20_000


def test_a_speaker_holds_until_somebody_else_speaks() -> None:
    cues = [
        *(Cue(0, 1, "<v Mika>one"), Cue(1, 2, "two"), Cue(2, 3, ">> three"), Cue(3, 4, ">> MIKA: four")),
        *(Cue(4, 5, "- five\n- six"), Cue(5, 6, "<v Bo>seven\n<v Mika>eight")),
    ]
    assert [(one.speaker, one.text.lstrip(">")) for one in spoken(cues, frozenset(["mika"]))] == [
        *(("Mika", "one"), ("Mika", "two"), ("", "three"), ("MIKA", "four")),
        *(("", "five"), ("", "six"), ("Bo", "seven"), ("Mika", "eight")),
    ]


def test_a_colon_alone_is_no_speaker() -> None:
    cues = [
        Cue(at, at + 1, text) for at, text in enumerate(["Rule one: never", "run", "with", "a", "hot", "pan"])
    ]
    assert {one.speaker for one in spoken(cues, frozenset(["mika"]))} == {None}


def test_a_pause_ends_an_utterance_and_a_long_one_is_cut() -> None:
    cues = [
        Cue(0, 1, "hello"),
        Cue(1.5, 2, "you"),
        Cue(4, 5, "again"),
        *(Cue(10 + at, 11 + at, "and so on we go") for at in range(60)),
    ]
    utterances = list(joined(cues, nothing))
    assert [one.text for one in utterances[:2]] == ["Hello you.", "Again."]
    assert len(utterances) == 5
    assert [one.whole for one in utterances[:4]] == [True, True, True, False]


def replies(
    said: list[tuple[float, str]], chat: list[tuple[float, str, str]], direct: bool = False
) -> list[list[str]]:
    utterances = [Utterance(at, at + 2, text) for at, text in said]
    messages = [Message(*one) for one in chat]
    found = aligned(utterances, messages, ["Mika"], 30.0, direct, frozenset(), nothing)
    return [[message.text for message in one.messages] for one in found]


def test_a_reply_answers_by_words_by_name_and_when_addressed() -> None:
    chat = [
        *((0.0, "Ann", "what is your favorite soup"), (1.0, "Bob_the_brick", "nice weather")),
        *((2.0, "Cay", "i have a dog"), (3.0, "Dee", "mika sing something")),
    ]
    assert replies([(5.0, "My favorite soup is leek.")], chat) == [["what is your favorite soup"]]
    assert replies([(5.0, "Hello brick.")], chat) == [["nice weather"]]
    assert replies([(5.0, "La la la la.")], chat) == [["mika sing something"]]
    assert replies([(25.0, "La la la la.")], chat) == [[]], "too late to be sure"
    assert replies([(31.0, "That soup again.")], chat) == [[]], "out of the window"
    assert replies([(5.0, "Soup, my favorite."), (9.0, "Soup is my favorite.")], chat) == [
        ["what is your favorite soup"],
        ["mika sing something"],
    ], "a message is answered once"
    assert replies([(5.0, "La la la la.")], chat[:3]) == [[]]
    assert replies([(5.0, "La la la la.")], chat[:3], direct=True) == [["i have a dog"]]


def test_noise_of_chat_is_left_out() -> None:
    dropped: Counter[str] = Counter()
    chat = [
        *(
            ("Nightbot", "hi"),
            ("a", "!so x"),
            ("a", "🐸🐸"),
            ("a", "hello"),
            ("a", "Hello"),
            ("b", "hello"),
            ("a", "bye"),
        ),
    ]
    kept = without_noise(
        (Message(0.0, author, text) for author, text in chat), lambda reason, text: dropped.update([reason])
    )
    assert [(one.author, one.text) for one in kept] == [("a", "hello"), ("b", "hello"), ("a", "bye")]
    assert dropped == {"from a bot": 1, "a command": 1, "no words": 1, "repeated by its author": 1}


def exchange(at: float, said: str, *heard: tuple[str, str]) -> Exchange:
    return Exchange(tuple(Message(at - 5, *one) for one in heard), Utterance(at, at + 2, said))


def test_replies_to_one_viewer_in_a_row_are_one_dialogue() -> None:
    groups = list(
        grouped(
            [
                *(
                    exchange(10, "one", ("a", "x")),
                    exchange(20, "idle"),
                    exchange(30, "two", ("a", "y"), ("b", "z")),
                ),
                *(
                    exchange(40, "three", ("b", "x")),
                    exchange(200, "four", ("b", "x")),
                    exchange(210, "five", ("c", "x")),
                ),
            ]
        )
    )
    assert sorted([one.said.text for one in group] for group in groups) == [
        ["five"],
        ["four"],
        ["idle"],
        ["one", "two", "three"],
    ]


def test_lengths_are_limited() -> None:
    dropped: Counter[str] = Counter()
    kept = fitting(
        [
            *(
                exchange(0, "Yes.", ("a", "x")),
                exchange(0, "Yes I do.", ("a", "x")),
                exchange(0, "Yes I do."),
            ),
            *(exchange(0, "word " * 100, ("a", "x")), exchange(0, "Fine by me.", ("a", "x" * 601))),
            Exchange((), Utterance(0, 1, "and this goes on and on", whole=False)),
        ],
        lambda reason, text: dropped.update([reason]),
    )
    assert [one.said.text for one in kept] == ["Yes I do."]
    assert dropped == dict.fromkeys(
        [
            "reply too short",
            "idle talk too short",
            "speech too long",
            "message too long",
            "middle of a sentence",
        ],
        1,
    )


def test_duplicates_and_near_duplicates_are_left_out() -> None:
    names = Names(["Mika"], PERSONA)
    texts = [
        *(
            "The frog in the harbor jumped over my little boat again.",
            "THE frog in the harbor jumped over my little boat again!",
        ),
        *(
            "The frog in the harbor jumped over my little boat today.",
            "Rice crackers with seaweed are the best snack of all.",
        ),
    ]
    dropped: list[str] = []
    kept = distinct_dialogues(
        [dialogue([exchange(0, text)], names) for text in texts], lambda reason, text: dropped.append(reason)
    )
    assert [one.turns[0].content for one in kept] == [texts[0], texts[3]]
    assert dropped == ["said before", "nearly said before"]


def test_other_languages_are_left_out_and_short_lines_of_ours_stay() -> None:
    pytest.importorskip("py3langid", reason="the extra `transcripts` is not installed")
    may_be = language_test("en")
    for text in (
        "lol ok",
        "nice",
        "gg ez",
        "no no wait",
        "omg ur so good at dis",
        "W stream",
        "42",
        "I have no words for this frog.",
    ):
        assert may_be(text), text
    for text in (
        "gracias por el directo",
        "wie geht es dir heute",
        "привет",
        "こんにちは",
        "je ne sais pas quoi dire",
    ):
        assert not may_be(text), text
    assert language_test("de")("wie geht es dir heute")
    found = in_language(
        [exchange(0, "Hello to you all.", ("a", "wie geht es dir heute")), exchange(9, "Hello to you all.")],
        may_be,
        nothing,
    )
    assert [len(one.messages) for one in found] == [0]
