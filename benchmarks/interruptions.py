"""From an interruption to silence, measured in the recording of what the device was given."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.figures import Figure, percentile
from benchmarks.running_show import Show
from benchmarks.sound import Sound, Sounds, planned_frames, taken_recordings
from services.tts.audio import SAMPLE_RATE_HZ, Pcm
from services.tts.ring import FADE_S
from shared.bus import Message
from shared.commands import Interrupt
from shared.events import Timeline

LATEST_S = 1.5
"""An interruption comes at a random moment of the first seconds of sound."""
AFTERWARDS_S = 0.15
"""How long is listened for what should not come any more."""
RECORDED_S = 5.0
SILENCE = "at most 80, with a fade of 5 ms and the device's buffer"
STALE = ("speech.progress", "speech.timeline", "avatar.mouth")
ROUNDING = 3
"""Frames by which the announced length of a chunk may differ from its samples."""


@dataclass
class Interrupted:
    """What was measured, one entry an interruption."""

    silent_ms: list[float] = field(default_factory=list)
    """Until the last sample that is not zero has left the device's buffer; 0 when it had left before."""
    stale_frames: int = 0
    """Samples behind the fade, of all interruptions."""
    stale: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STALE, 0))
    """Events of the interrupted turns that came after `speech.finished`."""

    def figures(self) -> Iterator[Figure]:
        """All of it."""
        yield Figure("voice.interrupt_to_silence_p50", percentile(self.silent_ms, 0.5), "ms")
        yield Figure("voice.interrupt_to_silence_p99", percentile(self.silent_ms, 0.99), "ms", target=SILENCE)
        yield Figure("voice.stale.audio_frames", self.stale_frames, "frames", target="0")
        for topic, count in self.stale.items():
            yield Figure(f"voice.stale.{topic}", count, "events", target="0")


def interrupted(show: Show, folder: Path, lines: Sequence[str], count: int) -> Interrupted:
    """Interrupt her `count` times; `folder` is where the show records."""
    chance = random.Random(7)
    result = Interrupted()
    while len(result.silent_ms) < count:
        _interrupt_once(show, folder, chance.choice(lines), chance.uniform(0, LATEST_S), result)
    return result


def _interrupt_once(show: Show, folder: Path, line: str, after_s: float, result: Interrupted) -> None:
    """Nothing is measured when she has nothing to say, or has said it before."""
    for _ in taken_recordings(folder):
        pass  # of a turn that ended by itself
    sounds = Sounds()

    def is_noted(message: Message) -> bool:
        sounds.note(message)
        return message.topic == "speech.progress" or _is_over(message)

    show.submit(line)
    sounding = show.until(is_noted, 60)
    if _is_over(sounding):
        return
    turn = sounding.payload.turn
    for message in _during(show, after_s):
        sounds.note(message)
        if _is_over(message):
            return
    asked_ns = time.monotonic_ns()
    show.bus.request(Interrupt(reason="benchmark"), timeout_s=5.0)

    def is_silent(message: Message) -> bool:
        sounds.note(message)
        return message.topic == "speech.finished" and message.payload.turn == turn

    finished = show.until(is_silent, 10).payload
    if finished.reason != "stopped":
        return  # her last word came first
    later = [m.topic for m in _during(show, AFTERWARDS_S) if m.topic in STALE and m.payload.turn == turn]
    pcm, sound = _recording(folder, turn), sounds.of[turn]
    result.silent_ms.append(max(0.0, (silent_ns(pcm, sound) - asked_ns) / 1e6))
    result.stale_frames += frames_behind_fade(pcm, sound, finished.duration_s)
    for topic in later:
        result.stale[topic] += 1


def silent_ns(pcm: Pcm, sound: Sound) -> int:
    """When the last sample that is not zero left the device's buffer, monotonic."""
    starts_ns = sound.starts_ns()
    return starts_ns[min(starts_ns)] + (len(np.trim_zeros(pcm, "b")) * 1_000_000_000) // SAMPLE_RATE_HZ


def frames_behind_fade(pcm: Pcm, sound: Sound, heard_s: float) -> int:
    """Samples that are not zero behind the cut, made when `heard_s` had been delivered, and its fade."""
    at, left = 0, round(heard_s * SAMPLE_RATE_HZ)
    for plan in _in_order(sound):
        frames, _ = planned_frames(plan)
        if left <= frames + ROUNDING:
            break
        left -= frames
        at += frames + ROUNDING
        at += len(pcm[at:]) - len(np.trim_zeros(pcm[at:], "f"))  # a pause, or the next chunk came late
    return int(np.count_nonzero(pcm[at + left + ROUNDING + round(FADE_S * SAMPLE_RATE_HZ) :]))


def _in_order(sound: Sound) -> list[Timeline]:
    return [plan for _, plan in sorted(sound.plans.items()) if plan.duration_s]


def _recording(folder: Path, turn: str) -> Pcm:
    """The turn's: it is written when its fade has left, shortly after the voice's word."""
    deadline = time.monotonic() + RECORDED_S
    while time.monotonic() < deadline:
        for pcm in taken_recordings(folder, turn):
            return pcm
        time.sleep(0.01)
    raise TimeoutError("an interrupted turn was not recorded")


def _during(show: Show, seconds: float) -> Iterator[Message]:
    until_s = time.monotonic() + seconds
    while message := show.next(until_s - time.monotonic()):
        yield message


def _is_over(message: Message) -> bool:
    return message.topic == "turn.state" and message.payload.phase == "done"
