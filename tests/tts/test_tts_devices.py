"""Which sound device she plays on: the system's, none, or one by a part of its name."""

from __future__ import annotations

import contextlib
from typing import Any

import miniaudio
import pytest

from services.tts import checks, devices
from services.tts.devices import LISTED, DeviceError, Output, choose, names, open_device, outputs
from shared.config import TtsSettings


def output(name: str) -> Output:
    return Output(name, "backend", f"id of {name}", None)


THERE = [output("Speakers (Realtek)"), output("CABLE Input (VB-Audio)"), output("Monitor"), output("CABLE")]


@pytest.mark.parametrize(
    ("want", "name"),
    [
        ("vb-audio", "CABLE Input (VB-Audio)"),
        ("Speakers", "Speakers (Realtek)"),
        ("cable", "CABLE"),
        ("CABLE I", "CABLE Input (VB-Audio)"),
        ("r", "Speakers (Realtek)"),
    ],
)
def test_a_part_of_a_name_is_enough_and_the_whole_name_wins(want: str, name: str) -> None:
    assert choose(want, THERE).name == name


def test_an_unknown_name_is_told_what_there_is() -> None:
    with pytest.raises(DeviceError) as told:
        choose("headset", THERE[:2])
    assert str(told.value) == (
        "no device has 'headset' in its name; tts.device can be auto, null, 'Speakers (Realtek)', "
        "'CABLE Input (VB-Audio)'"
    )
    with pytest.raises(DeviceError, match=r"can be auto, null$"):
        choose("headset", [])
    with pytest.raises(DeviceError, match=rf"'card {LISTED - 1}' and 28 more$"):
        choose("headset", [output(f"card {number}") for number in range(LISTED + 28)])


def test_a_name_is_listed_once() -> None:
    assert names([output("A"), output("B"), output("A")]) == ["A", "B"]


class FakeBackends:
    """miniaudio with two backends, one of them broken, and a device that remembers how it was opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened: list[tuple[Any, Any]] = []
        monkeypatch.setattr(devices, "_backends", lambda: ["broken", "working"])
        monkeypatch.setattr(miniaudio, "Devices", self.context)
        monkeypatch.setattr(miniaudio, "PlaybackDevice", self.device)

    def context(self, backends: list[str]) -> FakeBackends:
        if backends == ["broken"]:
            raise miniaudio.MiniaudioError("cannot init context", -1)
        return self

    def get_playbacks(self) -> list[dict[str, Any]]:
        return [{"name": "Speakers", "id": 1}, {"name": "Virtual Cable", "id": 2}]

    def device(self, **how: Any) -> FakeBackends:
        self.opened.append((how["backends"], how["device_id"]))
        return self

    backend = "Working"

    def close(self) -> None:
        pass


def test_the_chosen_device_is_opened_by_its_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeBackends(monkeypatch)
    assert open_device(13, "cable")[1] == "Virtual Cable"
    assert open_device(13, "auto")[1] == "default output through Working"
    assert open_device(13, "null")[1] == "none (null device)"
    null = [miniaudio.Backend.NULL]
    assert fake.opened == [(["working"], 2), (["broken", "working"], None), (null, None)]


def test_check_lists_the_devices_and_names_a_wrong_one(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeBackends(monkeypatch)
    good = checks._device(TtsSettings(device="virtual"))
    assert (good.ok, good.detail) == (
        True,
        "Virtual Cable; tts.device can name a part of: Speakers; Virtual Cable",
    )
    bad = checks._device(TtsSettings(device="headset"))
    assert not bad.ok
    assert (
        "no device has 'headset' in its name; tts.device can be auto, null, 'Speakers', 'Virtual Cable'"
        in bad.detail
    )
    assert "tts.device" in bad.fix


def test_asking_and_opening_print_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """ALSA writes a page of complaints where there is no sound card."""
    outputs()
    with contextlib.suppress(DeviceError):
        open_device(13, "auto")[0].close()
    captured = capfd.readouterr()
    assert captured.err == ""
    assert captured.out == ""
