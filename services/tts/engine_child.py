"""The process that holds the voice: may hang or die without taking the sound with it.

Run as `python -m services.tts.engine_child VOICE [SPEAKER]`. Reads jobs from stdin, writes renderings
to stdout (`pipe.py`); the end of stdin means leave.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, BinaryIO

from services.tts.pipe import read_message, write_message
from services.tts.rendering import Part, assemble
from services.tts.voices import SpeakerError, Voice, VoiceError, load_voice
from services.tts.voices.silent import SilentVoice

REPORT_S = 1.0


def main() -> None:
    """Load the voice, say so, then render until the parent closes the pipe."""
    _die_with_parent()
    jobs = Jobs()
    source = os.fdopen(os.dup(0), "rb")
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # pyttsx3 prints; nothing but messages may reach the parent
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends this one
    threading.Thread(target=jobs.read, args=(source,), daemon=True).start()
    try:
        voice = load_voice(sys.argv[1], "".join(sys.argv[2:]), Report(sink))
    except SpeakerError as error:
        write_message(sink, {"refused": str(error)})
        return
    except VoiceError as error:
        write_message(sink, {"unavailable": str(error)})
        return
    write_message(sink, {"ready": True})
    while True:
        write_message(sink, answer(voice, jobs.waiting.get(), jobs.cancelled))


def answer(
    voice: Voice, job: dict[str, Any], cancelled: Callable[[int], bool] = lambda _: False
) -> dict[str, Any]:
    """The message with the sound of one job, or with why there is none.

    `cancelled` is asked between sentences: what nobody will hear must not hold up what comes next.
    """
    began = time.perf_counter()
    try:
        parts: list[Part] = []
        # what this voice has no sound for (another language) still takes its time on the screen
        for source in (voice, SilentVoice()):
            for part in source.synthesize(job["text"], job["rate"], job["semitones"]):
                parts.append(part)
                if cancelled(job["job"]):
                    return {"job": job["job"], "error": "Cancelled."}
            if parts:
                break
        rendering = assemble(parts, job["volume"])
    except Exception as error:  # whatever the text did to the engine, the next one must be spoken
        return {"job": job["job"], "error": f"The voice failed ({type(error).__name__}: {error})."}
    return {
        "job": job["job"],
        "pcm": rendering.pcm.tobytes(),
        "words": [tuple(word) for word in rendering.words],
        "mouths": [tuple(mouth) for mouth in rendering.mouths],
        "voiced_start_s": rendering.voiced_start_s,
        "synthesis_ms": (time.perf_counter() - began) * 1000,
    }


def _die_with_parent() -> None:
    """A child that hangs in native code does not see the end of the pipe; Linux can kill it all the same."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


class Report:
    """Tells the parent how far a download is, once a second at most."""

    def __init__(self, sink: BinaryIO) -> None:
        self._sink = sink
        self._next_s = 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        """`shared.model.progress.Progress`."""
        if (now := time.monotonic()) >= self._next_s:
            self._next_s = now + REPORT_S
            write_message(self._sink, {"loading": f"{stage} {100 * done // max(1, total)} %"})


class Jobs:
    """What the parent sent, read in a thread: its end is noticed in the middle of a long synthesis too."""

    def __init__(self) -> None:
        self.waiting: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._cancelled_to = 0

    def cancelled(self, job: int) -> bool:
        """The parent does not want it any more (job numbers only grow)."""
        return job <= self._cancelled_to

    def read(self, source: BinaryIO) -> None:
        """Until the end of the pipe, which ends this process."""
        while (message := read_message(source)) is not None:
            if "cancel" in message:
                self._cancelled_to = message["cancel"]
            else:
                self.waiting.put(message)
        os._exit(0)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main()
