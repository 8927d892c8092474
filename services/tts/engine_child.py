"""The process that holds the voice: may hang or die without taking the sound with it.

Run as `python -m services.tts.engine_child VOICE`. Reads jobs from stdin, writes renderings to stdout
(`pipe.py`); the end of stdin means leave.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sys
import threading
import time
from typing import Any, BinaryIO

from services.tts.pipe import read_message, write_message
from services.tts.rendering import assemble
from services.tts.timing import align
from services.tts.voices import Voice, VoiceError, load_voice
from services.tts.voices.silent import SilentVoice


def main() -> None:
    """Load the voice, say so, then render until the parent closes the pipe."""
    jobs: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    source = os.fdopen(os.dup(0), "rb")
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # pyttsx3 prints; nothing but messages may reach the parent
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends this one
    threading.Thread(target=_read_jobs, args=(source, jobs), daemon=True).start()
    try:
        voice = load_voice(sys.argv[1])
    except VoiceError as error:
        write_message(sink, {"unavailable": str(error)})
        return
    write_message(sink, {"ready": True})
    while True:
        write_message(sink, answer(voice, jobs.get()))


def answer(voice: Voice, job: dict[str, Any]) -> dict[str, Any]:
    """The message with the sound of one job, or with why there is none."""
    began = time.perf_counter()
    text, rate = job["text"], job["rate"]
    try:
        # a language that this voice cannot say still takes its time on screen
        parts = voice.synthesize(text, rate) or SilentVoice().synthesize(text, rate)
        rendering = assemble(parts, job["volume"])
    except Exception as error:  # whatever the text did to the engine, the next one must be spoken
        return {"job": job["job"], "error": f"The voice failed ({type(error).__name__}: {error})."}
    return {
        "job": job["job"],
        "pcm": rendering.pcm.tobytes(),
        "words": [tuple(word) for word in align(rendering.words, text.split())],
        "mouths": [tuple(mouth) for mouth in rendering.mouths],
        "voiced_start_s": rendering.voiced_start_s,
        "synthesis_ms": (time.perf_counter() - began) * 1000,
    }


def _read_jobs(source: BinaryIO, jobs: queue.SimpleQueue[dict[str, Any]]) -> None:
    """Its own thread, so that the end of the parent is noticed in the middle of a long synthesis too."""
    while (message := read_message(source)) is not None:
        jobs.put(message)
    os._exit(0)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main()
