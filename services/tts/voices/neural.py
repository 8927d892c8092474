"""The default voice: hibari, a small neural English voice, 100 times faster than real time on a CPU."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from services.tts.audio import SAMPLE_RATE_HZ
from services.tts.mouth import from_phonemes
from services.tts.rendering import Part, TimedWord
from services.tts.voices import VoiceError

DURATIONS = "/Clip_output_0"
"""Inner value of hibari 0.2.1's graph: the length of each phoneme in units of `DURATION_S` at any rate."""
DURATION_S = 0.025
MAX_PHONEMES = 320
"""A sentence is cut behind the word that reaches this; the model knows sentences of up to 400."""
CLAUSE_PHONEMES = 200
"""Longer sentences are split behind the next comma."""
NAMES = {"Akane": "ɑkˈɑnA"}
"""Said as written here; hibari's own guess rhymes with 'cane'."""
_NAME = re.compile(rf"\b({'|'.join(NAMES)})\b")


class Phonemes(NamedTuple):
    """A stretch that the model says at once; `words` are (text, range of its phonemes)."""

    signs: str
    words: list[tuple[str, int, int]]


class NeuralVoice:
    """hibari's female American voice at 24 kHz, with the time of each phoneme."""

    def __init__(self) -> None:
        try:
            import hibari
            from hibari.g2p.normalize import normalize
            from hibari.voices import DEFAULT, voice_path

            if hibari.SAMPLE_RATE != SAMPLE_RATE_HZ:
                raise VoiceError(f"hibari-tts {hibari.__version__} speaks at another rate than 0.2.1")
            with open(voice_path(DEFAULT), "rb") as file:
                model = with_output(file.read(), DURATIONS)
            self._hibari = hibari.Hibari(model=model, threads=1)
            self._normalize = normalize
            self._hibari.g2p("Akane warms up.")  # loads the dictionaries
        except VoiceError:
            raise
        except Exception as error:  # a broken install fails in many ways
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise VoiceError(f"the neural voice cannot be loaded ({reason})") from error

    def synthesize(self, text: str, rate: float) -> Iterator[Part]:
        """One part a sentence; words are the normalised ones ("5 km" is "5 kilometers")."""
        for sentence in self._hibari.split_sentences(text):
            for stretch in self._phonemize(sentence):
                if any(sign.isalpha() for sign in stretch.signs):
                    yield self._say(stretch, rate)

    def _phonemize(self, sentence: str) -> list[Phonemes]:
        marked = _NAME.sub(lambda name: f"[{name[0]}](/{NAMES[name[0]]}/)", self._normalize(sentence))
        g2p = self._hibari.g2p
        tokens = [
            (token.text, token.phonemes or "", bool(token.whitespace))
            for token in g2p.phonemize_tokens(g2p.tokenize(marked))
        ]
        return stretches(tokens, frozenset(self._hibari.vocab))

    def _say(self, stretch: Phonemes, rate: float) -> Part:
        from hibari import dsp

        ids = np.asarray([self._hibari.ids(stretch.signs)], np.int64)
        feeds = {"ids": ids, "speed": np.asarray([rate], np.float32)}
        *spectra, f0, durations = self._hibari.sess.run(None, feeds)
        samples = dsp.synth(*(value[0] for value in spectra), f0[0], np.random.default_rng(0))
        starts = np.concatenate([[0.0], np.cumsum(durations)]) * DURATION_S
        # the first and the last id are silence around the stretch
        timed = [
            (sign, float(begin), float(end - begin))
            for sign, (begin, end) in zip(stretch.signs, pairwise(starts[1:-1]), strict=True)
        ]
        words = [
            TimedWord(text, float(starts[first + 1]), float(starts[last + 1]))
            for text, first, last in stretch.words
        ]
        return Part("".join(text + " " for text, _, _ in stretch.words), samples, words, from_phonemes(timed))


def stretches(tokens: list[tuple[str, str, bool]], vocabulary: frozenset[str]) -> list[Phonemes]:
    """Tokens (text, phonemes, space follows) -> stretches of at most `MAX_PHONEMES`, cut between words."""
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
