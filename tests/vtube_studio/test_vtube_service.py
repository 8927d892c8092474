"""The bridge on a real bus, and its process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import OpenBus, until
from studio import SMILE, WAVE, Studio
from test_vtube_connection import free_port
from vtube_helpers import Server, mood, mouth, turn
from waiting import until_true

from services.vtube_studio.service import VtubeStudio
from shared.bus import Message
from shared.config import ROOT, BusSettings, ConfigError, Settings, VtubeStudioSettings, load_settings
from shared.service import StopSignal, serve

HOTKEYS = ["happy=Smile", "excited=Wave"]


class Running:
    """The service in a thread."""

    def __init__(self, bus: BusSettings, url: str) -> None:
        settings = Settings(bus=bus, vtube_studio=VtubeStudioSettings(url=url, hotkeys=HOTKEYS))
        self._stop = StopSignal()
        self._thread = threading.Thread(target=serve, args=(VtubeStudio, settings, self._stop), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join(10.0)
        assert not self._thread.is_alive()


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AKANE_STATE", str(tmp_path))


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(Studio(hotkeys=[SMILE, WAVE]))
    yield made
    made.close()


def health(items: list[Any]) -> list[Any]:
    return [item.payload for item in items if isinstance(item, Message) and item.source == "vtube_studio"]


def test_events_of_the_bus_move_the_model_and_old_ones_do_not(
    broker: BusSettings, open_bus: OpenBus, server: Server
) -> None:
    watcher, director, tts = open_bus("watcher", "sys.health"), open_bus("director"), open_bus("tts")
    director.publish("turn.state", turn("thinking", epoch=7))
    running = Running(broker, server.url)
    told = until(
        watcher,
        lambda items: any(each.detail == "moves Hiyori in VTube Studio" for each in health(items)),
        20.0,
    )
    assert any("click Allow" in each.detail for each in health(told))
    frames = server.studio.frames

    def moved(epoch: int) -> bool:
        tts.publish("avatar.mouth", mouth(epoch, openness=0.9))
        watcher.poll(0.02)
        return bool(frames) and frames[-1]["MouthOpen"] > 0.8

    until_true(lambda: moved(7))
    director.publish("turn.state", turn("done", epoch=8))
    until_true(lambda: frames[-1]["MouthOpen"] < 0.01)
    count = len(frames)
    for _ in range(15):
        assert not moved(7)
    until_true(lambda: len(frames) > count + 20)
    assert max(frame["MouthOpen"] for frame in frames[count:]) < 0.01
    director.publish("avatar.mood", mood("excited", 7), cause="x/chat.message/0")
    director.publish("avatar.mood", mood("excited", 8), cause="x/chat.message/0")
    until_true(lambda: server.studio.pressed == ["id-wave"])
    director.publish("avatar.mood", mood("happy", 8), cause="x/chat.message/0")
    until_true(lambda: server.studio.worn == ["smile.exp3.json"])
    assert server.studio.pressed == ["id-wave"]
    running.close()
    until_true(lambda: server.studio.worn == [])


def test_without_vtube_studio_it_is_there_and_holds_nobody_up(broker: BusSettings, open_bus: OpenBus) -> None:
    watcher, tts = open_bus("watcher", "sys.health"), open_bus("tts")
    running = Running(broker, f"ws://127.0.0.1:{free_port()}")
    until(watcher, lambda items: any(each.phase == "degraded" for each in health(items)), 20.0)
    for _ in range(500):
        tts.publish("avatar.mouth", mouth())
    beats = health(until(watcher, lambda items: len(health(items)) >= 2))
    assert beats[-1].phase == "degraded"
    assert "start it and switch on" in beats[-1].detail
    assert beats[-1].gaps == {}
    assert beats[-1].loop_ms < 1000
    running.close()


def test_the_token_of_one_run_serves_the_next(broker: BusSettings, server: Server) -> None:
    for _ in range(2):
        running = Running(broker, server.url)
        count = len(server.studio.frames)
        until_true(lambda count=count: len(server.studio.frames) > count)
        running.close()
    assert server.studio.popups == 1


def test_the_check_says_how_it_stands(server: Server) -> None:
    def found(url: str) -> tuple[bool, str]:
        [finding] = VtubeStudio.check(Settings(vtube_studio=VtubeStudioSettings(url=url)))
        assert finding.ok or finding.fix
        return finding.ok, finding.detail

    ok, detail = found(server.url)
    assert ok
    assert "VTube Studio 1.9.0" in detail
    assert "will ask" in detail
    server.studio.active = False
    assert found(server.url) == (False, "Plugins are off in VTube Studio")
    ok, detail = found(f"ws://127.0.0.1:{free_port()}")
    assert not ok
    assert "nothing answers" in detail
    assert not found("localhost")[0]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "services.vtube_studio", *arguments]
    return subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=60)


def test_its_process_checks_and_refuses_a_bad_address(broker: BusSettings) -> None:
    checked = run("--check", "--set", f"vtube_studio.url=ws://127.0.0.1:{free_port()}")
    assert checked.returncode == 0
    assert json.loads(checked.stdout)["part"] == "vtube_studio"
    roads = [f"bus.{road}={getattr(broker, road)}" for road in ("publish", "subscribe", "commands")]
    refused = run("--set", "vtube_studio.url=8001", *(part for road in roads for part in ("--set", road)))
    assert refused.returncode == 2
    assert "write it like ws://localhost:8001" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_hotkey_for_what_is_no_mood_is_refused() -> None:
    with pytest.raises(ConfigError, match="vtube_studio.hotkeys"):
        load_settings(None, ["vtube_studio.hotkeys=angry=Smile"], env={})
    assert load_settings(
        None, ["vtube_studio.hotkeys=happy=Big Smile,sad=Tears"], env={}
    ).vtube_studio.hotkeys == ["happy=Big Smile", "sad=Tears"]
