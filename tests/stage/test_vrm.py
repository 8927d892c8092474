"""A model instead of the puppet: which files pass, how it acts in a real browser, dropping one, and what stands in."""

from __future__ import annotations

import base64
import itertools
import struct
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import OpenBus
from stage_helpers import TOKEN, Stage, Tab, mouth, turn
from vrm_files import glb_bytes, vrm_bytes
from waiting import until_true

from services.stage.model import LARGEST_BYTES, ModelError, model_of
from services.stage.service import StageService
from shared.config import BusSettings, Settings, StageSettings
from shared.events import Mood
from shared.service import StartError

pytest_plugins = ("stage_fixtures",)

NEW, OLD = "1.0", "0.0"
WHOLE = vrm_bytes(NEW)
BONELESS = glb_bytes({"asset": {"version": "2.0"}, "extensions": {"VRMC_vrm": {"specVersion": "1.0"}}})
WRONG = glb_bytes(
    {
        "asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0]}], "nodes": [{"name": "a"}],
        "extensions": {"VRM": {"humanoid": {"humanBones": [{"bone": "spine", "node": 12345}]}}},
    }
)  # fmt: skip
DRACO = "KHR_draco_mesh_compression"
IS_MODEL = "!!akane.avatar.puppet.vrm && akane.avatar.puppet.drawn_ms > 0"
IS_PUPPET = "!!akane.avatar.puppet.strands"
SAID = "document.querySelector('.notice').hidden ? '' : document.querySelector('.notice').textContent"


@pytest.fixture(autouse=True)
def small(request: pytest.FixtureRequest) -> None:
    """A model without a graphics card costs time by the pixel."""
    if "tab" in request.fixturenames:
        request.getfixturevalue("tab").page.set_viewport_size({"width": 256, "height": 144})


@pytest.fixture
def make_stage(broker: BusSettings, tmp_path: Path) -> Any:
    """`make_stage(bytes)`: a stage whose model is a file of these."""
    made: list[Stage] = []

    def make(model: bytes) -> Stage:
        (tmp_path / "own.vrm").write_bytes(model)
        made.append(Stage(broker, vrm=str(tmp_path / "own.vrm")))
        return made[0]

    yield make
    for each in made:
        each.close()


