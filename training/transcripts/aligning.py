"""Which messages of chat something that she said answers: by time, by words in common, by name."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from training.transcripts.function_words import FUNCTION_WORDS
from training.transcripts.names import called
from training.transcripts.records import Drop, Exchange, Message, Utterance
from training.wording import words

GUEST_S = 5.0
"""What a guest said this long before is answered."""
ADDRESSED_S = 15.0
"""A message with her name is answered within this time, even without a word in common."""
MAX_MESSAGES = 3
"""That one reply answers; the latest of the best are taken."""
MIN_LETTERS = 4


def aligned(
    utterances: Sequence[Utterance],
    messages: Sequence[Message],
    streamer: Iterable[str],
    window_s: float,
    direct: bool,
    common: frozenset[str],
    drop: Drop,
) -> Iterator[Exchange]:
    """Each of her utterances with the messages of the `window_s` seconds before that it answers, if any.

    A message is answered once; words in `common` tie nothing. `direct` is for a log in which she types, too:
    where nothing else tells, she answers the last message since her last line. Both are in order of time.
    """
    her_parts = {part for name in streamer for part in called(name)}
    waiting: deque[Message] = deque()
    at = 0
    spoke_s = -1.0
    for said in utterances:
        while at < len(messages) and messages[at].at_s <= said.start_s:
            waiting.append(messages[at])
            at += 1
        while waiting and waiting[0].at_s < said.start_s - window_s:
            drop("message not answered", waiting.popleft().text)
        said_words = set(words(said.text))
        scores = [_score(said, said_words, message, her_parts, common) for message in waiting]
        best = max(scores, default=0)
        chosen = [message for message, score in zip(waiting, scores, strict=True) if best and score == best]
        if not chosen and direct and waiting and waiting[-1].at_s >= spoke_s:
            chosen = [waiting[-1]]
        chosen = chosen[-MAX_MESSAGES:]
        for message in chosen:
            waiting.remove(message)
        spoke_s = said.end_s
        yield Exchange(tuple(chosen), said)
    for message in (*waiting, *messages[at:]):
        drop("message not answered", message.text)


def _score(
    said: Utterance, said_words: set[str], message: Message, her_parts: set[str], common: frozenset[str]
) -> int:
    """How surely `said` answers the message; 0 is not at all."""
    if message.spoken:
        return 4 if said.start_s - message.at_s <= GUEST_S else 0
    heard = set(words(message.text))
    score = min(2, len(_content(said_words) & _content(heard) - common))
    if any(part in said_words for part in called(message.author) if part not in common):
        score += 2
    if said.start_s - message.at_s <= ADDRESSED_S and heard & her_parts:
        score += 1
    return score


def _content(found: set[str]) -> set[str]:
    """Words that carry meaning; of scripts without spaces, any run of two characters or more."""
    return {
        word
        for word in found
        if word not in FUNCTION_WORDS and len(word) >= (MIN_LETTERS if word.isascii() else 2)
    }


def without_noise(messages: Iterable[Message], drop: Drop) -> Iterator[Message]:
    """Messages of people that say something: no bots, commands, bare emoji, or repeated lines."""
    last: dict[str, str] = {}
    for message in messages:
        if message.author.casefold().lstrip("@") in BOTS:
            drop("from a bot", message.text)
        elif re.match(r"[!/]\w", message.text):
            drop("a command", message.text)
        elif not re.search(r"\w", message.text):
            drop("no words", message.text)
        elif last.get(message.author) == message.text.casefold():
            drop("repeated by its author", message.text)
        else:
            last[message.author] = message.text.casefold()
            yield message


BOTS = frozenset(
    words(
        "nightbot streamelements streamlabs moobot fossabot wizebot sery_bot soundalerts "
        "pokemoncommunitygame botrixoficial phantombot deepbot coebot mixitupapp kofistreambot pretzelrocks"
    )
)
