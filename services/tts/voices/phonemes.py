"""What both neural voices share: English phonemes, stretches, and parts with the time of each sign."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from services.tts.audio import Floats
from services.tts.english import as_said
from services.tts.mouth import from_phonemes
from services.tts.rendering import Part, TimedWord

Token = tuple[str, str, bool]
"""Text, its phonemes, whether a space follows."""

UNIT_S = 0.025
"""Both models count the length of a phoneme in this."""
EARLY_S = 2 * UNIT_S
"""The sound of a phoneme comes so much before its place among the durations, in both models."""
MAX_PHONEMES = 320
"""A sentence is cut behind the word that reaches this; the models know sentences of 400 and more."""
CLAUSE_PHONEMES = 200
"""Longer sentences are split behind the next comma."""
NAMES = {"Akane": "ɑkˈɑnA"}
"""Said as written here; hibari's own guess rhymes with 'cane'."""
_NAME = re.compile(rf"\b({'|'.join(NAMES)})\b", re.IGNORECASE)


class Phonemes(NamedTuple):
    """A stretch that the model says at once; `words` are (text, range of its phonemes)."""

    signs: str
    words: list[tuple[str, int, int]]


def english(g2p: Any, text: str) -> list[Token]:
    """Tokens by hibari's G2P, whose alphabet is Kokoro's, of the words of `as_said`."""
    marked = _NAME.sub(lambda name: f"[{name[0]}](/{NAMES[name[0].title()]}/)", as_said(text))
    return [
        (token.text, token.phonemes or "", bool(token.whitespace))
        for token in g2p.phonemize_tokens(g2p.tokenize(marked))
    ]


def stretches(tokens: list[Token], vocabulary: frozenset[str]) -> list[Phonemes]:
    """Tokens -> stretches of at most `MAX_PHONEMES`, cut between words."""
    done: list[Phonemes] = []
    signs, text = "", ""
    words: list[tuple[str, int, int]] = []
    first: int | None = None
    last = 0
    for token, phonemes, space in tokens:
        for sign in phonemes:
            if sign in vocabulary:
                if sign.isalpha():
                    first, last = len(signs) if first is None else first, len(signs) + 1
                signs += sign
        text += token
        if not space:
            continue
        at = len(signs) if first is None else first
        words.append((text, at, max(at, last)))
        pausing = signs[-1:] in tuple(",;:—…")
        text, first = "", None
        if len(signs) > (CLAUSE_PHONEMES if pausing else MAX_PHONEMES):
            done.append(Phonemes(signs, words))
            signs, words, last = "", [], 0
        elif signs:
            signs += " "
    if text:
        at = len(signs) if first is None else first
        words.append((text, at, max(at, last)))
    if signs.strip():
        done.append(Phonemes(signs.rstrip(), words))
    return done


def timed_part(stretch: Phonemes, samples: Floats, durations: Floats) -> Part:
    """A part from a model's sound and its durations in `UNIT_S`: of silence, of each sign, of silence."""
    starts = np.maximum(np.concatenate([[0.0], np.cumsum(durations)]) * UNIT_S - EARLY_S, 0.0)
    timed = [
        (sign, float(begin), float(end - begin))
        for sign, (begin, end) in zip(stretch.signs, pairwise(starts[1:-1]), strict=True)
    ]
    words = [
        TimedWord(text, float(starts[first + 1]), float(starts[last + 1]))
        for text, first, last in stretch.words
    ]
    return Part("".join(text + " " for text, _, _ in stretch.words), samples, words, from_phonemes(timed))


def with_output(model: bytes, name: str) -> bytes:
    """An ONNX model that also returns its inner value `name`, last.

    A protobuf message may be continued by appending: fields of an embedded message merge, repeated ones add.
    Appended is ModelProto.graph (7) { GraphProto.output (12) { ValueInfoProto.name (1) } }.
    """
    message = name.encode()
    for field in (1, 12, 7):
        if len(message) > 127:
            raise ValueError("the name is too long for a one-byte length")
        message = bytes([field << 3 | 2, len(message)]) + message
    return model + message
