"""A voice without sound: time, mouth and captions go on as if somebody spoke."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from services.tts.audio import SAMPLE_RATE_HZ
from services.tts.mouth import from_letters
from services.tts.rendering import Part
from services.tts.timing import estimate


class SilentVoice:
    """Durations are estimated from the text, mouth shapes from its letters."""

    def synthesize(self, text: str, rate: float, semitones: float = 0.0) -> Iterator[Part]:
        """One part of silence as long as the text would take to say."""
        words = estimate(text.split(), rate)
        if not words or words[-1].end_s == 0.0:
            return
        mouths = [mouth for word in words for mouth in from_letters(word.text, word.start_s, word.end_s)]
        samples = np.zeros(round(words[-1].end_s * SAMPLE_RATE_HZ), np.float32)
        yield Part(text, samples, words, mouths)
