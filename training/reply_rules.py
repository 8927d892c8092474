"""Whether a reply is in persona, judged from the outside: shares no code and no word list with the gate."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.config import load_toml

NAME = "Akane"
MAX_SENTENCES = 3
MAX_SENTENCE_WORDS = 35
MAX_WORDS = 70

_LISTS = load_toml(Path(__file__).with_name("data") / "reply_words.toml")

_GREETING = re.compile(
    r"\b(?:Hi|Hey|Hello|Thanks|Thank you|Welcome|Bye|Goodbye|Night|Morning),? (?:there, )?"
    r"([A-Z]\w+)"
)
_CLOSING = re.compile(r", ([A-Z]\w+)[.!?]")
_NO_NAME = {
    "AI",
    "VTuber",
    "God",
    "I",
    "English",
    "Japanese",
    "Twitch",
    "Internet",
    "So",
    "It",
    "What",
    "How",
    "Let",
}

_HUMAN = (
    r"\bI(?:'m| am) (?:a |human\b)?(?:real )?(?:human|person)\b(?! made)",
    r"\bI(?:'m| am) \w+, (?:a|the) (?:real|human|actual)\b",
    r"\bI(?:'m| am) not an? (?:AI|robot|VTuber|machine)\b",
    r"\bI(?:'m| am) (?:only |just |about |almost )?\d+\b(?! minutes| seconds| hours)",
    r"\bas a human\b",
)


@dataclass(frozen=True)
class Question:
    """One line of a viewer; `asks_who` means that the answer has to give her name."""

    author: str
    text: str
    asks_who: bool = False
    others: str = ""
    """Whatever else she has been told: names and words in it may be said."""
    keywords: tuple[str, ...] = ()
    """A sensible answer holds one of them, where there are any."""


@dataclass(frozen=True)
class Answer:
    """What she said, how the turn ended, and what she had said before in the same show."""

    text: str
    end: str
    earlier: Sequence[str] = ()


def sentences(text: str) -> list[str]:
    """Split at runs of stops that are followed by a space or the end."""
    return [part for part in re.split(r"(?<=[.!?…])[\"')\]]*\s+", text.strip()) if part]


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", text.lower().replace("’", "'"))


def answered(question: Question, answer: Answer) -> bool:
    """The model's own words were voiced, and no written line in their place."""
    return answer.end in ("stop", "length") and len(_words(answer.text)) >= 2


def own_name(question: Question, answer: Answer) -> bool:
    """She gives no other name, and does not take the viewer for herself."""
    text = answer.text.replace("’", "'")
    for found in re.findall(r"(?i:my name is|my name's|call me|i'm called|i am called) (\w+)", text):
        if found.lower() not in (NAME.lower(), "anything", "whatever", "what"):
            return False
    for found in re.findall(r"\b(?:I'm|I am|This is|[Tt]hat's me|[Ii]t's me),? ([A-Z]\w+)", text):
        if found not in (NAME, *_NO_NAME) and found in _LISTS["first_names"]:
            return False
    return not re.search(
        rf"\b(?:Hi|Hey|Hello|Thanks|Thank you|Welcome|Bye),? {NAME}\b|(?<!me), {NAME}[.!?]", text
    )


def own_person(question: Question, answer: Answer) -> bool:
    """She speaks as herself, of herself in the first person, and does not pass for a human."""
    text = answer.text.replace("’", "'")
    if any(re.search(pattern, text, re.IGNORECASE) for pattern in _HUMAN):
        return False
    return not re.search(rf"\b{NAME} (?:is|was|has|said|says|will|would|can|smile[sd]|laugh[s]?)\b", text)


def short(question: Question, answer: Answer) -> bool:
    """One to three short sentences."""
    parts = sentences(answer.text)
    return (
        1 <= len(parts) <= MAX_SENTENCES
        and len(_words(answer.text)) <= MAX_WORDS
        and all(len(_words(part)) <= MAX_SENTENCE_WORDS for part in parts)
    )


def no_assistant(question: Question, answer: Answer) -> bool:
    """Nothing of the phrases by which an assistant gives itself away."""
    text = answer.text.lower().replace("’", "'")
    return not any(phrase in text for phrase in _LISTS["assistant"])


def no_loop(question: Question, answer: Answer) -> bool:
    """No run of five words twice in the reply, and no whole reply said before."""
    words = _words(answer.text)
    runs = [tuple(words[at : at + 5]) for at in range(len(words) - 4)]
    return len(set(runs)) == len(runs) and answer.text not in answer.earlier


def in_english(question: Question, answer: Answer) -> bool:
    """Latin letters, and at least one of the commonest English words."""
    letters = [character for character in answer.text if character.isalpha()]
    latin = sum(character.isascii() or "À" <= character <= "ɏ" for character in letters)
    return (
        bool(letters)
        and latin >= 0.9 * len(letters)
        and bool(set(_LISTS["common"]) & set(_words(answer.text)))
    )


def no_invented_viewer(question: Question, answer: Answer) -> bool:
    """Nobody is spoken to or named who was not there."""
    there = f"{question.author} {question.text} {question.others} {NAME}".lower()
    spoken_to = [*_GREETING.findall(answer.text), *_CLOSING.findall(answer.text)]
    named = [word for word in re.findall(r"\b[A-Z][a-z]+\b", answer.text) if word in _LISTS["first_names"]]
    return all(word.lower() in there or word in _NO_NAME for word in [*spoken_to, *named])


def no_leak(question: Question, answer: Answer) -> bool:
    """No tag, markup, role label, link or stage direction."""
    text = answer.text.replace(question.author, "").replace(question.author.capitalize(), "")
    return not re.search(
        r"[\[\]<>{}|`*_#]|https?:|www\.|(?:^|\s)(?:user|assistant|system|akane)\s*:", text, re.I
    )


def says_who(question: Question, answer: Answer) -> bool:
    """Asked who she is, she says so."""
    return not question.asks_who or NAME in answer.text


def to_the_point(question: Question, answer: Answer) -> bool:
    """Holds one of the words that a sensible answer needs."""
    text = " " + answer.text.lower().replace("’", "'")
    return not question.keywords or any(word in text for word in question.keywords)


def ends_whole(question: Question, answer: Answer) -> bool:
    """The last sentence is complete."""
    return bool(re.search(r"[.!?…~♪][\"')\]]*\W*$", answer.text))


RULES: dict[str, Callable[[Question, Answer], bool]] = {
    rule.__name__: rule
    for rule in (
        answered, own_name, own_person, says_who, short, ends_whole, no_assistant, no_loop,
        no_invented_viewer, no_leak, in_english, to_the_point,
    )
}  # fmt: skip
"""Every rule by the name under which its share is printed."""


def broken(question: Question, answer: Answer) -> list[str]:
    """Names of the rules that a reply breaks."""
    return [name for name, rule in RULES.items() if not rule(question, answer)]
