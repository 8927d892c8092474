"""What was spoken, one WAV file a turn, complete or not there."""

from __future__ import annotations

import os
import re
import wave
from pathlib import Path

from services.tts.audio import SAMPLE_RATE_HZ
from services.tts.turns import Recording


def write_turn(folder: Path, recording: Recording) -> Path:
    """Write mono 16-bit PCM under a temporary name, then rename. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", recording.turn)[:80].strip(".") or "turn"
    path = folder / f"turn-{recording.number}-{name}.wav"
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with wave.open(str(unfinished), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(SAMPLE_RATE_HZ)
            file.writeframes(recording.pcm.astype("<i2").tobytes())
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise
    return path