MakeStage = Callable[[bytes], Stage]


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (None, "There is no file"),
        (b"", "is not a VRM model"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "is not a VRM model"),
        (b"glTF" + struct.pack("<II", 1, 40) + WHOLE[12:], "is binary glTF 1, not 2"),
        (WHOLE[:-100], "is cut off"),
        (WHOLE[:20] + b"}" * (len(WHOLE) - 20), "is damaged"),
        (WHOLE[:20] + b"[" * (len(WHOLE) - 20), "is damaged"),
        (glb_bytes({"extensions": {"KHR_xmp": {}}}), "without a VRM's description"),
        (glb_bytes(["VRM"]), "without a VRM's description"),
        (glb_bytes({"extensions": {"VRM": {}}, "buffers": [{"uri": "https://evil.example/a.bin"}]}), "in other files"),
        (glb_bytes({"extensions": {"VRMC_vrm": {}}, "images": [{"uri": "skin.png"}]}), "in other files"),
        (glb_bytes({"extensions": {"VRM": {}}, "extensionsUsed": [DRACO]}), r"is compressed \(Draco\)"),
        (glb_bytes({"extensions": {"VRM": {}}, "extensionsRequired": ["KHR_texture_basisu"], "extensionsUsed": 1}), "KTX2"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_shown_is_one_sentence(raw: bytes | None, says: str, tmp_path: Path) -> None:
    path = tmp_path / "own.vrm"
    if raw is not None:
        path.write_bytes(raw)
    with pytest.raises(ModelError, match=says) as refused:
        model_of(str(path))
    assert str(refused.value).endswith("set stage.vrm to a .vrm file, or leave it empty for the drawn Akane.")


def test_a_bad_file_stops_the_stage_and_shows_in_the_check(broker: BusSettings, tmp_path: Path) -> None:
    path = tmp_path / "own.vrm"
    path.write_bytes(WHOLE)
    settings = Settings(stage=StageSettings(port=0, token=TOKEN, vrm=str(path)))
    (row,) = StageService.check(settings)
    assert row.ok
    with open(path, "r+b") as file:
        file.truncate(LARGEST_BYTES + 1)  # sparse: takes no room
    (row,) = StageService.check(settings)
    assert (row.ok, bool(row.fix)) == (False, True)
    assert "has 256 MB, more than" in row.detail
    path.write_bytes(b"no")
    with pytest.raises(StartError, match=r"own\.vrm is not a VRM model: set stage\.vrm"):
        Stage(broker, vrm=str(path))
    with pytest.raises(StartError, match="cannot be read"):
        Stage(broker, vrm=str(tmp_path))


def test_only_the_one_file_is_served(make_stage: MakeStage, tmp_path: Path) -> None:
    (tmp_path / "secret.vrm").write_bytes(WHOLE)
    stage = make_stage(WHOLE)
    for query in ("", "?path=secret.vrm", "?vrm=secret.vrm"):
        with urllib.request.urlopen(f"{stage.url}model.vrm{query}", timeout=10) as answer:
            assert answer.read() == WHOLE
            assert answer.headers["Content-Type"] == "model/gltf-binary"
    for path in ("secret.vrm", "model.vrm/secret.vrm", "model.vrm/../secret.vrm", "page/%2e%2e/own.vrm"):
        assert stage.ask(path)[0] == 404
    assert stage.ask("model.vrm", origin="https://evil.example")[0] == 403
    assert stage.ask("theme.json")[1]["model"] == "there"
    (tmp_path / "own.vrm").unlink()
    assert stage.ask("theme.json")[1]["model"] == "faulty"
    status, answer = stage.ask("model.vrm")
    assert status == 404
    assert str(tmp_path) not in answer["error"]  # a path has no place on a stream


# The page's own frames go on; a script that runs to its end is not disturbed by them.
WEIGHT = "(name) => akane.avatar.puppet.vrm.expressionManager.getValue(name)"
PICTURE = """
() => {
  const one = akane.avatar.puppet;
  one.update(performance.now());
  const copy = new OffscreenCanvas(64, 36);
  const ctx = copy.getContext("2d", { willReadFrequently: true });
  ctx.drawImage(one.canvas, 0, 0, 64, 36);
  const { data } = ctx.getImageData(0, 0, 64, 36);
  return Array.from({ length: 36 }, (_, y) => Array.from({ length: 64 }, (_, x) => data[4 * (64 * y + x) + 3]));
}
"""
# Values of one frame after the other of `seconds`, with the figure told what `told` says
ACTED = """
([told, seconds]) => {
  const one = akane.avatar.puppet;
  const { vrm } = one;
  Object.assign(one, { mood: "neutral", mouth: {}, pose: "idle", look: { x: 0, y: 0 } }, told);
  const render = one.renderer.render;
  one.renderer.render = () => vrm.scene.updateMatrixWorld(true); // all of a frame but its pixels
  const seen = [];
  const node = (name) => vrm.humanoid.getNormalizedBoneNode(name);
  const place = (bone) => { const p = bone.position.clone(); bone.getWorldPosition(p); return p; };
  for (let ms = 0; ms < seconds * 1000; ms += 25) {
    one.update(1e7 + ms);
    const front = vrm.lookAt.faceFront.clone().transformDirection(node("head").matrixWorld);
    seen.push({
      blink: vrm.expressionManager.getValue("blink"), yaw: vrm.lookAt.yaw, pitch: vrm.lookAt.pitch,
      front: front.toArray(), spine: node("spine").quaternion.toArray(),
      hand: place(node("leftHand")).toArray(), shoulder: place(node("leftUpperArm")).toArray(),
      hair: vrm.scene.getObjectByName("hair").quaternion.toArray(),
    });
  }
  one.renderer.render = render;
  return seen;
}
"""


@pytest.mark.parametrize("version", [NEW, OLD])
def test_it_acts_like_the_puppet(version: str, make_stage: MakeStage, open_bus: OpenBus, tab: Tab) -> None:
    stage = make_stage(vrm_bytes(version))
    page = tab.open(stage.url + "?hide=chat,status,captions")
    tab.until(lambda: page.evaluate(IS_MODEL))
    assert page.locator(".avatar canvas").count() == 1
    assert {url.split("/")[2] for url in tab.requested if "://" in url and not url.startswith("blob:")} == {
        stage.url.split("/")[2]
    }

    tts, director = open_bus("tts"), open_bus("director")
    until_true(lambda: "avatar.mouth" in stage.service.bus._events.topics)
    director.publish("turn.state", turn(1, "speaking"))
    director.publish("avatar.mood", Mood(mood="surprised"))

    def spoken(openness: float, seen: Callable[[float], bool]) -> bool:
        tts.publish("avatar.mouth", mouth(1, openness))
        return seen(page.evaluate(WEIGHT, "aa"))

    tab.until(lambda: spoken(0.9, lambda weight: weight > 0.8))
    surprised = "surprised" if version == NEW else "Surprised"
    tab.until(lambda: page.evaluate(WEIGHT, surprised) > 0.6)
    director.publish("avatar.mood", Mood(mood="happy", intensity=0.8))
    tab.until(lambda: page.evaluate(WEIGHT, "happy") > 0.3 and page.evaluate(WEIGHT, surprised) < 0.05)
    tab.until(lambda: page.evaluate(WEIGHT, "aa") < 0.05)  # nobody moves it any more
    assert page.evaluate("akane.avatar.puppet.mood") == "happy"

    alpha = page.evaluate(PICTURE)
    filled = [any(value > 200 for value in row) for row in alpha]
    assert 1 <= filled.index(True) <= 6  # a little room over the head
    assert filled[-1]  # the body goes on below the picture
    assert alpha[15][32] == 255
    assert {row[x] for row in alpha for x in (0, 1, 62, 63)} == {0}
    assert 0.1 < sum(value > 200 for row in alpha for value in row) / (36 * 64) < 0.5
    _lives(page)


def _lives(page: Any) -> None:
    """When nobody asks: blinks, glances, breath, hair; and turns where it is told to."""
    idle = page.evaluate(ACTED, [{}, 24])
    blinks = [frame["blink"] for frame in idle]
    assert 4 <= sum(before < 0.9 <= now for before, now in itertools.pairwise(blinks)) <= 14
    assert sum(0.05 < value < 0.9 for value in blinks) > 8  # eased, not switched
    assert sum(value < 0.05 for value in blinks) > 0.8 * len(blinks)
    assert all(frame["hand"][1] < frame["shoulder"][1] - 0.25 for frame in idle)  # no T
    assert idle[0]["hand"][0] > 0  # her left, seen from the front
    for what, least, most in (("yaw", 0.5, 25), ("pitch", 0.3, 15)):
        values = [frame[what] for frame in idle]
        assert least < max(values) - min(values) < most, what  # small glances
    for what in ("front", "spine", "hair"):
        steps = [
            max(abs(a - b) for a, b in zip(one[what], two[what], strict=True))
            for one, two in itertools.pairwise(idle)
        ]
        assert max(steps) < 0.1, what  # nothing jumps
        assert sum(steps) > 0.01, what  # and nothing stands still
    aside = page.evaluate(ACTED, [{"look": {"x": 0.9, "y": 0.6}}, 1.5])[-1]
    assert aside["front"][0] > 0.15  # to the viewer's right
    assert aside["front"][1] > 0.05  # and up
    assert aside["front"][2] > 0.8  # with her face to the front
    listening = page.evaluate(ACTED, [{"pose": "listening"}, 1.5])[-1]
    assert listening["shoulder"][2] - idle[0]["shoulder"][2] > 0.005  # leans towards the viewer
    mood = page.evaluate(ACTED, [{"mood": "sad"}, 1.5])[-1]
    assert mood["front"][1] < -0.08  # hangs her head


DROP = """
([name, encoded]) => {
  const bytes = Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], name));
  const over = new DragEvent("dragover", { dataTransfer, bubbles: true, cancelable: true });
  const drop = new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true });
  document.body.dispatchEvent(over);
  document.body.dispatchEvent(drop);
  return [over.defaultPrevented, drop.defaultPrevented];
}
"""


def test_one_is_dropped_stays_and_is_taken_off_again(stage: Stage, tab: Tab) -> None:
    def drop(name: str, raw: bytes) -> None:
        assert page.evaluate(DROP, [name, base64.b64encode(raw).decode()]) == [True, True]

    assert stage.ask("theme.json")[1]["model"] == "none"
    assert stage.ask("model.vrm") == (404, {"error": "The settings name no model: stage.vrm is empty."})
    page = tab.open(stage.url)
    assert page.evaluate(IS_PUPPET)
    assert not any("vendor" in url or "model.vrm" in url for url in tab.requested)
    page.evaluate("akane.avatar.mood({ mood: 'sad', intensity: 1 })")
    for name, raw, says in (
        ("cat.png", b"\x89PNG" + bytes(40), "it is not a VRM model (.vrm)"),
        ("half.vrm", WHOLE[: len(WHOLE) // 2], "it is cut off"),
        ("far.vrm", glb_bytes({"extensions": {"VRM": {}}, "images": [{"uri": "https://evil.example/a.png"}]}), "it keeps parts of itself in other files"),
        ("packed.vrm", glb_bytes({"extensions": {"VRM": {}}, "extensionsUsed": [DRACO]}), "it is compressed (Draco): export it without"),
        ("wrong.vrm", WRONG, "it is damaged"),
        ("bones.vrm", BONELESS, "its description of the bones is not complete"),
    ):  # fmt: skip
        drop(name, raw)
        tab.until(lambda: page.evaluate(SAID) == f"{name} cannot be shown: {says}.")  # noqa: B023
    assert page.evaluate(IS_PUPPET)
    assert page.locator(".avatar canvas").count() == 1

    drop("mine.vrm", vrm_bytes(OLD))
    tab.until(lambda: page.evaluate(SAID) == "mine.vrm stays on this page until you press Delete.")
    tab.until(lambda: page.evaluate(IS_MODEL))
    assert page.evaluate("akane.avatar.puppet.mood") == "sad"
    assert page.locator(".avatar canvas").count() == 1
    page = tab.open(stage.url)
    tab.until(lambda: page.evaluate(IS_MODEL))
    page.keyboard.press("Delete")
    tab.until(lambda: page.evaluate(IS_PUPPET))
    page = tab.open(stage.url)
    assert page.evaluate(IS_PUPPET)
    assert not any("model.vrm" in url or "evil" in url for url in tab.requested)


def test_the_puppet_stands_in(make_stage: MakeStage, tab: Tab, tmp_path: Path) -> None:
    stage = make_stage(BONELESS)
    page = tab.open(stage.url)
    tab.until(lambda: page.evaluate(IS_PUPPET))
    says = page.evaluate(SAID)
    assert (
        says
        == "The model of the settings cannot be shown: its description of the bones is not complete. The puppet stands in."
    )
    (tmp_path / "own.vrm").unlink()
    page = tab.open(stage.url)
    assert page.evaluate(IS_PUPPET)
    assert "launcher.py --check" in page.evaluate(SAID)
    (tmp_path / "own.vrm").write_bytes(WHOLE)
    page.add_init_script(
        """const get = HTMLCanvasElement.prototype.getContext;
        HTMLCanvasElement.prototype.getContext = function (kind, ...more) { return kind.startsWith("webgl") ? null : get.call(this, kind, ...more); };"""
    )
    page = tab.open(stage.url)
    tab.until(lambda: page.evaluate(IS_PUPPET))
    assert page.evaluate(SAID).startswith("A model needs WebGL 2")
