"""The planned mouth against the sound itself: it opens when the vowels sound."""

from __future__ import annotations

import numpy as np

from benchmarks.in_step import GRID_MS, envelope, lag_ms
from services.tts.rendering import assemble
from services.tts.voices import load_voice

SAID = (
    "My day was a little bit dull, but I am still the best one to chat with.",
    "Two eggs and rice is a simple recipe for breakfast, but it is also very good.",
    "Trains are my favourite thing to do, and they make me feel very warm when I go home.",
)


def test_the_planned_mouth_opens_with_the_sound_of_the_neural_voice() -> None:
    voice = load_voice("neural")
    silence = np.zeros(500 // GRID_MS)
    loudness, openness = [], []
    for text in SAID:
        made = assemble(list(voice.synthesize(text, 1.0)), 1.0)
        loud = envelope(made.pcm)
        latest = np.searchsorted(
            [mouth.start_s for mouth in made.mouths], np.arange(len(loud)) * GRID_MS / 1000, "right"
        )
        loudness += [loud, silence]
        openness += [np.array([0.0, *(mouth.openness for mouth in made.mouths)])[latest], silence]
    assert abs(lag_ms(np.concatenate(loudness), np.concatenate(openness))) <= 20
