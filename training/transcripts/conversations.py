"""Exchanges into dialogues: names replaced, lengths kept, another language and duplicates left out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence

from shared.persona import PROMPT_CHARS
from training.dialogues import Dialogue, Turn
from training.transcripts.names import Names
from training.transcripts.records import Drop, Exchange
from training.wording import near_duplicates, words

GOES_ON_S = 60.0
"""A reply to the same viewer within this time belongs to the same dialogue."""
MAX_REPLIES = 8
MAX_REPLY_CHARS = 400
MIN_REPLY_WORDS, MIN_IDLE_WORDS = 2, 5
"""Less says nothing without what is on the screen."""


def fitting(exchanges: Iterable[Exchange], drop: Drop) -> Iterator[Exchange]:
    """Exchanges whose texts have a length to learn from."""
    for one in exchanges:
        n_words = len(words(one.said.text))
        dense = len(one.said.text) >= 2 * MIN_IDLE_WORDS and not one.said.text.isascii()
        if n_words < (MIN_REPLY_WORDS if one.messages else MIN_IDLE_WORDS) and not dense:
            drop("reply too short" if one.messages else "idle talk too short", one.said.text)
        elif len(one.said.text) > MAX_REPLY_CHARS:
            drop("speech too long", one.said.text)
        elif not one.messages and not one.said.whole:
            drop("middle of a sentence", one.said.text)
        elif any(len(message.text) > PROMPT_CHARS for message in one.messages):
            drop("message too long", next(m.text for m in one.messages if len(m.text) > PROMPT_CHARS))
        else:
            yield one


def in_language(
    exchanges: Iterable[Exchange], may_be: Callable[[str], bool], drop: Drop
) -> Iterator[Exchange]:
    """Exchanges in which every text may be of the wanted language."""
    for one in exchanges:
        texts = [one.said.text, *(message.text for message in one.messages)]
        foreign = next((text for text in texts if not may_be(text)), None)
        if foreign is None:
            yield one
        else:
            drop("another language", foreign)


def grouped(exchanges: Iterable[Exchange]) -> Iterator[list[Exchange]]:
    """Exchanges of one dialogue: replies in a row that share a viewer; idle talk is one by itself."""
    run: list[Exchange] = []
    for one in exchanges:
        if not one.messages:
            yield [one]
            continue
        authors = {message.author for message in one.messages}
        goes_on = (
            run
            and len(run) < MAX_REPLIES
            and one.said.start_s - run[-1].said.end_s <= GOES_ON_S
            and any(message.author in authors for before in run for message in before.messages)
        )
        if run and not goes_on:
            yield run
            run = []
        run.append(one)
    if run:
        yield run


def dialogue(group: Sequence[Exchange], names: Names) -> Dialogue:
    """The dialogue of one group, under invented names."""
    real = list(dict.fromkeys(message.author for one in group for message in one.messages))
    asked = [message.text for one in group for message in one.messages]
    turns: list[Turn] = []
    for one in group:
        for message in one.messages:
            content = names.replaced(message.text, real, asked)
            turns.append(Turn(role="user", author=names.viewer(message.author), content=content))
        turns.append(Turn(role="assistant", content=names.replaced(one.said.text, real, asked, aloud=True)))
    said = "\n".join(f"{turn.role} {turn.author}: {turn.content}" for turn in turns)
    spoken = any(message.spoken for one in group for message in one.messages)
    return Dialogue(
        id=f"transcript-{hashlib.sha256(said.encode()).hexdigest()[:12]}",
        topic="idle" if not real else "guests" if spoken else "chat",
        viewers=[names.viewer(name) for name in real],
        turns=turns,
    )


def distinct_dialogues(dialogues: Sequence[Dialogue], drop: Drop) -> list[Dialogue]:
    """The first of those that say the same, word for word or nearly (`training.wording.near_duplicates`)."""
    seen: set[str] = set()
    kept: list[Dialogue] = []
    for one in dialogues:
        key = " / ".join(" ".join(words(turn.content)) for turn in one.turns)
        if key in seen:
            drop("said before", one.turns[-1].content)
        else:
            seen.add(key)
            kept.append(one)
    out: set[int] = set()
    pairs = near_duplicates([" ".join(turn.content for turn in one.turns) for one in kept])
    for first, second in sorted((min(a, b), max(a, b)) for a, b, _ in pairs):
        if first not in out and second not in out:
            out.add(second)
            drop("nearly said before", kept[second].turns[-1].content)
    return [one for number, one in enumerate(kept) if number not in out]
