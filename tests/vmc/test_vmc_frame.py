"""The face as VMC packets, read back with python-osc as a receiver would."""

from __future__ import annotations

import importlib.util
import itertools
import math

import pytest
from pythonosc.osc_bundle import OscBundle

from services.vmc import frame
from services.vmc.expression import MOODS, MOUTHS, NAMES, glide, goals, with_blink
from services.vmc.idle import BLINK_EVERY_S, blink, rotation, sway
from shared.face import Face


def unpacked(packet: bytes) -> list[tuple]:
    return [(message.address, *message.params) for message in OscBundle(packet)]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("vrm0", {"A", "I", "U", "E", "O", "Joy", "Angry", "Sorrow", "Fun", "Surprised", "Blink"}),
        ("vrm1", {"aa", "ih", "ou", "ee", "oh", "happy", "angry", "sad", "relaxed", "surprised", "blink"}),
    ],
)
def test_a_packet_has_the_types_and_the_order_of_the_specification(names: str, expected: set[str]):
    weights = with_blink(goals(Face(mood="happy", shape="O", openness=0.5)), 0.0)
    packet = frame.packet(frame.lines(weights, NAMES[names], (0.0, 0.1, 0.0, 0.995), 2))
    assert len(packet) < 1400  # fits one Ethernet frame
    rows = unpacked(packet)
    values = {row[1]: row[2] for row in rows if row[0] == "/VMC/Ext/Blend/Val"}
    assert values.keys() == expected
    assert values[NAMES[names]["O"]] == pytest.approx(0.6)
    assert values[NAMES[names]["happy"]] == pytest.approx(0.7)
    assert [row[0] for row in rows[-4:]] == [
        "/VMC/Ext/Blend/Apply",
        "/VMC/Ext/Bone/Pos",
        "/VMC/Ext/OK",
        "/VMC/Ext/T",
    ]
    assert rows[-4] == ("/VMC/Ext/Blend/Apply",)
    assert rows[-3][:5] == ("/VMC/Ext/Bone/Pos", "Head", 0.0, 0.0, 0.0)
    assert rows[-3][5:] == pytest.approx((0.0, 0.1, 0.0, 0.995))
    assert rows[-2:] == [("/VMC/Ext/OK", 1), ("/VMC/Ext/T", 2.0)]
    types = {message.address: [type(value) for value in message.params] for message in OscBundle(packet)}
    assert types["/VMC/Ext/Blend/Val"] == [str, float]
    assert types["/VMC/Ext/T"] == [float]


def test_without_sway_no_bone_is_sent():
    rows = unpacked(frame.packet(frame.lines(goals(Face()), NAMES["vrm0"], None, 0.0)))
    assert "/VMC/Ext/Bone/Pos" not in [row[0] for row in rows]


def test_every_mood_and_mouth_has_weights_within_range():
    for mood in MOODS:
        for shape in MOUTHS:
            weights = goals(Face(mood=mood, intensity=1.0, shape=shape, openness=1.0))
            assert all(0.0 <= weight <= 1.0 for weight in weights.values())
            assert {*weights, "blink"} == NAMES["vrm0"].keys() == NAMES["vrm1"].keys()
    assert not any(goals(Face()).values())
    assert goals(Face(shape="I", openness=0.4))["I"] > 0.5  # a narrow sound is seen
    assert goals(Face(mood="sad", intensity=0.5))["sad"] == pytest.approx(MOODS["sad"]["sad"] / 2)


def test_the_mouth_glides_faster_than_the_mood_and_neither_overshoots():
    to = goals(Face(mood="annoyed", shape="A", openness=1.0))
    now: dict[str, float] = {}
    for _ in range(6):  # a tenth of a second at 60 Hz
        now = glide(now, to, 1 / 60)
    assert 0.9 < now["A"] / to["A"] <= 1.0
    assert 0.4 < now["angry"] / to["angry"] < 0.6
    assert glide(now, to, 1e6) == pytest.approx(to)
    assert glide({}, to, 0.0) == dict.fromkeys(to, 0.0)


def test_she_blinks_about_every_four_seconds_and_less_while_her_smile_shuts_the_eyes():
    lids = [blink(step / 100) for step in range(int(100 * BLINK_EVERY_S * 20))]
    starts = sum(1 for before, now in itertools.pairwise(lids) if not before and now)
    assert starts == 20
    assert max(lids) > 0.95
    assert 0.03 < sum(lid > 0 for lid in lids) / len(lids) < 0.1
    smiling = goals(Face(mood="excited"))
    assert with_blink(smiling, 1.0)["blink"] == 0.0
    assert with_blink(goals(Face()), 1.0)["blink"] == 1.0


def test_the_head_sways_within_its_degrees_and_never_jumps():
    angles = []
    for step in range(3000):
        x, y, z, w = sway(step / 60, 3.0)
        assert math.hypot(x, y, z, w) == pytest.approx(1.0)
        angles.append(math.degrees(2 * math.acos(min(1.0, w))))
    assert 2.0 < max(angles) < 3.0 * math.sqrt(1 + 0.6**2 + 0.5**2)
    assert max(abs(b - a) for a, b in itertools.pairwise(angles)) < 0.1


def test_rotations_follow_unity_s_order():
    quarter = math.sqrt(0.5)
    assert rotation(math.pi / 2, 0, 0) == pytest.approx((quarter, 0, 0, quarter))
    assert rotation(0, math.pi / 2, 0) == pytest.approx((0, quarter, 0, quarter))
    assert rotation(0, 0, math.pi / 2) == pytest.approx((0, 0, quarter, quarter))
    # Quaternion.Euler(90, 90, 0) in Unity.
    assert rotation(math.pi / 2, math.pi / 2, 0) == pytest.approx((0.5, 0.5, -0.5, 0.5))


def test_a_missing_package_is_one_sentence(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        frame.NoPackage, match=r"needs the package python-osc: run `pip install python-osc`\.$"
    ):
        frame.require_package()
