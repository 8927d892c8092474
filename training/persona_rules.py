"""What every dialogue of a persona set keeps to; each rule names what breaks it, for whoever writes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import get_args

from shared.events import MoodName
from shared.sanitize import clean_name, clean_text
from training.dialogues import Dialogue
from training.wording import words

MAX_WORDS, MAX_SENTENCES = 35, 3
MAX_MESSAGE_CHARS = 500
MOODS = get_args(MoodName)
FORBIDDEN = (
    "as an ai ", "language model", "assistant", "here to help", "how can i help", "how may i help",
    "i apologize", "feel free", "let me know if", "certainly!", "i don't have feelings",
    "i do not have feelings", "my mom", "my dad", "my mother", "my father", "my parents",
    "when i was a child", "when i was little", "i am human", "i'm human", "i'm a real person", "chatgpt",
    "smollm",
)  # fmt: skip
"""Phrases that are never hers, in lower case."""
TAG = re.compile(rf"\[({'|'.join(MOODS)})\]")
_MARKUP = re.compile(
    r"[\[\]<>{}|`*_#;:()—]|https?|www\.|(?:^|\s)(?:user|assistant|system|akane)\s*:", re.IGNORECASE
)
_EMOJI = re.compile(r"[\U0001F300-\U0001FAFF\u2600-\u27BF]")

Rule = Callable[[Dialogue], Iterable[str]]


def replies(dialogue: Dialogue) -> list[str]:
    """Her turns, without mood tags."""
    texts = [turn.content for turn in dialogue.turns if turn.role == "assistant"]
    return [re.sub(r"\s+", " ", TAG.sub("", text)).strip() for text in texts]


def asked(dialogue: Dialogue) -> list[str]:
    """What others say."""
    return [turn.content for turn in dialogue.turns if turn.role == "user"]


def short(dialogue: Dialogue) -> Iterable[str]:
    """One to three sentences, not many words."""
    for text in replies(dialogue):
        sentences = [part for part in re.split(r"(?<=[.!?])\s+", text) if part]
        if len(sentences) > MAX_SENTENCES or len(words(text)) > MAX_WORDS or not words(text):
            yield f"{len(sentences)} sentences, {len(words(text))} words: {text}"


def whole(dialogue: Dialogue) -> Iterable[str]:
    """Each reply ends like a sentence."""
    yield from (
        text for text in replies(dialogue) if not re.search(r"[.!?][\"']?$", _EMOJI.sub("", text).strip())
    )


def hers(dialogue: Dialogue) -> Iterable[str]:
    """No phrase of an assistant, nothing that she cannot claim."""
    for text in replies(dialogue):
        yield from (f"{phrase!r} in: {text}" for phrase in FORBIDDEN if phrase in f"{text.lower()} ")


def plain(dialogue: Dialogue) -> Iterable[str]:
    """No markup, links, labels or brackets; mood tags only where they are asked for."""
    yield from (text for text in replies(dialogue) if _MARKUP.search(text))
    for turn in dialogue.turns:
        if turn.role == "assistant" and bool(TAG.match(turn.content)) != dialogue.tagged:
            yield f"mood tags do not fit `tagged`: {turn.content}"


def in_order(dialogue: Dialogue) -> Iterable[str]:
    """She never speaks twice in a row, speaks last, and everyone who speaks is listed."""
    roles = [turn.role for turn in dialogue.turns]
    if roles[-1] != "assistant" or ("assistant", "assistant") in pairwise(roles):
        yield "her turns are not in order"
    authors = list(dict.fromkeys(turn.author for turn in dialogue.turns if turn.role == "user"))
    if authors != dialogue.viewers:
        yield f"viewers {dialogue.viewers} are not who speaks: {authors}"
    if dialogue.mood not in MOODS:
        yield f"mood {dialogue.mood!r} is none of {', '.join(MOODS)}"


def as_received(dialogue: Dialogue) -> Iterable[str]:
    """Names and messages look as the input service would pass them on."""
    for turn in dialogue.turns:
        if turn.role == "user" and clean_name(turn.author) != turn.author:
            yield f"author {turn.author!r}"
        if turn.role == "user" and clean_text(turn.content, MAX_MESSAGE_CHARS) != turn.content:
            yield f"message {turn.content!r}"


def remembered(dialogue: Dialogue) -> Iterable[str]:
    """A memory names the viewer it is about."""
    if dialogue.memory and not any(
        name == "you" or re.split(r"[\W_\d]", name)[0].lower() in dialogue.memory.lower()
        for name in dialogue.viewers
    ):
        yield dialogue.memory


RULES: dict[str, Rule] = {
    rule.__name__: rule for rule in (short, whole, hers, plain, in_order, as_received, remembered)
}
"""Every rule of a single dialogue by its name."""


def repeated(dialogues: Sequence[Dialogue]) -> list[str]:
    """Replies that occur more than once in the whole set."""
    counts = Counter(" ".join(words(text)) for dialogue in dialogues for text in replies(dialogue))
    return [text for text, times in counts.items() if times > 1]


def emoji_share(dialogues: Sequence[Dialogue]) -> float:
    """Of replies that hold an emoji."""
    texts = [text for dialogue in dialogues for text in replies(dialogue)]
    return sum(bool(_EMOJI.search(text)) for text in texts) / len(texts)
