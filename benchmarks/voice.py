"""Her voice in the whole show: Enter to first sound, silence between chunks, interruption to silence."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Figure, percentile
from benchmarks.interruptions import interrupted
from benchmarks.pauses import Turns
from benchmarks.running_show import Show, running_show
from shared.bus import Message
from shared.config import ROOT, load_toml

LINES = load_toml(ROOT / "benchmarks" / "data" / "chat_log.toml")["lines"]
INTERRUPTIONS = 200
PAUSE = "at most 60 where the next chunk was ready in time"
PARTS = ("prefill", "decode", "synthesis", "device")


def run() -> Iterator[Figure]:
    """One show for all figures, without a sound card: a null device keeps time, and its buffer counts."""
    with tempfile.TemporaryDirectory() as folder, running_show(f"--audio-out={folder}") as show:
        turns = Turns(Path(folder))
        parts: dict[str, list[float]] = defaultdict(list)
        for line in LINES:
            for name, value in _parts_ms(show, line, turns).items():
                parts[name].append(value)
            turns.end()
        yield Figure("voice.first_sound_p50", statistics.median(parts["all"]), "ms", target="350")
        yield Figure("voice.first_sound_p95", percentile(parts["all"], 0.95), "ms", target="700")
        yield Figure("voice.answered_aloud", len(parts["all"]) / len(LINES), "share", target="all")
        for name in (*PARTS, "rest"):
            yield Figure(f"voice.first_sound.{name}", statistics.median(parts[name]), "ms")
        yield Figure("voice.pause_beyond_plan_p50", statistics.median(turns.beyond_ms), "ms")
        yield Figure("voice.pause_beyond_plan_p99", percentile(turns.beyond_ms, 0.99), "ms", target=PAUSE)
        in_time = len(turns.beyond_ms) / (len(turns.beyond_ms) + turns.late)
        yield Figure("voice.chunks_in_time", in_time, "share")
        yield from interrupted(show, Path(folder), LINES, INTERRUPTIONS).figures()


def _parts_ms(show: Show, line: str, turns: Turns) -> dict[str, float]:
    """From Enter to the first sample of her own words that is not silent, in all and by part; {} unheard.

    `prefill` is the model's first token, `decode` the rest of the first chunk, `synthesis` its sound,
    `device` the way from the rendered chunk to the loudspeaker, `rest` everything else.
    """
    began_ns = time.monotonic_ns()
    message_id = show.submit(line)
    found: dict[str, float] = {}
    planned_ns = 0

    def seen(message: Message) -> bool:
        nonlocal planned_ns
        turns.note(message)
        payload = message.payload
        if message.topic == "llm.finished" and payload.turn is not None:
            found.setdefault("prefill", payload.first_token_ms)
        elif message.topic == "speech.timeline" and payload.chunk == 0 and not planned_ns:
            planned_ns, found["synthesis"] = message.mono, payload.synthesis_ms
        elif message.topic == "speech.progress" and payload.sound_mono_ns and "all" not in found:
            found["all"] = (payload.sound_mono_ns - began_ns) / 1e6
            found["device"] = (payload.sound_mono_ns - planned_ns) / 1e6
        elif message.topic == "turn.state" and payload.message_id == message_id and payload.phase == "done":
            timings = payload.timings_ms
            if "first_chunk" in timings:
                found["decode"] = timings["first_chunk"] - timings["first_token"]
            return True
        return False

    show.until(seen, 60)
    if "all" not in found:
        return {}
    found["rest"] = found["all"] - sum(found.get(part, 0.0) for part in PARTS)
    return found
