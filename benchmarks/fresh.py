"""From a fresh clone to her first spoken word: clone, environment, packages, weights, start, reply."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.bus import free_ports
from benchmarks.figures import Figure
from shared.bus import Bus, BusError, Message
from shared.config import ROOT, BusSettings

TIMEOUT_S = 600.0


def _first_sound(settings: BusSettings, process: subprocess.Popen[bytes]) -> None:
    """Return when the first sample of her own words has left the device buffer."""
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with Bus.open("bench", ["speech.progress"], settings=settings, wait_s=1.0) as bus:
                while time.monotonic() < deadline:
                    for item in bus.poll(0.2):
                        if isinstance(item, Message) and item.payload.sound_mono_ns:
                            return
        except BusError:
            continue  # the bus is not there yet
    raise TimeoutError("she said nothing")


def run() -> list[Figure]:
    """Package downloads are as warm as pip's cache is; the model is fetched anew, into an empty cache."""
    publish, subscribe, commands = free_ports(3)
    settings = BusSettings(publish=publish, subscribe=subscribe, commands=commands)
    sets = [f"--set=bus.{key}={getattr(settings, key)}" for key in ("publish", "subscribe", "commands")]
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "akane"
        env = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
        env["AKANE_CACHE"] = str(Path(folder) / "cache")
        began = time.monotonic()
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        flags = " ".join(["--plain", "--set=tts.device=null", *sets])
        process = subprocess.Popen(
            ["make", "run", f"ARGS={flags}"],
            cwd=clone,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        assert process.stdin is not None
        process.stdin.write(b"hi Akane\n")
        process.stdin.flush()
        try:
            _first_sound(settings, process)
            seconds = time.monotonic() - began
        finally:
            process.stdin.close()
            process.wait(60)
    return [Figure("fresh.clone_to_first_word", seconds, "s", target="at most 150")]
