"""The service on a bus, and a receiver that takes its packets from a real UDP socket."""

from __future__ import annotations

import itertools
import socket
import statistics
from collections.abc import Iterator

import pytest
from pythonosc.osc_bundle import OscBundle
from waiting import until_true

from services.vmc.service import STALE_S, VmcService
from shared.bus import SourceLost
from shared.clock import Clock, FakeClock, monotonic
from shared.config import Settings, VmcSettings
from shared.events import Mood, Mouth, TurnState
from shared.service import StartError


class Receiver:
    """Where an avatar program would listen."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.address = f"127.0.0.1:{self.socket.getsockname()[1]}"

    def frames(self) -> list[dict[str, tuple]]:
        """What has arrived: address -> arguments, blend shapes as `Blend/NAME` -> (value,)."""
        found = []
        while True:
            try:
                packet = self.socket.recv(4096)
            except BlockingIOError:
                return found
            frame = {}
            for message in OscBundle(packet):
                values = tuple(message.params)
                if message.address == "/VMC/Ext/Blend/Val":
                    frame[f"Blend/{values[0]}"] = values[1:]
                else:
                    frame[message.address] = values
            found.append(frame)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.socket.close()


class Show:
    """The service turned by hand, its clock too unless another one is given."""

    def __init__(self, open_bus, address: str, clock: Clock | None = None, **own) -> None:
        self.fake = FakeClock()
        self.director, self.tts = open_bus("director"), open_bus("tts")
        self.bus = open_bus("vmc", *VmcService.topics)
        settings = Settings(vmc=VmcSettings(address=address, **own))
        self.service = VmcService(settings, self.bus, clock or self.fake)
        self.service.start()

    def hear(self, count: int) -> None:
        """Take `count` events from the bus."""
        items: list = []

        def enough() -> bool:
            items.extend(self.bus.poll(0.01))
            return len(items) >= count

        until_true(enough, what=lambda: str(items))
        for item in items:
            self.service.on_event(item)

    def frame(self, receiver: Receiver, seconds: float = 0.3) -> dict[str, float]:
        """The weights when the face has had `seconds` to glide."""
        for _ in range(int(seconds * 60)):
            self.fake.advance(1 / 60)
            self.service.tick()
        frames: list = []
        until_true(lambda: frames.extend(receiver.frames()) or frames)
        return {
            name[6:]: round(value[0], 2) for name, value in frames[-1].items() if name.startswith("Blend/")
        }


@pytest.fixture
def show(open_bus, receiver) -> Iterator[Show]:
    made = Show(open_bus, receiver.address)
    yield made
    made.service.stop()


def mouth(epoch: int, shape="A", openness: float = 1.0) -> Mouth:
    return Mouth(turn=f"t{epoch}", epoch=epoch, shape=shape, openness=openness, position_s=0.0)


def test_mouth_and_mood_of_the_present_epoch_alone_move_the_model(show, receiver):
    show.director.publish("turn.state", TurnState(turn="t5", epoch=5, phase="speaking"))
    show.director.publish("avatar.mood", Mood(epoch=5, mood="annoyed"))
    show.tts.publish("avatar.mouth", mouth(5))
    show.hear(3)
    weights = show.frame(receiver)
    assert weights["A"] == 0.9
    assert weights["Angry"] > 0.6
    assert weights["Joy"] == weights["O"] == 0.0
    show.tts.publish("avatar.mouth", mouth(4, "O"))
    show.director.publish("avatar.mood", Mood(epoch=4, mood="happy"))
    show.hear(2)
    weights = show.frame(receiver)
    assert (weights["A"], weights["O"], weights["Joy"]) == (0.9, 0.0, 0.0)
    show.director.publish("turn.state", TurnState(turn="t6", epoch=6, phase="thinking"))
    show.hear(1)
    assert show.frame(receiver)["A"] == 0.0


@pytest.mark.parametrize("how", ["silence", "death"])
def test_a_voice_that_falls_silent_or_dies_leaves_no_open_mouth(show, receiver, how):
    show.tts.publish("avatar.mouth", mouth(5))
    show.hear(1)
    assert show.frame(receiver)["A"] == 0.9
    if how == "silence":
        show.fake.advance(STALE_S)
    else:
        show.service.on_lost(SourceLost("director", "s"))
        assert show.frame(receiver, 0.05)["A"] == 0.9
        show.service.on_lost(SourceLost("tts", "s"))
    assert show.frame(receiver)["A"] < 0.01


def test_frames_come_at_the_rate_and_are_not_hurried_after_a_stop(show, receiver):
    for _ in range(1000):
        show.fake.advance(0.001)
        wait_s = show.service.tick()
        assert 0.0 <= wait_s <= 1 / 60
    frames: list = []
    until_true(lambda: frames.extend(receiver.frames()) or len(frames) >= 59, what=lambda: str(len(frames)))
    assert 59 <= len(frames) <= 61
    show.fake.advance(30.0)
    for _ in range(10):
        show.service.tick()
    frames.clear()
    until_true(lambda: frames.extend(receiver.frames()) or frames)
    assert len(frames) <= 2


def test_at_least_thirty_frames_a_second_by_the_real_clock(open_bus, receiver):
    akane = Show(open_bus, receiver.address, monotonic, sway_deg=3.0)
    frames: list = []

    def turn() -> bool:
        akane.bus.poll(akane.service.tick())
        frames.extend(receiver.frames())
        return len(frames) >= 40

    until_true(turn)
    akane.service.stop()
    times = [frame["/VMC/Ext/T"][0] for frame in frames]
    gaps = [after - before for before, after in itertools.pairwise(times)]
    # A busy machine stretches some gaps; a schedule that is too slow would stretch all of them.
    assert statistics.quantiles(gaps, n=4)[0] <= 1 / 30
    assert all(frame["/VMC/Ext/OK"] == (1,) and "/VMC/Ext/Bone/Pos" in frame for frame in frames)


def test_nobody_listening_is_told_and_does_not_stop_the_show(open_bus, receiver):
    receiver.socket.close()
    akane = Show(open_bus, receiver.address)

    def turn() -> bool:
        akane.fake.advance(1 / 60)
        akane.service.tick()
        return akane.service.phase == "degraded"

    until_true(turn)
    assert akane.service.detail == f"Nobody listens at {receiver.address}: start the VMC receiver there."
    host, _, port = receiver.address.partition(":")
    late = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    late.bind((host, int(port)))
    akane.fake.advance(2.1)
    akane.service.tick()  # the system may still hold an old refusal
    akane.fake.advance(2.1)
    akane.service.tick()
    assert (akane.service.phase, akane.service.detail) == ("ready", f"sending to {receiver.address}")
    late.close()
    akane.service.stop()


def check(**own) -> tuple[bool, str]:
    (finding,) = VmcService.check(Settings(vmc=VmcSettings(**own)))
    return finding.ok, finding.detail


def test_the_check_and_a_bad_address(open_bus):
    assert check() == (True, "sends to 127.0.0.1:39539, 60 a second")
    for address in ("127.0.0.1:99999", "no such host:39539"):
        ok, detail = check(address=address)
        assert not ok
        assert repr(address) in detail
        with pytest.raises(StartError, match=r"vmc\.address is"):
            Show(open_bus, address)


def test_without_the_package_the_check_and_the_start_say_so(open_bus, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert check()[1].startswith("The service vmc needs the package python-osc")
    with pytest.raises(StartError, match="pip install python-osc"):
        Show(open_bus, "127.0.0.1:39539")
