"""The sound device: real time, a small buffer, and what happens when it is not there or goes away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from tts_stage import tone

from services.tts import playback
from services.tts.audio import SAMPLE_RATE_HZ
from services.tts.devices import PERIODS, DeviceError
from services.tts.playback import RETRY_S, STALL_CHECKS, STALL_S, Playback
from services.tts.ring import Ring


class FakeDevice:
    """Pulls when it is told to; may refuse to start."""

    def __init__(self, fails: bool = False) -> None:
        self.fails = fails
        self.generator: Any = None
        self.closed = False

    def start(self, generator: Any) -> None:
        if self.fails:
            raise RuntimeError("device is busy")
        self.generator = generator

    def stop(self) -> None:
        self.generator = None

    def close(self) -> None:
        self.closed = True


class Devices:
    """Stands in for `open_device`."""

    def __init__(self) -> None:
        self.real: FakeDevice | None = FakeDevice()
        self.null = FakeDevice()
        self.wanted: list[str] = []

    def open(self, period_ms: int, want: str) -> tuple[Any, str]:
        self.wanted.append(want)
        if want == "null":
            return self.null, "null"
        if self.real is None:
            raise DeviceError("failed to init device")
        return self.real, "loudspeaker"


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> Devices:
    made = Devices()
    monkeypatch.setattr(playback, "open_device", made.open)
    return made


def test_the_null_device_plays_in_real_time_with_a_small_buffer() -> None:
    ring = Ring()
    player = Playback(ring, 40, 0, "null")
    ring.push((1, 0), tone(5.0))
    arrived = threading.Event()
    pull: Callable[..., Any] = ring.pull
    began = 0.0

    def watched(frames: int, now: float) -> Any:
        if ring.delivered >= 0.3 * SAMPLE_RATE_HZ:
            arrived.set()
        return pull(frames, now)

    ring.pull = watched  # type: ignore[method-assign]
    began = time.monotonic()
    player.resume()
    assert arrived.wait(5)
    took_s = time.monotonic() - began
    ahead_s = ring.delivered / SAMPLE_RATE_HZ - took_s
    heard_s = player.clock.frame(time.monotonic()) / SAMPLE_RATE_HZ
    player.close()
    assert took_s > 0.2, "not faster than real time"
    assert ahead_s <= 0.045, "no more than the buffer is given away ahead"
    assert heard_s <= time.monotonic() - began + 0.005


def test_without_a_sound_card_she_speaks_silently_and_says_so(devices: Devices) -> None:
    devices.real = None
    player = Playback(Ring(), 40, 0, "auto")
    assert (player.name, player.trouble) == (
        "null",
        "No sound device (failed to init device): she speaks silently, and it is tried again every 10 s.",
    )
    player.resume()
    assert devices.null.generator


def test_silence_that_was_asked_for_is_no_trouble(devices: Devices) -> None:
    player = Playback(Ring(), 40, 0, "null")
    assert (player.name, player.trouble) == ("null", "")


def test_a_device_that_refuses_to_start_gives_way_to_the_null_device(devices: Devices) -> None:
    devices.real = FakeDevice(fails=True)
    player = Playback(Ring(), 40, 0, "auto")
    player.resume()
    assert devices.real.closed
    assert devices.null.generator
    assert "device is busy" in player.trouble


def test_a_device_that_dies_in_the_middle_gives_way_to_the_null_device(devices: Devices) -> None:
    ring = Ring()
    player = Playback(ring, 40, 0, "auto")
    player.resume()
    assert devices.real
    now = 50.0
    for _ in range(60):
        devices.real.generator.send(312)
        player.look(now)
        now += 1 / 30
    assert not player.trouble
    for _ in range(60):
        player.look(now)
        now += 1 / 30
    assert "stopped taking samples" in player.trouble
    assert devices.real.closed
    assert devices.null.generator


def test_a_device_that_comes_back_is_taken_between_two_turns(devices: Devices) -> None:
    devices.real = None
    player = Playback(Ring(), 40, 0, "usb headset")
    player.retry(100.0)
    devices.real = FakeDevice()
    devices.wanted.clear()
    player.retry(100.0 + RETRY_S - 0.1)
    assert devices.wanted == []
    assert player.trouble
    player.retry(100.0 + RETRY_S)
    assert devices.wanted == ["usb headset"]
    assert (player.name, player.trouble) == ("loudspeaker", "")
    assert devices.null.closed
    assert devices.real.generator, "it was started, to be sure"
    player.retry(1000.0)
    assert devices.wanted == ["usb headset"], "all is well: nothing is tried"


def test_a_device_that_stays_away_is_tried_every_ten_seconds(devices: Devices) -> None:
    devices.real = None
    player = Playback(Ring(), 40, 0, "auto")
    devices.wanted.clear()
    for second in range(61):
        player.retry(float(second))
    assert devices.wanted == ["auto"] * 6
    assert player.trouble
    player.resume()
    assert devices.null.generator, "she goes on silently"


def test_a_device_that_opens_but_will_not_start_leaves_her_silent(devices: Devices) -> None:
    devices.real = FakeDevice(fails=True)
    player = Playback(Ring(), 40, 0, "auto")
    player.resume()
    assert "device is busy" in player.trouble
    devices.real.closed = devices.null.closed = False
    player.retry(0.0)
    player.retry(RETRY_S)
    assert devices.real.closed
    assert "device is busy" in player.trouble
    assert player.name == "null"
    devices.real.fails = False
    player.retry(RETRY_S + 0.1)
    player.retry(2 * RETRY_S + 0.1)
    assert (player.name, player.trouble) == ("loudspeaker", "")


def test_a_process_that_was_frozen_does_not_blame_its_device(devices: Devices) -> None:
    player = Playback(Ring(), 40, 0, "auto")
    player.resume()
    for look in range(STALL_CHECKS - 1):
        player.look(look * STALL_S * 10)
    assert not player.trouble


def test_pausing_and_resuming(devices: Devices) -> None:
    player = Playback(Ring(), 40, 0, "auto")
    player.resume()
    player.pause()
    assert devices.real
    assert devices.real.generator is None
    player.resume()
    assert devices.real.generator


def test_the_null_device_can_be_paused_and_resumed() -> None:
    ring = Ring()
    player = Playback(ring, 40, 0, "null")
    pull: Callable[..., Any] = ring.pull
    pulled = threading.Event()

    def watched(frames: int, now: float) -> Any:
        if frames:
            pulled.set()
        return pull(frames, now)

    ring.pull = watched  # type: ignore[method-assign]
    for _ in range(3):
        player.resume()
        assert pulled.wait(5)
        player.pause()
        held = ring.delivered
        pulled.clear()
        assert player.clock.frame(time.monotonic() + 1) == held == ring.delivered
    player.close()


def test_the_buffer_is_never_larger_than_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def opened(period_ms: int, want: str) -> tuple[Any, str]:
        asked.append(period_ms)
        return FakeDevice(), "null"

    monkeypatch.setattr(playback, "open_device", opened)
    for buffer_ms in (5, 40, 200):
        Playback(Ring(), buffer_ms, 0, "null")
        assert asked[-1] * PERIODS <= buffer_ms
