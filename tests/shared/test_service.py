"""The base of every process: phases, heartbeat, stop, bad input."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading

import pytest
from conftest import OpenBus, until

from shared.bus import Message, SourceLost
from shared.commands import ServiceStop
from shared.config import BusSettings, Settings
from shared.events import Health, Token
from shared.service import Finding, Service, StartError, StopSignal, guarded, serve


class Echo(Service):
    """Repeats tokens as its detail."""

    name = "echo"
    topics = ("llm.token",)
    made: list[Echo] = []

    def start(self) -> None:
        self.heard: list[str] = []
        self.lost: list[SourceLost] = []
        self.stopped = False
        Echo.made.append(self)

    def on_event(self, message: Message) -> None:
        self.heard.append(message.payload.text)
        self.ready(message.payload.text)

    def on_lost(self, lost: SourceLost) -> None:
        self.lost.append(lost)

    def stop(self) -> None:
        self.stopped = True


def phases(items: list[object]) -> list[str]:
    healths = [item.payload for item in items if isinstance(item, Message) and item.source == "echo"]
    return [health.phase for health in healths if isinstance(health, Health)]


def test_a_life_of_a_service(broker: BusSettings, open_bus: OpenBus) -> None:
    watcher, llm = open_bus("watcher", "sys.health"), open_bus("llm")
    stop = StopSignal()
    thread = threading.Thread(target=serve, args=(Echo, Settings(bus=broker), stop))
    thread.start()
    seen = until(watcher, lambda items: "ready" in phases(items))
    assert phases(seen) == ["loading", "ready"]
    llm.publish("llm.token", Token(generation="g", index=0, text="hello", tokens=1))
    until(watcher, lambda items: any(m.payload.detail == "hello" for m in items if m.source == "echo"))
    answers: list[object] = []
    watcher.ask(ServiceStop(), answers.append, target="echo")
    until(watcher, lambda items: "stopping" in phases(items) and answers)
    thread.join(5)
    assert not thread.is_alive()
    assert Echo.made[-1].heard == ["hello"]
    assert Echo.made[-1].stopped


def test_health_comes_about_once_a_second(broker: BusSettings, open_bus: OpenBus) -> None:
    watcher = open_bus("watcher", "sys.health")
    stop = StopSignal()
    thread = threading.Thread(target=serve, args=(Echo, Settings(bus=broker), stop))
    thread.start()
    seen = until(watcher, lambda items: phases(items).count("ready") == 3)
    stop.set()
    thread.join(5)
    beats = [m.mono for m in seen if m.payload.phase == "ready"]
    assert all(0.8e9 < later - earlier < 1.8e9 for earlier, later in itertools.pairwise(beats))
    assert seen[-1].payload.pid == os.getpid()
    assert seen[-1].payload.rss_mb > 1


def test_a_start_error_is_one_sentence_and_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        raise StartError("There is no voice: install one.")

    assert guarded("tts", work) == 2
    assert capsys.readouterr().err == "tts: There is no voice: install one.\n"


def bus_process(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "services.bus", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_second_bus_says_who_holds_the_port(broker: BusSettings) -> None:
    sets = [f"--set=bus.{key}={getattr(broker, key)}" for key in ("publish", "subscribe", "commands")]
    out, err = bus_process(*sets).communicate(timeout=30)
    assert out == ""
    assert err.count("\n") == 1
    assert f"{broker.publish} is taken by process {os.getpid()}" in err


def test_an_open_address_without_keys_is_refused() -> None:
    process = bus_process("--set", "bus.publish=tcp://0.0.0.0:7700")
    _, err = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "which other machines can reach: make keys" in err


def test_check_prints_findings_as_json() -> None:
    sets = [f"--set=bus.{key}=tcp://127.0.0.1:{port}" for key, port in (("publish", 1), ("subscribe", 2))]
    out, _ = bus_process("--check", *sets).communicate(timeout=30)
    findings = [Finding(**json.loads(line)) for line in out.splitlines()]
    assert [finding.part for finding in findings] == ["bus publish", "bus subscribe", "bus commands"]


def test_a_cut_lifeline_ends_the_process(broker: BusSettings) -> None:
    read, write = os.pipe()
    code = (
        "from shared.service import *; from services.bus.service import BusService\n"
        "import sys; s = StopSignal(); install_stop(s)\n"
        "from shared.config import load_settings\n"
        "serve(BusService, load_settings(None, sys.argv[1:]), s); print('left in order')"
    )
    sets = [f"bus.{key}={getattr(broker, key)}" for key in ("publish", "subscribe", "commands")]
    process = subprocess.Popen(
        [sys.executable, "-c", "from shared.service import install_stop\n" + code, *sets],
        stdout=subprocess.PIPE, pass_fds=[read], env={**os.environ, "AKANE_LIFELINE": str(read)}, text=True,
    )  # fmt: skip
    os.close(read)
    os.close(write)
    out, _ = process.communicate(timeout=20)
    assert out == "left in order\n"
    assert process.returncode == 0
