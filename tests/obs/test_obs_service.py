"""The service against an OBS that speaks the protocol: password, dropped connections, refusals, absence."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fake_obs import FakeObs
from waiting import until_true

from services.obs.link import ObsLink, Status, backoff_s
from services.obs.picture import SCENE, Switch, Target, Values
from services.obs.service import NOTHING_NAMED, ObsService
from shared.bus import SourceLost
from shared.clock import FakeClock, monotonic
from shared.config import ObsSettings, Settings
from shared.events import Health, Muted, Progress, TurnState

SECRET = "correct horse battery"
SAYS, NAME = Target("text", "Says"), Target("text", "Name")
Linked = Callable[..., "Link"]


class Link:
    """A link and what it reported; it does not wait between attempts."""

    def __init__(self, address: str, targets: Values, scenes: tuple[str, ...] = (), **options: Any) -> None:
        self.told: list[Status] = []
        self.failures: list[int] = []
        own = ObsSettings(address=address, password=options.pop("password", ""))
        delay_s = options.pop("delay_s", 0.0)
        self.link = ObsLink(
            own, targets, list(scenes), self.told.append, delay=lambda n: self._delay(n, delay_s), **options
        )
        self.link.start()

    def _delay(self, failures: int, delay_s: float) -> float:
        self.failures.append(failures)
        return delay_s

    def wait_for(self, words: str) -> Status:
        def last() -> Status | None:
            return next((status for status in reversed(self.told[-1:]) if words in status.detail), None)

        return until_true(last, what=lambda: f"{words!r} in {self.told}")


@pytest.fixture
def linked() -> Iterator[Linked]:
    made: list[Link] = []

    def link(*args: Any, **options: Any) -> Link:
        made.append(Link(*args, **options))
        return made[-1]

    yield link
    for each in made:
        each.link.stop()
        assert not each.link.is_alive


def test_the_right_password_opens_and_no_events_are_subscribed(linked):
    with FakeObs(SECRET) as obs:
        link = linked(obs.address, {SAYS: ""}, password=SECRET)
        assert link.wait_for("OBS 30.2.2 at").ok
        link.link.want({SAYS: "hello"})
        until_true(lambda: obs.texts.get("Says") == ["hello"])
        assert obs.identified[0]["eventSubscriptions"] == 0


@pytest.mark.parametrize(
    ("password", "words"), [("wrong one", "does not accept the password"), ("", "asks for a password")]
)
def test_a_wrong_password_is_told_and_never_shown(linked, caplog, password: str, words: str):
    with FakeObs(SECRET) as obs:
        link = linked(obs.address, {SAYS: ""}, password=password)
        assert not link.wait_for(words).ok
        until_true(lambda: len(link.failures) >= 3)
        assert link.failures[:3] == [0, 1, 2]
        assert obs.asked == []
        assert len(link.told) == 1  # one sentence, however often it is tried
        assert SECRET not in link.told[0].detail + caplog.text
        assert not password or password not in link.told[0].detail + caplog.text


def test_after_a_cut_all_texts_are_set_again_but_no_scene(linked):
    with FakeObs() as obs:
        link = linked(obs.address, {SAYS: ""}, ("BRB",))
        link.link.want({SAYS: "one", SCENE: Switch("BRB", 1)})
        until_true(lambda: obs.scene == "BRB")
        obs.scene = "Main"  # the streamer goes on
        obs.cut()
        until_true(lambda: obs.texts["Says"] == ["one", "one"])
        assert link.wait_for("OBS 30.2.2").ok
        link.link.want({SAYS: "two", SCENE: Switch("BRB", 1)})
        until_true(lambda: obs.texts["Says"][-1] == "two")
        assert obs.switches == ["BRB"]
        assert [status.ok for status in link.told] in ([True, False, True], [False, True])


def test_obs_that_is_started_late_is_found_and_gets_the_last_text_only(linked):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    link = linked(f"ws://127.0.0.1:{port}", {SAYS: ""}, delay_s=0.02)
    link.wait_for("OBS is not there, or its WebSocket server is off")
    for number in range(100):
        link.link.want({SAYS: str(number)})
    with FakeObs(port=port) as obs:
        until_true(lambda: obs.texts.get("Says") == ["99"])


def test_a_kick_is_obeyed(linked):
    with FakeObs() as obs:
        link = linked(obs.address, {SAYS: ""})
        link.wait_for("OBS 30.2.2")
        obs.kick()
        link.wait_for("kicked in OBS: start this service again")
        link.link.want({SAYS: "still here?"})
        assert link.failures == []
        assert len(obs.connections) == 1


def test_a_missing_source_and_a_refusal_degrade_and_the_rest_goes_on(linked):
    clock = FakeClock()
    with FakeObs() as obs:
        del obs.kinds["Name"]
        link = linked(
            obs.address, {NAME: "", SAYS: "", Target("item", "Main", "Dots"): True}, ("Nowhere",), clock=clock
        )
        assert "has not got the text source 'Name'" in link.wait_for("(and 1 more)").detail
        link.link.want({NAME: "Aya", SAYS: "hi", Target("item", "Main", "Dots"): True})
        until_true(lambda: obs.texts.get("Says") == ["hi"] and obs.shown == {("Main", 7): True})
        obs.kinds["Name"] = "text_ft2_source"
        obs.scenes.append("Nowhere")
        clock.advance(4.0)
        clock.advance(6.0)
        assert link.wait_for("OBS 30.2.2").ok
        assert obs.texts["Name"] == ["Aya"]


def test_what_is_not_obs_is_told(linked):
    with socket.create_server(("127.0.0.1", 0)) as server:
        link = linked(f"ws://127.0.0.1:{server.getsockname()[1]}", {SAYS: ""}, delay_s=60.0)
        connection = server.accept()[0]
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        connection.close()
        assert not link.wait_for("what answers there is not obs-websocket").ok


def test_the_backoff_grows_to_half_a_minute():
    delays = [backoff_s(failures) for failures in range(2000)]
    assert 0.75 <= delays[0] <= 1.0
    assert all(22.5 <= delay <= 30.0 for delay in delays[5:])


# -- on the bus -----------------------------------------------------------------------------------------


class Show:
    """The service on a bus, turned by hand, and a director and a voice that tell it things."""

    def __init__(self, open_bus, **own: Any) -> None:
        self.director, self.tts = open_bus("director"), open_bus("tts")
        self.bus = open_bus("obs", *ObsService.topics)
        self.service = ObsService(Settings(obs=ObsSettings(**own)), self.bus, monotonic)
        self.service.start()
        self.slowest_s = 0.0

    def turn(self, done: Callable[[], Any]) -> None:
        def once() -> Any:
            items = self.bus.poll(0.01)
            began_at = time.monotonic()
            for item in items:
                if isinstance(item, SourceLost):
                    self.service.on_lost(item)
                else:
                    self.service.on_event(item)
            self.service.tick()
            self.slowest_s = max(self.slowest_s, time.monotonic() - began_at)
            return done()

        until_true(once, what=lambda: f"{self.service.detail} {self.service._picture.values}")

    def state(self, phase: str, epoch: int = 5, **fields: Any) -> None:
        told = {"author": "Aya", "prompt": "who are you?", **fields}
        self.director.publish("turn.state", TurnState(turn=f"t{epoch}", epoch=epoch, phase=phase, **told))

    def heard(self, text: str, epoch: int = 5) -> None:
        progress = Progress(turn=f"t{epoch}", epoch=epoch, chunk=0, position_s=0.0, words_heard=1, heard=text)
        self.tts.publish("speech.progress", progress)

    def mute(self, muted: bool) -> None:
        self.director.publish("show.muted", Muted(muted=muted))


@pytest.fixture
def show(open_bus) -> Iterator[Callable[..., Show]]:
    made: list[Show] = []

    def one(**own: Any) -> Show:
        made.append(Show(open_bus, **own))
        return made[-1]

    yield one
    for each in made:
        each.service.stop()


ALL = {
    "text_name": "Name", "text_question": "Asked", "text_speech": "Says", "hold_s": 0.0,
    "scenes": ["speaking=Talking", "idle=Chatting", "panic=BRB"], "items": ["thinking=Main/Dots"],
}  # fmt: skip


def test_a_turn_with_an_interruption_and_a_panic(show):
    with FakeObs(SECRET) as obs:
        akane = show(address=obs.address, password=SECRET, **ALL)
        akane.turn(lambda: akane.service.phase == "ready")
        assert akane.service.detail == f"OBS 30.2.2 at {obs.address}"
        akane.state("thinking")
        akane.turn(lambda: obs.texts["Name"][-1] == "Aya" and obs.shown.get(("Main", 7)))
        akane.state("speaking")
        akane.heard("I am\x1b[31m Akane")
        akane.turn(lambda: obs.texts["Says"][-1] == "I am Akane")
        akane.turn(lambda: obs.scene == "Talking" and obs.shown[("Main", 7)] is False)
        akane.state("speaking", 7, author="Ben", prompt="next")
        akane.turn(lambda: obs.texts["Name"][-1] == "Ben" and obs.texts["Says"][-1] == "")
        akane.heard("an old word", 5)
        akane.state("speaking", 5)
        akane.heard("a new word", 7)
        akane.turn(lambda: obs.texts["Says"][-1] == "a new word")
        assert "an old word" not in obs.texts["Says"]
        assert obs.texts["Name"][-1] == "Ben"
        akane.mute(True)
        akane.turn(lambda: obs.scene == "BRB" and obs.texts["Says"][-1] == obs.texts["Asked"][-1] == "")
        akane.director.publish("sys.health", Health(phase="ready", pid=2))  # her director was replaced
        akane.state("idle", 8)
        akane.turn(lambda: akane.service._picture._epoch == 8)
        assert obs.scene == "BRB"
        akane.mute(False)
        akane.turn(lambda: obs.scene == "Chatting")


@pytest.mark.parametrize("hangs", [False, True])
def test_an_obs_that_is_absent_or_hangs_never_blocks_the_bus(show, hangs: bool):
    with FakeObs() as obs:
        obs.answers = False
        akane = show(address=obs.address if hangs else "ws://127.0.0.1:9", **ALL)
        akane.turn(lambda: obs.identified if hangs else akane.service.phase == "degraded")
        for number in range(300):
            akane.state("speaking", number)
        akane.turn(lambda: akane.service._picture._epoch == 299)
        assert akane.service._picture.values[SCENE].scene == "Talking"
        assert akane.slowest_s < 2.0  # OBS has five seconds to answer
        assert hangs or "OBS is not there" in akane.service.detail


def test_nothing_named_is_said_and_nothing_is_connected(show):
    akane = show(address="ws://127.0.0.1:9")
    akane.turn(lambda: True)
    assert (akane.service.phase, akane.service.detail) == ("degraded", NOTHING_NAMED)


def check(**own: Any) -> tuple[bool, str]:
    (finding,) = ObsService.check(Settings(obs=ObsSettings(**own)))
    return finding.ok, finding.detail


def test_the_check_names_what_is_wrong_and_changes_nothing():
    with FakeObs(SECRET) as obs:
        obs.items.clear()
        here = {"address": obs.address, **ALL}
        assert "does not accept the password" in check(**here, password="no")[1]
        ok, detail = check(**here, password=SECRET)
        assert not ok
        assert "has not got the source 'Dots' in the scene 'Main'" in detail
        obs.items[("Main", "Dots")] = 7
        assert check(**here, password=SECRET) == (True, f"OBS 30.2.2 at {obs.address}")
        assert (obs.texts, obs.switches, obs.shown) == ({}, [], {})
    assert "OBS is not there" in check(**here)[1]
    assert check() == (False, NOTHING_NAMED)
