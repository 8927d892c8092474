"""One draw of a reply: text pieces in, chunks that may be spoken out, until it ends or breaks a rule."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from services.director.cutter import Chunk, Cutter
from services.director.gate import PASSED, Gate, Scene, Verdict
from services.director.mood import Feeling, take_tags
from shared.events import MoodName

_ACTION = re.compile(
    r"\*\s*\w+s\b[^*\n]*\*|[(\[]\s*(?:laugh|giggl|smil|blush|wav|sigh|wink|nod|grin)\w*[^)\]\n]*[)\]]"
)
"""`*giggles softly*`, `(laughs)` or `[smiling]`: stage directions are acted, not spoken."""
_MARKS = re.compile(r"\*+|_+")
_LOOSE_STOP = re.compile(r"\s+(?=[.,!?;:…](?:\s|$))")
_FINISHED = re.compile(r"[.!?…。！？]\W*$")


@dataclass(frozen=True)
class Piece:
    """A chunk that passed the gate, without tags, and the mood it is said in."""

    text: str
    mood: MoodName


class Reply:
    """Cuts and judges one draw.

    `verdict` says which rule it broke, `is_full` that the sentence limit is reached; after either, further
    text is ignored.
    """

    def __init__(self, gate: Gate, scene: Scene, sentence_limit: int) -> None:
        self.verdict: Verdict = PASSED
        self.is_full = False
        self._gate = gate
        self._scene = scene
        self._limit = sentence_limit
        self._cutter = Cutter()
        self._feeling = Feeling(scene.asked)
        self._sentences = 0
        label = rf"\s*(?:{re.escape(gate.persona.name)})\s*:\s*"
        self._label = re.compile(label, re.IGNORECASE)

    @property
    def is_over(self) -> bool:
        """No further text is wanted."""
        return self.is_full or not self.verdict

    def feed(self, text: str) -> list[Piece]:
        """The pieces that `text` completes."""
        return [] if self.is_over else self._judge(self._cutter.feed(text))

    def finish(self, was_truncated: bool = False) -> list[Piece]:
        """The rest; a sentence that the model left open for want of tokens is dropped if others passed."""
        rest = self._cutter.flush()
        if was_truncated and self._sentences:
            rest = [chunk for chunk in rest if _FINISHED.search(chunk.text)]
        return [] if self.is_over else self._judge(rest)

    def _judge(self, chunks: list[Chunk]) -> list[Piece]:
        pieces: list[Piece] = []
        for chunk in chunks:
            text, tagged = take_tags(chunk.text, self._scene.said)
            if not self._scene.said:
                text = self._label.sub("", text, count=1) if self._label.match(text) else text
            text = " ".join(_MARKS.sub(" ", _ACTION.sub("", text)).split())
            text = self._gate.without_strangers(_LOOSE_STOP.sub("", text), self._scene)
            if not any(character.isalnum() for character in text):
                continue
            self.verdict = self._gate.check(text, self._scene)
            if not self.verdict:
                break
            said = f"{self._scene.said} {text}".strip()
            self._scene = replace(self._scene, said=said)
            pieces.append(Piece(text, self._feeling.of(text, tagged)))
            self._sentences += chunk.ends_sentence
            if self._sentences >= self._limit:
                self.is_full = True
                break
        return pieces


def prepared(text: str, mood: MoodName | None = None) -> list[Piece]:
    """A text that somebody wrote for her, cut into pieces."""
    cutter, feeling = Cutter(), Feeling()
    texts = [" ".join(chunk.text.split()) for chunk in [*cutter.feed(text), *cutter.flush()]]
    return [Piece(part, feeling.of(part, mood)) for part in texts if part]
