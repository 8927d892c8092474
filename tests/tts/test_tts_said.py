"""From what the model writes to what is said: numbers, signs, units, faces, markup; and what captions show."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

import pytest
from costs import cost_s

from services.tts import english
from services.tts.english import as_said
from services.tts.speakable import speakable
from services.tts.voices.phonemes import english as tokens

SAID = {
    "dates": [
        ("2026-11-29", "November twenty-ninth, 2026"),
        ("11/29/2026", "November twenty-ninth, 2026"),
        ("29.11.2026", "November twenty-ninth, 2026"),
        ("2026/11/29", "November twenty-ninth, 2026"),
        ("Nov 3rd", "November third"),
        ("on May 5, 2026", "on May fifth, 2026"),
        ("the 90s, 1990s", "the 90s, 1990s"),
    ],
    "times": [
        ("at 7:30 pm", "at seven thirty P.M."),
        ("at 19:05.", "at nineteen oh five."),
        ("open 24/7", "open 24 7"),
    ],
    "units": [
        ("5 km/h", "5 kilometers per hour"),
        ("20 °C or 20°C", "20 degrees Celsius or 20 degrees Celsius"),
        ("3.5 GB at 100 MB/s", "3.5 gigabytes at 100 megabytes per second"),
        ("60fps, 60 FPS", "60 frames per second, 60 frames per second"),
        ("1 m, 5 m², 10 m/s", "1 meter, 5 square meters, 10 meters per second"),
        ("100 g in 5s", "100 grams in 5 seconds"),
        ("I'm 5'4", "I'm 5 foot 4"),
    ],
    "numbers": [
        ("50 % and 50%", "50% and 50%"),
        ("1,000,000", "1,000,000"),
        ("1st and 2nd", "1st and 2nd"),
        ("4K and 10K", "4K and 10 thousand"),
        ("10k views, 1.5M fans, 2x", "10 thousand views, 1.5 million fans, 2 times"),
        ("1/2 or 9/10", "one half or 9 out of 10"),
        ("½ cup, 2½ cups, ⅔", "one half cup, 2 and one half cups, two thirds"),
        ("12345678901234", "1 2 3 4 5 6 7 8 9 0 1 2 3 4"),
        ("10-20, -5, I scored 5-3", "10 to 20, -5, I scored 5 to 3"),
        ("16:9, it was 3-2.", "16 to 9, it was 3 to 2."),
        ("call (555) 123-4567", "call 5 5 5, 1 2 3, 4 5 6 7"),
        ("+1 555-123-4567", "plus 1, 5 5 5, 1 2 3, 4 5 6 7"),
        ("555-1234", "5 5 5, 1 2 3 4"),
    ],
    "money": [
        ("$3.50 or $1", "3 dollars and 50 cents or 1 dollar"),
        ("€5, 20€, 3,50 €", "5 euros, 20 euros, 3 euros and 50 cents"),
        ("£0.05, £1.01", "5 pence, 1 pound and 1 penny"),
        ("$10k, $5M, ¥500", "10 thousand dollars, 5 million dollars, 500 yen"),
        ("$20-$30, €5-10", "20 dollars to 30 dollars, 5 euros to 10 euros"),
        ("$5/month", "5 dollars per month"),
    ],
    "versions and names": [
        ("v2.0 and Python 3.10", "version 2 point 0 and Python 3 point 1 0"),
        ("1.2.3", "1 point 2 point 3"),
        ("C++ and C#", "C++ and C sharp"),
        ("1v1 me, GPT-4", "1v1 me, GPT-4"),
        ("hi @name #tag #1", "hi name hashtag tag number 1"),
        ("a.b@example.com", "a dot b at example dot com"),
        ("see https://example.org/a?b=c.", "see link."),
        ("go to twitch.tv/akane now", "go to twitch dot tv now"),
        ("w/ you, w/o me, w/friends", "with you, without me, with friends"),
        ("he/him and/or", "he him and or"),
        ("Q&A, salt & pepper", "Q&A, salt & pepper"),
        ("Akane™ rocks®", "Akane rocks"),
    ],
    "letters": [
        ("Final Fantasy VIII", "Final Fantasy 8"),
        ("World War III.", "World War 3."),
        ("Henry VIII", "Henry the eighth"),
        ("Elden Ring II, GTA V", "Elden Ring 2, GTA 5"),
        ("I MIX it", "I MIX it"),
        ("AAA games, AAA!", "triple A games, AAA!"),
        ("IEEE, WWW, NASA", "IEEE, triple W, NASA"),
        ("soooo cooool, NOOOO, hmmmm", "so cool, NO, hmm"),
        ("hahahaha! LOLOLOL hehe", "ha ha ha! lol hehe"),
        ("THIS IS SO COOL", "THIS is so COOL"),
        ("HELLO EVERYONE", "HELLO EVERYONE"),
    ],
    "mathematics": [
        ("3×4, 3*4, 3 * 4", "3 times 4, 3 times 4, 3 times 4"),
        ("e=mc^2", "e equals mc squared"),
        ("x², x³, 10⁶, 2^10", "x squared, x cubed, 10 to the power of 6, 2 to the power of 10"),
        ("~20 people, ≈5", "about 20 people, about 5"),
        ("10 - 3 = 7", "10 minus 3 equals 7"),
        ("5 > 3, x<5, x >= 2", "5 greater than 3, x less than 5, x at least 2"),
        ("a -> b", "a to b"),
        ("1920x1080", "1920 by 1080"),
        ("±3, 10 − 3", "plus or minus 3, 10 minus 3"),
        ("CO₂", "CO2"),
    ],
    "markup": [
        ("**bold**, *really*, ~~gone~~", "bold, really, gone"),
        ("`code` snake_case __init__", "code snake-case init"),
        ("- one", "one"),
        ("* one", "one"),
        ("# Heading", "Heading"),
        ("> quote", "quote"),
        ("```python", ""),
        ("===== hi =====", "hi"),
        ("one — two -- three", "one — two — three"),
        ("[text](http://x.y) ![alt](z)", "text alt"),
        ("<b>bold</b> <|im_end|> <:pog:123> <name>", "bold name", "bold <name>"),
    ],
    "tags": [
        ("[happy] Hi [very sad] there", "Hi there", "Hi there"),
        ("[mood: excited] a [laughs softly] b [sighs]", "a b", "a b"),
        ("I scored [5-3] today", "I scored 5 to 3 today"),
        ("[see note] and [games list]", "see note and games list"),
        ("[I am happy]", "I am happy"),
        ("*waves happily* Hi", "Hi"),
    ],
    "faces": [
        (r"¯\_(ツ)_/¯ whatever", "whatever"),
        ("ヽ(^o^)ノ yay", "yay"),
        ("<3<3 you</3 <333", "you"),
        ("(╯°□°)╯︵ ┻━┻ flip", "flip"),
        ("( ͡° ͜ʖ ͡°) hm ʕ•ᴥ•ʔ", "hm"),
        ("ಠ_ಠ (>_<) (T_T) m(_ _)m no", "no"),
        ("(ノ◕ヮ◕)ノ*:･ﾟ✧ wow", "wow"),
        (r"\(^o^)/ (o_o) \o/ yes", "yes"),
        (":D :P :3 :'( D: xD XD ^_^ ok", "ok"),
        (":wave: hello :pog::pog:", "hello"),
        ("(yes) f(x) (笑) (a/b) (2026) (maybe?)", "(yes) f(x) (笑) (a b) (2026) (maybe?)"),
        ("(ok → go) (I ♥ you)", "(ok to go) (I you)"),
        ("I ❤️ you 👩‍👩‍👧 5️⃣ 5★", "I you 5 5"),
        ("hello~ there~~", "hello there"),
    ],
    "Japanese": [
        ("こんにちは50%", "こんにちは50%"),
        ("草wwww", "草"),
        ("そう（え、マジ？）", "そう(え、マジ?)"),
        ("ｶﾞﾝﾊﾞﾚ ＯＫ", "ガンバレ OK"),
    ],
}  # fmt: skip
ROWS = [(kind, written, said, *shown) for kind, rows in SAID.items() for written, said, *shown in rows]
SIGNS_READ = ("slˈæʃ", "ˈæstəɹˌɪsk", "tˈɪldə", "kˈɛɹət", "hˈæʃ ", "dˈæʃ", "ˌʌndəɹskˈɔɹ", "bˈækslˌæʃ")
"""What hibari says for signs that nobody reads out."""


@cache
def g2p() -> Any:
    from hibari.g2p import G2P

    return G2P()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}: {row[1]}")
def test_what_is_said_and_what_is_shown(row: tuple[str, ...]) -> None:
    _, written, said, *shown = row
    words = speakable(written)
    assert as_said(words.text) == said
    assert words.shown == (shown[0] if shown else written).split()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}: {row[1]}")
def test_the_neural_voice_reads_no_sign_by_its_name(row: tuple[str, ...]) -> None:
    phonemes = " ".join(signs for _, signs, _ in tokens(g2p(), speakable(row[1]).text)) + " "
    assert not [name for name in SIGNS_READ if name in phonemes]


def test_the_table_has_every_kind() -> None:
    assert len(ROWS) >= 80
    assert len({written for _, written, *_ in ROWS}) == len(ROWS)


def test_without_hibari_the_rest_is_still_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's voice stands in when that package is broken."""
    monkeypatch.setitem(sys.modules, "hibari.g2p.normalize", None)
    english._normaliser.cache_clear()
    try:
        assert as_said("½ of C# is 10k for $5") == "one half of C sharp is 10 thousand for 5 dollars"
    finally:
        english._normaliser.cache_clear()


@pytest.mark.parametrize(
    "piece",
    [
        "a.",
        "1.",
        "1,",
        "1/",
        "A ",
        "5m",
        "@a",
        "$1",
        "x^",
        "½",
        "1 - ",
        "555-",
        "(555) ",
        ":a",
        "¯(",
        "(^",
        "ha",
        "w",
        "<3",
        "̄",
    ],
)
def test_hostile_text_is_quick(piece: str) -> None:
    def said() -> None:
        as_said(speakable(piece * 1000).text)
        as_said(speakable((piece + " ") * 600).text)

    assert cost_s(said, limit_s=1.0) < 1.0
