"""The dashboard's bus side on a real bus."""

from __future__ import annotations

import time
from typing import Any

from conftest import OpenBus, until

from services.dashboard.service import Dashboard
from shared.commands import Panic, StopSpeech
from shared.config import Settings
from shared.events import TurnState


def test_a_panic_silences_the_voice_though_the_director_hangs(open_bus: OpenBus) -> None:
    director = open_bus("director", register=True)  # and it never looks at what it is told
    director.publish("turn.state", TurnState(turn="t", epoch=7, phase="speaking"))
    bus = open_bus("dashboard", *Dashboard.topics)
    dashboard = Dashboard(Settings(), bus, time.monotonic)

    def heard(_: list[Any]) -> bool:
        for message in bus.snapshot():
            dashboard.on_event(message)
        return dashboard.state.epoch == 7

    until(bus, heard)
    tts = open_bus("tts", register=True)
    told: list[Any] = []
    tts.handle(StopSpeech, lambda command, _: told.append(command))
    dashboard.feed.send(Panic(muted=False))
    dashboard.feed.send(Panic(muted=True))
    dashboard.tick()
    until([tts, bus], lambda _: told)
    assert told == [StopSpeech(epoch=8)]
    assert dashboard.feed.take_answers() == [], "the director has not answered yet"
