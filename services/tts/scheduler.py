"""What is synthesised next, what is playing, what has been heard: the whole order of speaking, without I/O.

Driven by commands, renderings, and the device clock (`advance`); leaves events and recordings to collect.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal, NamedTuple, cast

import numpy as np

from services.tts.audio import SAMPLE_RATE_HZ
from services.tts.rendering import Rendering, planned_pause_s
from services.tts.ring import Ring
from services.tts.speakable import speakable
from services.tts.turns import Chunk, Recording, Turn, mouth_at, shown_words
from shared.commands import Speak
from shared.events import Event, MoodName, Mouth, MouthShape, Progress, SpeechFinished, Timeline, Viseme, Word

AHEAD_S = 20.0
"""Sound that is made before it is needed; more would only be thrown away by an interruption."""
MAX_CHUNKS = 200
"""Waiting chunks; a director that sends more has lost control."""
PROGRESS_NS = 100_000_000
MOUTH_NS = 1_000_000_000 // 30
KEPT_TURNS = 64
"""Finished turns remembered, so that a late chunk of one is refused."""

EndReason = Literal["done", "stopped", "error", "lost"]
_NOTHING = Rendering(np.zeros(0, np.int16), [], [], 0.0)


class SpeakRefused(Exception):
    """One sentence: why a chunk is not spoken."""


class Job(NamedTuple):
    """Text for the engine."""

    number: int
    text: str
    mood: MoodName = "neutral"


class Scheduler:
    """The turns that are being spoken, oldest first."""

    def __init__(self, ring: Ring, *, voice: str, record: bool = False) -> None:
        self._ring = ring
        self._record = record
        self.voice = voice
        """Name of the voice, for the timelines."""
        self.epoch = 0
        """The highest seen; whatever is below it is stale."""
        self._turns: list[Turn] = []
        self._over: OrderedDict[str, int] = OrderedDict()
        """Finished turns and their epochs."""
        self._to_record: list[Turn] = []
        self._rendering: tuple[int, Turn, Chunk] | None = None
        self._jobs = 0
        self._count = 0
        self._mouth_ns = 0
        self.events: list[tuple[str, Event]] = []
        """(topic, event) to publish, in order; the caller empties it."""
        self.recordings: list[Recording] = []
        """Finished turns to write; the caller empties it."""

    @property
    def speaking(self) -> bool:
        """Some turn is open, or its last samples are on their way."""
        return bool(self._turns or self._to_record)

    @property
    def current_job(self) -> int | None:
        """The job that is being synthesised and still wanted."""
        return self._rendering[0] if self._rendering else None

    def speak(self, command: Speak, owner: str) -> None:
        """Accept one chunk from the bus session `owner`. Raises SpeakRefused."""
        if command.epoch < self.epoch:
            raise SpeakRefused(f"Epoch {command.epoch} is over: the show is at {self.epoch}.")
        present = (turn for turn in self._turns if (turn.name, turn.epoch) == (command.turn, command.epoch))
        turn = next(present, None)
        if turn is None and command.epoch <= self._over.get(command.turn, -1):
            raise SpeakRefused(f"Turn {command.turn} has ended: start another one.")
        if turn and turn.error:
            raise SpeakRefused(f"Turn {command.turn} cannot be spoken: {turn.error}")
        if turn and turn.closed:
            raise SpeakRefused(f"Turn {command.turn} is closed: its last chunk was already sent.")
        if turn and turn.chunks and command.chunk <= turn.chunks[-1].index:
            raise SpeakRefused(f"Chunk {command.chunk} of turn {command.turn} is already there.")
        if sum(len(each.chunks) for each in self._turns) >= MAX_CHUNKS:
            raise SpeakRefused(f"{MAX_CHUNKS} chunks are waiting to be spoken: wait or send tts.stop.")
        self.raise_epoch(command.epoch)
        if turn is None:
            self._count += 1
            turn = Turn(command.turn, self._count, command.epoch, owner)
            self._turns.append(turn)
        turn.closed = command.last
        if command.text.strip():
            words = speakable(command.text)
            turn.chunks.append(Chunk(turn.number, command.chunk, words, command.mood, command.last))

    def raise_epoch(self, epoch: int) -> None:
        """Everything of turns below `epoch` is dropped: queue, rendering, device."""
        self.epoch = max(self.epoch, epoch)
        self._end([turn for turn in self._turns if turn.epoch < epoch], "stopped")

    def lose(self, reason: EndReason, owner: str | None = None) -> None:
        """End the turns of `owner` (all of them without one): nobody brings the rest any more."""
        self._end([turn for turn in self._turns if owner in (None, turn.owner)], reason)

    def next_job(self) -> Job | None:
        """The text to synthesise now: one at a time, in order, not too far ahead."""
        if self._rendering or self._ring.waiting_frames() > AHEAD_S * SAMPLE_RATE_HZ:
            return None
        for turn in self._turns:
            for chunk in turn.chunks:
                if chunk.rendering or turn.error:
                    continue
                if not chunk.words.audible:
                    self._play(turn, chunk, _NOTHING, 0.0)
                    continue
                self._jobs += 1
                self._rendering = (self._jobs, turn, chunk)
                return Job(self._jobs, chunk.words.text, chunk.mood)
        return None

    def rendered(self, job: int, rendering: Rendering, synthesis_ms: float) -> None:
        """The engine has made the sound of `job`; stale ones are dropped here."""
        if self._rendering and self._rendering[0] == job:
            _, turn, chunk = self._rendering
            self._rendering = None
            self._play(turn, chunk, rendering, synthesis_ms)

    def failed(self, job: int, sentence: str) -> None:
        """The engine could not: what was made before is still said, then the turn ends with an error."""
        if self._rendering and self._rendering[0] == job:
            _, turn, _ = self._rendering
            self._rendering = None
            turn.error, turn.closed = sentence, True
            turn.chunks = [chunk for chunk in turn.chunks if chunk.rendering]

    def advance(self, now_ns: int, frame: int) -> None:
        """Report what the loudspeaker has reached: `frame` by the device clock at `now_ns` (monotonic)."""
        for turn in list(self._turns):
            left = (chunk for chunk in turn.chunks if not chunk.ended)
            sounding = next((chunk for chunk in left if self._reach(turn, chunk, now_ns, frame)), None)
            self._move_mouth(turn, sounding, now_ns, frame)
            if turn.closed and all(chunk.ended for chunk in turn.chunks):
                self._finish(turn, "error" if turn.error else "done")
        self._collect_recordings()

    def _reach(self, turn: Turn, chunk: Chunk, now_ns: int, frame: int) -> bool:
        """Update one chunk; True when it is the one that sounds."""
        span = self._ring.span(chunk.key)
        if chunk.rendering is None or span is None or frame < span.start_frame:
            return False
        position = frame - span.start_frame
        if not chunk.begun and position >= min(chunk.voiced_start_frame, chunk.frames):
            chunk.begun = True
            if chunk.frames:
                ago_s = (position - chunk.voiced_start_frame) / SAMPLE_RATE_HZ
                chunk.sound_mono_ns = now_ns - round(ago_s * 1e9)
                self._report(turn, chunk, position / SAMPLE_RATE_HZ, now_ns)
        if position >= chunk.frames:
            chunk.ended = True
            self._report(turn, chunk, chunk.frames / SAMPLE_RATE_HZ, now_ns)
            return False
        if chunk.begun and now_ns - chunk.reported_ns >= PROGRESS_NS:
            self._report(turn, chunk, position / SAMPLE_RATE_HZ, now_ns)
        return True

    def _play(self, turn: Turn, chunk: Chunk, rendering: Rendering, synthesis_ms: float) -> None:
        """Tell the plan, then queue the sound with the pause that belongs behind it."""
        chunk.rendering = rendering
        chunk.shown = shown_words(chunk.words, rendering)
        self.events.append(("speech.timeline", self._timeline(turn, chunk, rendering, synthesis_ms)))
        pause = 0 if chunk.last or not chunk.frames else planned_pause_s(chunk.words.text)
        silence = np.zeros(round(pause * SAMPLE_RATE_HZ), np.int16)
        self._ring.push(chunk.key, np.concatenate([rendering.pcm, silence]))

    def _timeline(self, turn: Turn, chunk: Chunk, rendering: Rendering, synthesis_ms: float) -> Timeline:
        return Timeline(
            turn=turn.name,
            epoch=turn.epoch,
            chunk=chunk.index,
            text=chunk.text,
            mood=chunk.mood,
            duration_s=round(rendering.duration_s, 4),
            sample_rate_hz=SAMPLE_RATE_HZ,
            words=[Word(text=word.text, start_s=word.start_s, end_s=word.end_s) for word in chunk.shown],
            visemes=[
                Viseme(shape=cast(MouthShape, shape), start_s=start_s, openness=openness)
                for shape, start_s, openness in rendering.mouths
            ],
            voice=self.voice,
            last=chunk.last,
            synthesis_ms=round(synthesis_ms, 1),
        )

    def _report(self, turn: Turn, chunk: Chunk, position_s: float, now_ns: int) -> None:
        chunk.reported_ns = now_ns
        progress = Progress(
            turn=turn.name,
            epoch=turn.epoch,
            chunk=chunk.index,
            position_s=round(position_s, 4),
            words_heard=len(chunk.shown) if chunk.ended else chunk.words_heard(position_s),
            heard=chunk.text if chunk.ended else chunk.text_heard(position_s),
            sound_mono_ns=chunk.sound_mono_ns,
        )
        self.events.append(("speech.progress", progress))

    def _move_mouth(self, turn: Turn, chunk: Chunk | None, now_ns: int, frame: int) -> None:
        if chunk is None or chunk.rendering is None:
            self._close_mouth(turn)
            return
        if now_ns - self._mouth_ns < MOUTH_NS * 0.9:  # a tick may come a little early
            return
        span = self._ring.span(chunk.key)
        position_s = (frame - span.start_frame) / SAMPLE_RATE_HZ if span else 0.0
        shape, openness = mouth_at(chunk.rendering.mouths, position_s)
        self._mouth_ns, turn.mouth_open = now_ns, True
        self._mouth(turn, shape, openness, turn.spoken_s(chunk) + position_s)

    def _close_mouth(self, turn: Turn) -> None:
        if turn.mouth_open:
            turn.mouth_open = False
            spoken_s = sum(chunk.frames for chunk in turn.chunks if chunk.ended) / SAMPLE_RATE_HZ
            self._mouth(turn, "closed", 0.0, spoken_s)

    def _mouth(self, turn: Turn, shape: str, openness: float, position_s: float) -> None:
        mouth = Mouth(
            turn=turn.name,
            epoch=turn.epoch,
            shape=cast(MouthShape, shape),
            openness=openness,
            position_s=round(position_s, 4),
        )
        self.events.append(("avatar.mouth", mouth))

    def _end(self, turns: list[Turn], reason: EndReason) -> None:
        """Silence these turns now."""
        if not turns:
            return
        numbers = {turn.number for turn in turns}
        if self._rendering and self._rendering[1].number in numbers:
            self._rendering = None
        self._ring.cut(lambda key: key[0] in numbers)
        for turn in turns:
            self._finish(turn, reason)

    def _finish(self, turn: Turn, reason: EndReason) -> None:
        """What the device was given counts: that and what a loudspeaker holds cannot be taken back.

        So buffer and output offset, which `advance` subtracts for mouth and captions, are not subtracted
        here: these words still reach the ear after the stop, and the stream at once.
        """
        heard: list[str] = []
        frames = 0
        for chunk in turn.chunks:
            span = self._ring.span(chunk.key)
            if span is None:
                continue
            played = min(span.frames, chunk.frames)
            frames += played
            heard.append(chunk.text_heard(played / SAMPLE_RATE_HZ) if played < chunk.frames else chunk.text)
        self._close_mouth(turn)
        finished = SpeechFinished(
            turn=turn.name,
            epoch=turn.epoch,
            reason=reason,
            heard=" ".join(text for text in heard if text),
            chunks=len(heard),
            duration_s=round(frames / SAMPLE_RATE_HZ, 4),
            error=turn.error,
        )
        self.events.append(("speech.finished", finished))
        self._turns.remove(turn)
        self._over[turn.name] = turn.epoch
        if len(self._over) > KEPT_TURNS:
            self._over.popitem(last=False)
        self._to_record.append(turn)

    def _collect_recordings(self) -> None:
        """A turn that was stopped is recorded once its fade has left: exactly what was delivered."""
        for turn in [turn for turn in self._to_record if not self._ring.holds(turn.keys)]:
            self._to_record.remove(turn)
            pcm = self._ring.take(turn.keys)
            if self._record and len(pcm):
                self.recordings.append(Recording(turn.number, turn.name, pcm))
