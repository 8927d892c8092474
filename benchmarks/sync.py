"""Is she seen to say what is heard? A real show, her real page in a browser, and the recording of her voice.

All times are on the monotonic clock: the sound's by `speech.progress` (a null device keeps time, its buffer
counts), the page's by `Watch`. A frame counts when it is drawn; the one or two until it is seen do not.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.bus import free_ports
from benchmarks.figures import Figure, percentile
from benchmarks.in_step import GRID_MS, envelope, lag_ms, matched_ms, planned_mouth
from benchmarks.page import Shown, Watch, her_page
from benchmarks.running_show import Show, running_show
from benchmarks.sound import Sound, Sounds, taken_recordings
from services.tts.audio import Floats, Pcm
from shared.bus import Message
from shared.config import ROOT, load_toml
from shared.events import TurnState

LINES = load_toml(ROOT / "benchmarks" / "data" / "chat_log.toml")["lines"][:12]
AROUND_MS = 500.0
"""Watched before and after a turn."""


@dataclass(frozen=True)
class Spoken:
    """A turn that has sounded."""

    turn: str
    sound: Sound
    pcm: Pcm


def run() -> Iterator[Figure]:
    """One show; nothing without a browser."""
    port = free_ports(1)[0].rsplit(":", 1)[1]
    ready = ("llm", "tts", "director", "input", "stage")
    with tempfile.TemporaryDirectory() as name:
        flags = (f"--audio-out={name}", f"--set=stage.port={port}")
        with running_show(*flags, ready=ready) as show:
            try:
                with her_page(f"http://127.0.0.1:{port}/") as page:
                    watch, turns = Watch(page), []
                    for line in LINES:
                        message_id = show.submit(line)
                        turns += heard(show, Path(name), lambda state, id=message_id: state.message_id == id)  # type: ignore[misc]
                    shown = watch.shown()
            except RuntimeError as error:
                print(f"sync is not measured: {error}", file=sys.stderr)
                return
    yield from figures(turns, shown)


def heard(show: Show, folder: Path, is_it: Callable[[TurnState], bool]) -> list[Spoken]:
    """Wait for the end of the turn that `is_it` names; [] when it made no sound."""
    sounds = Sounds()

    def is_done(message: Message) -> bool:
        sounds.note(message)
        return message.topic == "turn.state" and message.payload.phase == "done" and is_it(message.payload)

    turn = show.until(is_done, 60).payload.turn
    sound = sounds.of[turn]
    return [Spoken(turn, sound, pcm) for pcm in taken_recordings(folder, turn) if sound.starts_ns()]


class _Compared:
    """Errors in milliseconds, and the curves that should look alike, over turns."""

    def __init__(self, shown: Shown) -> None:
        self._shown = shown
        self.mouth_ms: list[float] = []
        self.middle_ms: list[float] = []
        self.start_ms: list[float] = []
        self.sounds = self.words = 0
        self.curves: tuple[list[Floats], ...] = ([], [], [])
        """Loudness, openness of the drawn mouth, openness as planned; on one grid."""

    def add(self, spoken: Spoken) -> None:
        """One turn."""
        sound = spoken.sound
        plans = [(at_ns / 1e6, sound.plans[chunk]) for chunk, at_ns in sorted(sound.starts_ns().items())]
        planned = planned_mouth(plans)
        begin_ms = plans[0][0] - AROUND_MS
        end_ms = plans[-1][0] + 1000 * plans[-1][1].duration_s + AROUND_MS
        changes = [change for change in self._shown.mouths if begin_ms <= change.at_ms <= end_ms]
        self.mouth_ms += map(abs, matched_ms(planned, changes))
        self.sounds += len(planned)
        for at_ms, plan in plans:
            self.words += len(plan.words)
            for index, word in enumerate(plan.words):
                if seen_ms := self._shown.words.get(f"{spoken.turn}/{plan.chunk}/{index}"):
                    self.start_ms.append(seen_ms - at_ms - 1000 * word.start_s)
                    self.middle_ms.append(abs(seen_ms - at_ms - 500 * (word.start_s + word.end_s)))
        grid = np.arange(begin_ms, end_ms, GRID_MS)
        loudness = envelope(spoken.pcm)
        points = (grid - plans[0][0]) / GRID_MS
        latest = np.searchsorted([change.at_ms for change in planned], grid, "right")
        openness = np.array([0.0, *(change.mouth[1] for change in planned)])
        self.curves[0].append(np.interp(points, np.arange(len(loudness)), loudness, 0.0, 0.0))
        self.curves[1].append(np.interp(grid, *self._shown.opening.T))
        self.curves[2].append(openness[latest])


def figures(turns: Sequence[Spoken], shown: Shown) -> Iterator[Figure]:
    """What was never seen is counted apart. A caption's word is due when half of it has sounded."""
    all_turns = _Compared(shown)
    for spoken in turns:
        all_turns.add(spoken)
    mouth, words, starts = all_turns.mouth_ms, all_turns.middle_ms, all_turns.start_ms
    loudness, drawn, planned = map(np.concatenate, all_turns.curves)
    lag, least = lag_ms(loudness, drawn), lag_ms(loudness, planned)
    frames_ms = list(np.diff(shown.opening[:, 0]))
    yield Figure("sync.mouth_error_p50", percentile(mouth, 0.5), "ms")
    yield Figure("sync.mouth_error_p95", percentile(mouth, 0.95), "ms", target="at most 50")
    yield Figure("sync.sounds_shown", len(mouth) / all_turns.sounds, "share")
    yield Figure("sync.mouth_behind_loudness", lag, "ms", "as planned", least)
    yield Figure("sync.caption_error_p50", percentile(words, 0.5), "ms")
    yield Figure("sync.caption_error_p95", percentile(words, 0.95), "ms", target="at most 80")
    yield Figure("sync.caption_after_word_start_p50", percentile(starts, 0.5), "ms")
    yield Figure("sync.caption_after_word_start_p95", percentile(starts, 0.95), "ms")
    yield Figure("sync.words_shown", len(words) / all_turns.words, "share", target="all")
    yield Figure("sync.turns", len(turns), "turns", target="all lines")
    yield Figure("sync.frame_every_p50", percentile(frames_ms, 0.5), "ms")
    yield Figure("sync.frame_every_p95", percentile(frames_ms, 0.95), "ms")
    yield Figure("sync.page_clock_within", shown.uncertain_ms, "ms")
