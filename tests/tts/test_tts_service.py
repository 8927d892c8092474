"""The voice process on a real bus with a real engine child; the device is the null device."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from conftest import OpenBus, until

from services.tts import playback
from services.tts.checks import findings
from services.tts.devices import DeviceError, open_device
from services.tts.service import TtsService
from services.tts.turns import Recording
from services.tts.wav import write_turn
from shared.bus import Bus, SourceLost
from shared.commands import Speak, StopSpeech
from shared.config import BusSettings, Settings, TtsSettings
from shared.events import TurnState
from shared.process import family
from shared.requests import CommandError
from shared.service import StartError, StopSignal, serve


class Running:
    """The service in a thread of its own, and a bus that plays the director."""

    def __init__(self, broker: BusSettings, bus: Bus, tts: TtsSettings) -> None:
        self.bus = bus
        self.stop = StopSignal()
        self.service: TtsService | None = None
        settings = Settings(bus=broker, tts=tts)
        self.thread = threading.Thread(target=self._serve, args=(settings,), daemon=True)
        self.thread.start()
        self.seen: list[Any] = []
        self.wait("sys.health", lambda health: health.phase in ("ready", "degraded"))

    def _serve(self, settings: Settings) -> None:
        def opened(service: Any) -> None:
            self.service = service

        serve(TtsService, settings, self.stop, opened=opened)

    def speak(
        self, text: str, *, turn: str = "t1", epoch: int = 1, chunk: int = 0, last: bool = False
    ) -> None:
        self.bus.request(Speak(turn=turn, epoch=epoch, chunk=chunk, text=text, last=last), timeout_s=5.0)

    def wait(self, topic: str, wanted: Any = lambda _: True) -> Any:
        """Poll until an event of the service passes `wanted`; returns it."""

        def found(items: list[Any]) -> list[Any]:
            fresh = [item for item in items if not isinstance(item, SourceLost) and item.source == "tts"]
            return [item for item in fresh if item.topic == topic and wanted(item.payload)]

        items = until(self.bus, found, timeout_s=30.0)
        self.seen += [item for item in items if not isinstance(item, SourceLost)]
        return found(items)[0].payload

    def of(self, topic: str) -> list[Any]:
        return [message.payload for message in self.seen if message.topic == topic]

    def leave(self) -> None:
        self.stop.set()
        self.thread.join(10)
        assert not self.thread.is_alive()


@pytest.fixture
def voice(
    request: pytest.FixtureRequest, broker: BusSettings, open_bus: OpenBus, tmp_path: Path
) -> Iterator[Running]:
    name = getattr(request, "param", "silent")
    bus = open_bus("director", "speech.", "avatar.mouth", "sys.health", register=True)
    running = Running(broker, bus, TtsSettings(voice=name, device="null", audio_out=str(tmp_path / "out")))
    yield running
    running.leave()


@pytest.mark.parametrize("voice", ["neural"], indirect=True)
def test_two_chunks_are_said_and_recorded(voice: Running, tmp_path: Path) -> None:
    voice.speak("Hello there,", turn="a/../b")
    voice.speak("friend!", turn="a/../b", chunk=1, last=True)
    ending = voice.wait("speech.finished")
    assert (ending.reason, ending.heard, ending.chunks) == ("done", "Hello there, friend!", 2)
    order = [(message.topic, message.payload.chunk) for message in voice.seen if message.topic in _CHUNKED]
    for chunk in (0, 1):
        assert order.index(("speech.timeline", chunk)) < order.index(("speech.progress", chunk))
    timelines = voice.of("speech.timeline")
    assert all(plan.voice == "neural" and plan.visemes and plan.words for plan in timelines)
    sounds = [report.sound_mono_ns for report in voice.of("speech.progress")]
    assert all(sounds)
    mouths = voice.of("avatar.mouth")
    assert max(mouth.openness for mouth in mouths) > 0.5
    assert mouths[-1].openness == 0.0
    (path,) = (tmp_path / "out").iterdir()
    assert path.name == "turn-1-a_.._b.wav"
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 24_000)
        pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)
    planned_s = sum(plan.duration_s for plan in timelines)
    assert planned_s <= len(pcm) / 24_000 < planned_s + 1.0
    assert np.sqrt(np.square(pcm / 32768).mean()) > 0.03


_CHUNKED = ("speech.timeline", "speech.progress")


@pytest.mark.parametrize("voice", ["neural"], indirect=True)
def test_stop_silences_at_once_and_nothing_stale_follows(voice: Running, tmp_path: Path) -> None:
    voice.speak(
        "This sentence is long enough that somebody can stop it in the middle of its words.", last=True
    )
    voice.wait("speech.progress", lambda report: report.position_s > 0.3)
    began = time.monotonic()
    voice.bus.request(StopSpeech(epoch=2))
    ending = voice.wait("speech.finished")
    assert time.monotonic() - began < 1.0
    assert ending.reason == "stopped"
    assert 0 < len(ending.heard.split()) < 15
    with pytest.raises(CommandError, match="Epoch 1 is over"):
        voice.speak("stale", turn="t2")
    voice.seen.clear()
    voice.speak("Go on.", turn="t3", epoch=2, last=True)
    voice.wait("speech.finished", lambda event: event.turn == "t3")
    assert {message.payload.turn for message in voice.seen if message.topic != "sys.health"} == {"t3"}
    stopped = tmp_path / "out" / "turn-1-t1.wav"
    with wave.open(str(stopped)) as file:
        assert file.getnframes() / 24_000 == pytest.approx(ending.duration_s, abs=0.01)


def test_the_silent_voice_keeps_time_and_words(voice: Running) -> None:
    voice.speak("Quiet words 😀", last=True)
    ending = voice.wait("speech.finished")
    assert (ending.reason, ending.heard) == ("done", "Quiet words 😀")
    assert ending.duration_s > 0.5
    assert max(mouth.openness for mouth in voice.of("avatar.mouth")) > 0.3


def test_a_killed_engine_is_replaced_while_she_speaks(voice: Running) -> None:
    voice.speak("One two three.")
    voice.wait("speech.progress")
    for child in family(os.getpid()):
        if "services.tts.engine_child" in child.cmdline():
            child.kill()
    voice.speak("Four.", chunk=1, last=True)
    ending = voice.wait("speech.finished")
    assert (ending.reason, ending.heard) == ("done", "One two three. Four.")
    assert voice.service
    assert voice.service.engine.restarts == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot stop a process from outside")
def test_a_hanging_engine_is_replaced_while_she_speaks(voice: Running) -> None:
    children = [child for child in family(os.getpid()) if "services.tts.engine_child" in child.cmdline()]
    for child in children:
        os.kill(child.pid, signal.SIGSTOP)
    voice.speak("Said.", last=True)
    ending = voice.wait("speech.finished")
    assert (ending.reason, ending.heard) == ("done", "Said.")
    assert not any(psutil.pid_exists(child.pid) and child.status() == "stopped" for child in children)


def test_a_turn_whose_director_is_replaced_ends_as_lost(voice: Running, open_bus: OpenBus) -> None:
    voice.bus.publish("turn.state", TurnState(turn="t1", epoch=1, phase="thinking"))
    voice.speak("These words belong to a director who will be gone before they are all said.")
    voice.wait("speech.progress")
    successor = open_bus("director")
    successor.publish("turn.state", TurnState(turn="", epoch=1, phase="idle"))
    assert voice.wait("speech.finished").reason == "lost"


def test_the_epoch_is_learnt_from_what_the_broker_kept(broker: BusSettings, open_bus: OpenBus) -> None:
    director = open_bus("director", "speech.", "sys.health", register=True)
    director.publish("turn.state", TurnState(turn="t", epoch=77, phase="done"))
    running = Running(broker, director, TtsSettings(voice="silent", device="null"))
    with pytest.raises(CommandError, match="Epoch 76 is over"):
        running.speak("stale", epoch=76)
    running.leave()


def test_leaving_in_the_middle_of_a_word_ends_the_turn_and_the_child(voice: Running, tmp_path: Path) -> None:
    voice.speak("These words will not all be said, because the process is asked to leave.", last=True)
    voice.wait("speech.progress", lambda report: report.position_s > 0.2)
    voice.leave()
    assert voice.wait("speech.finished").reason == "stopped"
    assert not [child for child in family(os.getpid()) if "services.tts.engine_child" in child.cmdline()]
    with wave.open(str(tmp_path / "out" / "turn-1-t1.wav")) as file:
        assert file.getnframes() > 0.2 * 24_000


def test_a_voice_that_cannot_load_degrades(
    broker: BusSettings, open_bus: OpenBus, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "hibari.py").write_text("raise ImportError('no such thing')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    running = Running(
        broker,
        open_bus("director", "speech.", "sys.health", register=True),
        TtsSettings(voice="neural", device="null"),
    )
    health = running.of("sys.health")[-1]
    assert health.phase == "degraded"
    assert "no such thing" in health.detail
    assert "pyttsx3 voice instead of neural" in health.detail
    running.speak("Still here.", last=True)
    assert running.wait("speech.finished").heard == "Still here."
    assert running.of("speech.timeline")[0].voice == "pyttsx3"
    running.leave()


def test_a_lost_device_degrades_until_it_is_back(
    broker: BusSettings, open_bus: OpenBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = threading.Event()

    def opened(period_ms: int, want: str) -> tuple[Any, str]:
        if want == "cable" and not there.is_set():
            raise DeviceError("no device has 'cable' in its name")
        return open_device(period_ms, "null")[0], want

    monkeypatch.setattr(playback, "open_device", opened)
    monkeypatch.setattr(playback, "RETRY_S", 0.5)
    bus = open_bus("director", "speech.", "sys.health", register=True)
    running = Running(broker, bus, TtsSettings(voice="silent", device="cable"))
    health = running.of("sys.health")[-1]
    assert health.phase == "degraded"
    assert health.detail.startswith(
        "No sound device (no device has 'cable' in its name): she speaks silently"
    )
    running.speak("Nobody hears this.", last=True)
    assert running.wait("speech.finished").heard == "Nobody hears this."
    there.set()
    assert "cable" in running.wait("sys.health", lambda health: health.phase == "ready").detail
    running.speak("And this is heard.", turn="t2", last=True)
    assert running.wait("speech.finished").reason == "done"
    running.leave()


def test_check_tries_the_voice_and_the_device() -> None:
    voice, device = findings(TtsSettings(voice="silent", device="null"))
    assert (voice.part, voice.ok, device.part, device.ok) == ("voice", True, "sound device", True)


def test_wav_names_cannot_leave_the_folder(tmp_path: Path) -> None:
    pcm = np.arange(100, dtype=np.int16)
    for number, turn in enumerate(["../../etc/passwd", "a" * 500, "", "...", "con:\\x\0y"]):
        path = write_turn(tmp_path / "deep" / "er", Recording(number, turn, pcm))
        assert path.parent == tmp_path / "deep" / "er"
        assert path.is_file()
    assert len(list((tmp_path / "deep" / "er").iterdir())) == 5, "and nothing unfinished is left"


def test_a_recording_folder_that_cannot_be_made_is_one_sentence(
    broker: BusSettings, open_bus: OpenBus, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    tts = TtsSettings(voice="silent", device="null", audio_out=str(tmp_path / "file" / "out"))
    service = TtsService(Settings(bus=broker, tts=tts), open_bus("tts", register=True), time.monotonic)
    with pytest.raises(
        StartError, match=r"The folder .*out for recordings cannot be made: Not a directory\."
    ):
        service.start()


def test_a_misspelt_speaker_ends_the_start_with_one_sentence(broker: BusSettings, open_bus: OpenBus) -> None:
    """Nobody who wrote `emmma` wants another voice instead."""
    tts = TtsSettings(speaker="emmma", device="null")
    service = TtsService(Settings(bus=broker, tts=tts), open_bus("tts", register=True), time.monotonic)
    with pytest.raises(
        StartError, match=r"^The neural voice: there is no speaker 'emmma': set .* heart, emma,"
    ):
        service.start()
    service.stop()
    voice, _ = findings(tts)
    assert (voice.ok, voice.fix) == (False, "correct tts.speaker")
