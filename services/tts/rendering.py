"""What synthesis gives: parts as a voice made them, and a whole chunk ready to be played."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from services.tts.audio import EDGE_S, SAMPLE_RATE_HZ, Floats, Pcm, even_gain, sounding_span, to_pcm

SENTENCE_PAUSE_S = 0.120
CLAUSE_PAUSE_S = 0.060


class TimedWord(NamedTuple):
    """A word and when it sounds, in seconds from the first sample."""

    text: str
    start_s: float
    end_s: float


class TimedMouth(NamedTuple):
    """A mouth shape (`shared.events.MouthShape`) that holds until the next one."""

    shape: str
    start_s: float
    openness: float


class Part(NamedTuple):
    """One sentence of a chunk as the voice made it: samples at `SAMPLE_RATE_HZ`, silence around them."""

    text: str
    samples: Floats
    words: list[TimedWord]
    mouths: list[TimedMouth]


class Rendering(NamedTuple):
    """A chunk ready to play; `words` are the voice's own, numbers written out."""

    pcm: Pcm
    words: list[TimedWord]
    mouths: list[TimedMouth]
    voiced_start_s: float
    """When the first sample sounds that is not silent; of a silent voice, when the first word begins."""

    @property
    def duration_s(self) -> float:
        """Length of the sound."""
        return len(self.pcm) / SAMPLE_RATE_HZ


def planned_pause_s(text: str) -> float:
    """Silence that belongs between `text` and what follows it in the same turn."""
    last = text.rstrip().rstrip("\"'”’)]」』")[-1:]
    if last and last in ".!?…。！？":
        return SENTENCE_PAUSE_S
    return CLAUSE_PAUSE_S if last and last in ",;:—–、，；：" else 0.0


def assemble(parts: Sequence[Part], volume: float) -> Rendering:
    """Join parts: their own silence trimmed, planned pauses between them, loudness evened."""
    pieces: list[Floats] = []
    words: list[TimedWord] = []
    mouths: list[TimedMouth] = []
    voiced_start_s: float | None = None
    at = 0
    for index, part in enumerate(parts):
        if index:
            pause = round(planned_pause_s(parts[index - 1].text) * SAMPLE_RATE_HZ)
            pieces.append(np.zeros(pause, np.float32))
            at += pause
        begin, end = trimmed_span(part.samples)
        placed_words, placed_mouths = _place(part, begin, end, at)
        if voiced_start_s is None:
            first, last = sounding_span(part.samples)
            if last > first:
                voiced_start_s = (at + first - begin) / SAMPLE_RATE_HZ
            elif placed_words:
                voiced_start_s = placed_words[0].start_s
        words += placed_words
        mouths += placed_mouths
        pieces.append(part.samples[begin:end])
        at += end - begin
    whole = np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
    return Rendering(to_pcm(whole, even_gain(whole, volume)), words, mouths, voiced_start_s or 0.0)


def trimmed_span(samples: Floats) -> tuple[int, int]:
    """The sounding part with a little edge; all of it when nothing sounds (a silent voice keeps its time)."""
    first, last = sounding_span(samples)
    if last == first:
        return 0, len(samples)
    edge = round(EDGE_S * SAMPLE_RATE_HZ)
    return max(0, first - edge), min(len(samples), last + edge)


def _place(part: Part, begin: int, end: int, at: int) -> tuple[list[TimedWord], list[TimedMouth]]:
    """Times of the samples `begin:end` of `part` when they start at sample `at` of the chunk."""
    low, high = at / SAMPLE_RATE_HZ, (at + end - begin) / SAMPLE_RATE_HZ

    def moved(time_s: float) -> float:
        return round(min(max(time_s + low - begin / SAMPLE_RATE_HZ, low), high), 4)

    words = [TimedWord(word.text, moved(word.start_s), moved(word.end_s)) for word in part.words]
    mouths: list[TimedMouth] = []
    for mouth in part.mouths:
        start_s = moved(mouth.start_s)
        if mouths and mouths[-1].start_s == start_s:
            mouths.pop()  # its whole time was trimmed away
        mouths.append(TimedMouth(mouth.shape, start_s, mouth.openness))
    if mouths and mouths[-1].start_s == round(high, 4):
        mouths.pop()
    return words, [*mouths, TimedMouth("closed", round(high, 4), 0.0)]
