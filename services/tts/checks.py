"""This process's rows of `launcher.py --check`: does the voice load, is there a sound device."""

from __future__ import annotations

import threading
import time
from functools import partial

from services.tts.child_process import start_child
from services.tts.devices import PERIODS, DeviceError, names, open_device, outputs
from services.tts.engine import LOAD_S, Engine
from shared.config import TtsSettings
from shared.service import Finding


def findings(settings: TtsSettings) -> list[Finding]:
    """Tries both for real."""
    return [_voice(settings), _device(settings)]


def _voice(settings: TtsSettings) -> Finding:
    arrived = threading.Event()
    engine = Engine(settings.voice, partial(start_child, settings, arrived.set))
    began = heard = time.monotonic()
    while not engine.ready and not engine.refused and time.monotonic() - heard < LOAD_S:
        engine.poll(time.monotonic())
        heard = time.monotonic() if engine.loading else heard
        arrived.wait(0.1)
        arrived.clear()
    loaded, used, complaint = engine.ready, engine.voice, engine.complaint
    engine.close()
    if engine.refused:
        return Finding("voice", False, engine.refused, "correct tts.speaker")
    if not loaded:
        return Finding("voice", False, f"the {used} voice did not load", "reinstall with `make setup`")
    if complaint:
        return Finding("voice", False, complaint, "`make setup` again, or set tts.voice or tts.speaker")
    speaker = f" ({settings.speaker})" if settings.speaker and used in ("neural", "kokoro") else ""
    return Finding("voice", True, f"{used} voice{speaker}, loaded in {time.monotonic() - began:.1f} s")


def _device(settings: TtsSettings) -> Finding:
    if settings.mute or settings.device == "null":
        return Finding("sound device", True, "not wanted (tts.mute or tts.device)")
    try:
        device, name = open_device(max(1, settings.buffer_ms // PERIODS), settings.device)
    except DeviceError as error:
        return Finding(
            "sound device",
            False,
            f"none ({error}): she speaks silently",
            "connect a loudspeaker, set tts.device, or start with --mute or --audio-out DIR",
        )
    device.close()
    there = "; ".join(names(outputs()))
    return Finding("sound device", True, f"{name}; tts.device can name a part of: {there}")
