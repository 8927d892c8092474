"""Text to speakable text: what nobody would read aloud is left out, what is drawn out for effect is cut."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple, get_args

from services.tts.english import SPOKEN_SIGNS
from services.tts.faces import blank_faces
from shared.events import MoodName

GAP = "\0"
"""Stands for a character that is shown but not spoken."""

_BRACKETS = re.compile(r"\[([^\[\]\n]{1,40})\](?!\()")
_MARKUP = re.compile(
    r"<\|[^<>\n]{0,40}>|<a?:\w{1,40}:\d+>|<[@#][!&]?\d+>|<!--|-->"
    r"|</?(?:a|b|i|u|s|em|strong|br|p|hr|img|span|div|code|pre|[uo]l|li|h[1-6]|su[bp]|small|big|font|center|table"
    r"|t[rdh]|blockquote|think|speak|prosody|emphasis|break|voice)(?:\s[^<>\n]{0,60})?/?>",
    re.IGNORECASE,
)
"""Tags of HTML and SSML, a model's own (<|im_end|>), a chat's numbered emotes: neither shown nor spoken."""
_MOODS = frozenset((
    *get_args(MoodName), "angry", "amused", "anxious", "awkward", "bored", "calm", "cheerful", "confident",
    "confused", "curious", "disappointed", "embarrassed", "excitedly", "flustered", "gentle", "gently",
    "happily", "joyful", "mad", "nervous", "nervously", "playful", "playfully", "proud", "sadly",
    "sarcastic", "scared", "serious", "shocked", "shyly", "sleepy", "smug", "smugly", "softly", "surprise",
    "thoughtful", "tired", "warm", "warmly", "worried",
))  # fmt: skip
_DEGREES = frozenset((
    "a", "and", "bit", "extremely", "little", "really", "slightly", "so", "super", "very",
    "mood", "emotion", "tone", "expression",
))  # fmt: skip
_CUES = frozenset(("inst", "sys", "pause", "beat", "music", "applause", "laughter", "silence"))
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)\s]*\)")
_URL = re.compile(r"(?:https?://|www\.)\S*[^\s.,!?;:)\]}'\"*_]", re.IGNORECASE)
_FENCE = re.compile(r"```\w*(?:[^`]*```)?")
_EMPHASIS = re.compile(r"(\*\*|__|~~)(?=\S)(.+?)(?<=\S)\1")
_ACTION = re.compile(r"(?<![\w*])\*(?=[^\s*])([^*\n]{1,80}?)(?<=[^\s*])\*(?![\w*])")
_NOT_ACTIONS = frozenset("this yes is was always his us plus its perhaps king sing bring".split())  # noqa: SIM905
_BARE_ACTIONS = frozenset(
    "giggle laugh smile sigh wink nod wave blush gasp grin hug cough yawn chuckle pout shrug clap sob".split()  # noqa: SIM905
)
_KEPT_MARKS = frozenset("_.,!?…;:—–-'’\"“”()%&+=/@#$£€¥₹₩¢°。、" + SPOKEN_SIGNS)
_COMPOSED = re.compile(f"([{re.escape(SPOKEN_SIGNS)}])")
"""Signs that NFKC would tear apart or flatten: ½ is not 12, x² is not x2."""
_LETTERS = re.compile(r"[^\W\d_]{3,}")
_RUN = re.compile(r"([^\W\d_])\1{2,}", re.IGNORECASE)
_KEPT_RUN = re.compile(r"(?:X[CL]|L?X{0,3})(?:I[XV]|V?I{0,3})|([A-HJ-LNP-TV-Y])\1\1|IEEE|AAAS|XXXL")
"""Roman numerals, and acronyms such as AAA; a vowel in capitals but A is a cry."""
_LAUGH = re.compile(r"[bmu]*a?(ha|he|hi|ho|ja|ke|hue)\1{2,}h?", re.IGNORECASE)
_LOL = re.compile(r"lo(?:lo)+l", re.IGNORECASE)
_HUMMED = frozenset("hmrzfgsw")
_STRONG = re.compile(r"[!?]{2,}")
_DOTS = re.compile(r"\.{2,}|…{2,}")
_DASHES = re.compile(r"[-–]{2,}")
MAX_WORD_CHARS = 40
"""Nobody reads out more of a word, and engines choke on thousands."""
_SIGNS = [
    (re.compile(r"[-=]>"), "→"),
    (re.compile(r"(?<=\w)>=(?=\w)"), "≥"),
    (re.compile(r"(?<=\w)<=(?=\w)"), "≤"),
    (re.compile(r"(?<=\w)!=(?=\w)"), "≠"),
    (re.compile(r"(?<=\d)\*(?=\d)"), "×"),
    (re.compile(r"(?<=\w)\*{2}(?=\d)"), "^"),
    (re.compile(r"~(?!\d)|(?<![\w)])\^|\^(?![\w(-])|(?<!\w)[<>]|[<>](?![\w-])|\*|={2,}"), ""),
    (re.compile(r"#{2,}|(?<![A-Za-z])#(?!\w)|(?<!\w)_+|_+(?!\w)"), ""),
    (re.compile(r"_+"), "-"),
    (re.compile(r"(?<=[ぁ-ヿ一-鿿])w+(?![A-Za-z])|^ww$"), ""),  # laughter
]  # fmt: skip
"""What a sign within a word means; where it means nothing it goes."""
_LONE = {"*": "×", "-": "-", "—": "—", "–": "–", "->": "→", "=>": "→", "<=": "≤", ">=": "≥", "!=": "≠"}
_LONE.update({"--": "—", "---": "—"})
_LONE.update({sign: sign for sign in "&+=<>×÷±≈≤≥≠→−"})
"""Signs that stand alone: read, or heard as a pause, between two words; at the beginning they mark a list."""


class Speakable(NamedTuple):
    """Words as shown and, side by side, what is spoken for each (empty: shown only)."""

    shown: list[str]
    spoken: list[str]

    @property
    def text(self) -> str:
        """What the voice gets; empty when there is nothing to say."""
        return " ".join(word for word in self.spoken if word) if self.audible else ""

    @property
    def audible(self) -> bool:
        """At least one word has a letter or a digit."""
        return any(character.isalnum() for word in self.spoken for character in word)


def speakable(text: str) -> Speakable:
    """Split `text` into shown words and what is said for each.

    Left out: emoji, kaomoji, stage directions (*waves*), markup. Mood tags are not even shown. Links become
    their text or the word "link"; letters and marks that are repeated for effect are cut to what is read.
    Numbers and signs that mean something stay: each voice has its own way to write them out
    (`services.tts.english`).
    """
    shown_text = " ".join(_BRACKETS.sub(_without_tag, _MARKUP.sub(" ", text)).split())
    masked = _LINK.sub(_mask_link, shown_text)
    masked = _URL.sub(lambda url: "link".ljust(len(url[0]), GAP)[: len(url[0])], masked)
    masked = _FENCE.sub(lambda code: GAP * len(code[0]), masked)
    masked = blank_faces(masked, GAP)
    masked = _EMPHASIS.sub(lambda found: GAP * 2 + found[2] + GAP * 2, masked)
    masked = _ACTION.sub(_mask_action, masked)
    words = [(word[0], masked[word.start() : word.end()]) for word in re.finditer(r"\S+", shown_text)]
    spoken = [_say(word) for _, word in words]
    return Speakable([shown for shown, _ in words], _settle_lone([word for _, word in words], spoken))


def _without_tag(found: re.Match[str]) -> str:
    """Brackets around a mood or a cue go; all others are shown, and spoken without the marks."""
    words = found[1].casefold().replace("/", " ").replace("-", " ").replace(",", " ").split()
    named = [word.strip(":=") for word in words]
    tagged = bool(named) and all(word in _MOODS or word in _DEGREES for word in named)
    if (tagged and named[-1] in _MOODS) or (len(named) == 1 and named[0] in _CUES):
        return " "
    return " " if named and len(named) <= 4 and _acts(named[0]) else found[0]


def _acts(verb: str) -> bool:
    """ "laughs", "waving": a form of one of the bare actions."""
    forms = [verb, verb.removesuffix("s"), verb.removesuffix("es"), verb.removesuffix("ing")]
    return any(form in _BARE_ACTIONS or form + "e" in _BARE_ACTIONS for form in forms)


def _mask_link(link: re.Match[str]) -> str:
    before = link[0].index("[") + 1
    return GAP * before + link[1] + GAP * (len(link[0]) - len(link[1]) - before)


def _mask_action(found: re.Match[str]) -> str:
    """A stage direction begins with a verb in -s or -ing, or is one bare verb; all else is emphasis."""
    inner = found[1]
    verb = inner.split()[0].casefold()
    acts = verb.endswith(("s", "ing")) and not verb.endswith("thing") and verb not in _NOT_ACTIONS
    if acts or inner.casefold() in _BARE_ACTIONS:
        return GAP * len(found[0])
    return GAP + inner + GAP


def _say(word: str) -> str:
    word = "".join(sign for sign in word if sign in _KEPT_MARKS or not _is_dropped(sign))
    parts = _COMPOSED.split(word)  # every second one is such a sign
    word = "".join(
        part if index % 2 else unicodedata.normalize("NFKC", part) for index, part in enumerate(parts)
    )
    kept = "".join(character for character in word if _is_read(character))
    kept = _LETTERS.sub(_shorten_letters, kept)[:MAX_WORD_CHARS]
    for sign, meant in _SIGNS:
        kept = sign.sub(meant, kept)
    kept = _STRONG.sub(lambda run: "?" if "?" in run[0] else "!", kept)
    kept = _DASHES.sub("—", _DOTS.sub("…", kept))
    if any(character.isalnum() for character in kept):
        return kept
    return kept.strip("'\"()@#/&=+%-—–" + SPOKEN_SIGNS)


def _settle_lone(masked: list[str], spoken: list[str]) -> list[str]:
    """A sign that stands alone is read between two words that are spoken, and only there."""
    settled = list(spoken)
    for index in range(1, len(masked)):
        before, after = spoken[index - 1], "".join(spoken[index + 1 : index + 2])
        if masked[index].startswith("%") and before[-1:].isdigit():
            settled[index] = masked[index]
        meant = _LONE.get(masked[index])
        if not (meant and before and any(map(str.isalnum, after))):
            continue
        counted = all(len(each) == 1 or any(map(str.isdigit, each)) for each in (before, after))
        if counted or meant not in "<>×":
            settled[index] = meant
    return settled


def _is_dropped(sign: str) -> bool:
    """Before NFKC, which makes letters of ™ and a letter's accent of a free-standing one."""
    return sign in GAP + "™℠" or unicodedata.category(sign) == "Sk"


def _is_read(character: str) -> bool:
    category = unicodedata.category(character)
    drawn = category == "Me" or "\ufe00" <= character <= "\ufe0f"  # keycaps, and "as an emoji"
    return (category[0] in "LNM" and not drawn) or character in _KEPT_MARKS


def _shorten_letters(found: re.Match[str]) -> str:
    letters = found[0]
    if _KEPT_RUN.fullmatch(letters):
        return letters
    if laugh := _LAUGH.fullmatch(letters):
        return " ".join([laugh[1].lower()] * 3)
    return "lol" if _LOL.fullmatch(letters) else _RUN.sub(_shorten, letters)


def _shorten(run: re.Match[str]) -> str:
    """ "sooo" -> "so", "cooool" -> "cool", "hmmmm" -> "hmm", "yaaay" -> "yay"."""
    letter = run[1]
    if letter.casefold() in _HUMMED or not letter.isascii():
        return letter * 2
    return letter if run.end() == len(run.string) or letter.casefold() not in "oe" else letter * 2
