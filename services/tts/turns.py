"""A turn's speech and its chunks: what has sounded of them at a position."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from services.tts.audio import SAMPLE_RATE_HZ, Pcm
from services.tts.rendering import Rendering, TimedMouth, TimedWord
from services.tts.ring import Key
from services.tts.speakable import Speakable
from services.tts.timing import align
from shared.events import MoodName


@dataclass
class Chunk:
    """One `tts.speak` on its way from text to sound."""

    turn_number: int
    index: int
    words: Speakable
    mood: MoodName
    last: bool
    rendering: Rendering | None = None
    shown: list[TimedWord] = field(default_factory=list)
    """The words as written, with the times of what is said for them."""
    begun: bool = False
    ended: bool = False
    sound_mono_ns: int | None = None
    reported_ns: int = 0

    @property
    def key(self) -> Key:
        """Name in the ring."""
        return self.turn_number, self.index

    @property
    def frames(self) -> int:
        """Length of the sound, without the pause behind it."""
        return len(self.rendering.pcm) if self.rendering else 0

    @property
    def voiced_start_frame(self) -> int:
        """The first sample that is not silent."""
        return round(self.rendering.voiced_start_s * SAMPLE_RATE_HZ) if self.rendering else 0

    @property
    def text(self) -> str:
        """As shown."""
        return " ".join(self.words.shown)

    def words_heard(self, position_s: float) -> int:
        """How many words have sounded by then."""
        return words_heard(self.shown, position_s)

    def text_heard(self, position_s: float) -> str:
        """These words."""
        return " ".join(word.text for word in self.shown[: self.words_heard(position_s)])


@dataclass
class Turn:
    """Everything she says between one answer and the next."""

    name: str
    number: int
    """Counts up; unlike a name it never comes back."""
    epoch: int
    owner: str
    """Bus session of the process that commands it."""
    chunks: list[Chunk] = field(default_factory=list)
    closed: bool = False
    """Nothing follows."""
    error: str = ""
    """Why the rest cannot be spoken."""
    mouth_open: bool = False
    """The last `avatar.mouth` was not a closed one."""

    @property
    def keys(self) -> list[Key]:
        """Its chunks in the ring."""
        return [chunk.key for chunk in self.chunks]

    def spoken_s(self, before: Chunk | None = None) -> float:
        """Length of the chunks (all, or those in front of one)."""
        chunks = self.chunks if before is None else self.chunks[: self.chunks.index(before)]
        return sum(chunk.frames for chunk in chunks) / SAMPLE_RATE_HZ


@dataclass(frozen=True)
class Recording:
    """What the device was given for a turn."""

    number: int
    turn: str
    pcm: Pcm


def shown_words(words: Speakable, rendering: Rendering) -> list[TimedWord]:
    """The written words with times; what is not spoken (emoji, stage directions) has no length."""
    spoken = [word for word in words.spoken if word]
    timed = iter(align(rendering.words, spoken) if len(rendering.pcm) else [])
    shown: list[TimedWord] = []
    at = 0.0
    for text, said in zip(words.shown, words.spoken, strict=True):
        word = next(timed, None) if said else None
        if word:
            at = word.end_s
        shown.append(word._replace(text=text) if word else TimedWord(text, at, at))
    return shown


def words_heard(words: Sequence[TimedWord], position_s: float) -> int:
    """A word counts as heard when half of it has sounded; one without length, when it is reached."""
    count = 0
    for word in words:
        if position_s < (word.start_s + word.end_s) / 2:
            break
        count += 1
    return count


def mouth_at(mouths: Sequence[TimedMouth], position_s: float) -> tuple[str, float]:
    """Shape and openness at a position; closed before the first."""
    index = bisect_right(mouths, position_s, key=lambda mouth: mouth.start_s) - 1
    return (mouths[index].shape, mouths[index].openness) if index >= 0 else ("closed", 0.0)
