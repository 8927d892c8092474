"""What events of the bus do to the values of the face."""

from __future__ import annotations

import itertools
import random
from typing import get_args

import pytest
from studio import DEFAULT_PARAMETERS, RANGES
from vtube_helpers import finished, mood, mouth, plan, progress, turn

from services.vtube_studio.face import CUSTOM, MOODS, Face
from services.vtube_studio.idle import FIRST_S, LAST_S, Blinks, sway
from services.vtube_studio.looks import LOOKS, MOUTH_FORMS
from shared.events import MoodName, MouthShape

SIGNED = {"AkaneSmile", "EyeLeftX", "EyeLeftY", "EyeRightX", "EyeRightY"}


@pytest.fixture
def face() -> Face:
    return Face(0.0, random.Random(1))


def after(face: Face, now: float) -> dict[str, float]:
    """Values once everything has had a second to arrive."""
    for frame in range(61):
        values = face.values(now + frame / 60)
    return values


def test_every_mood_and_shape_has_a_row() -> None:
    assert set(LOOKS) == set(get_args(MoodName)) == set(MOODS)
    assert set(MOUTH_FORMS) == set(get_args(MouthShape))


def test_the_mouth_follows(face: Face) -> None:
    assert face.values(0.0)["MouthOpen"] == 0.0
    for frame in range(12):
        face.take(mouth(openness=0.8), frame / 30)
        values = face.values(frame / 30)
    for name in ("MouthOpen", "VoiceVolume", "VoiceVolumePlusMouthOpen", "AkaneMouthOpen"):
        assert values[name] == pytest.approx(0.8, abs=0.01)
    face.take(mouth(openness=0.1), 0.4)
    face.values(0.4)
    assert face.values(0.5)["MouthOpen"] == pytest.approx(0.1, abs=0.05)


def test_the_mouth_arrives_within_two_frames_of_the_bus(face: Face) -> None:
    face.values(0.99)
    face.take(mouth(openness=1.0), 1.0)
    face.values(1.0)
    assert face.values(1.0 + 2 / 30)["MouthOpen"] > 0.85


@pytest.mark.parametrize(("wide", "narrow"), [("I", "U"), ("E", "O"), ("smile", "closed")])
def test_the_form_of_the_mouth_is_that_of_the_shape(wide: str, narrow: str) -> None:
    forms = []
    for shape in (wide, narrow):
        face = Face(0.0, random.Random(1))
        for frame in range(20):
            face.take(mouth(shape=shape, openness=0.5), frame / 30)
            values = face.values(frame / 30)
        assert values["MouthSmile"] == values["VoiceFrequencyPlusMouthSmile"]
        forms.append(values["MouthSmile"])
    assert forms[0] > forms[1] + 0.1


def test_a_mouth_that_nobody_moves_shuts(face: Face) -> None:
    face.take(mouth(), 0.0)
    assert face.values(0.2)["MouthOpen"] > 0.9
    face.values(0.26)
    assert face.values(0.6)["MouthOpen"] < 0.01


@pytest.mark.parametrize(
    "end", [finished(), finished(reason="stopped"), turn("done", epoch=2), turn("thinking", epoch=2)]
)
def test_an_end_and_an_interruption_shut_the_mouth_at_once(face: Face, end: object) -> None:
    face.take(mouth(), 0.0)
    face.values(0.1)
    face.take(end, 0.1)  # type: ignore[arg-type]
    assert face.values(0.2)["MouthOpen"] < 0.05


def test_an_older_epoch_moves_nothing(face: Face) -> None:
    face.take(turn("thinking", epoch=7), 0.0)
    face.take(turn("done", epoch=7), 0.0)
    before = after(face, 0.0)
    for late in (mouth(6), mood("sad", 6), turn("thinking", 6), plan(0, "sad", 6), progress(0, 6)):
        face.take(late, 1.0)
    assert face.mood == "neutral"
    values = face.values(1.0)
    for name in ("MouthOpen", "AkaneSad", "AkaneMouthOpen"):
        assert values[name] == before[name] == 0.0
    face.take(mouth(7), 1.0)
    assert face.values(1.2)["MouthOpen"] > 0.9
    face.take(finished(6), 1.2)  # the end of the turn before does not shut this one's mouth
    face.take(mouth(8), 1.2)
    assert face.values(1.3)["MouthOpen"] > 0.9


def test_a_mood_comes_gently_and_goes(face: Face) -> None:
    face.take(mood("happy", intensity=0.8), 0.0)
    face.values(0.0)
    assert 0.0 < face.values(0.05)["AkaneHappy"] < 0.4
    happy = after(face, 0.05)
    assert happy["AkaneHappy"] == pytest.approx(0.8, abs=0.02)
    face.take(mood("sad"), 1.1)
    sad = after(face, 1.1)
    assert sad["AkaneHappy"] < 0.02
    assert sad["AkaneSad"] > 0.98
    assert sad["MouthSmile"] < 0.3 < 0.7 < happy["MouthSmile"]
    assert sad["FaceAngleY"] < happy["FaceAngleY"]


def test_each_mood_has_a_face_of_its_own() -> None:
    parts = (
        "MouthSmile",
        "Brows",
        "FaceAngry",
        "EyeLeftX",
        "EyeLeftY",
        "FaceAngleX",
        "FaceAngleY",
        "FaceAngleZ",
    )
    faces = set()
    for name in MOODS:
        face = Face(0.0, random.Random(1))
        face.take(mood(name), 0.0)
        values = after(face, 0.0)
        faces.add(tuple(values[part] for part in parts))
    assert len(faces) == len(MOODS)


def test_values_are_always_within_the_parameters(face: Face) -> None:
    random_ = random.Random(3)
    ids = set(face.values(0.0))
    assert ids - set(CUSTOM) <= DEFAULT_PARAMETERS
    assert set(CUSTOM) <= ids
    for frame in range(3000):
        now = frame / 60
        if frame % 50 == 0:
            face.take(
                mood(random_.choice(MOODS), intensity=random_.choice([0.0, 0.5, 1.0, 7.0, float("nan")])), now
            )
            face.take(turn(random_.choice(["thinking", "idle", "speaking"])), now)
        face.take(
            mouth(
                shape=random_.choice(list(MOUTH_FORMS)),
                openness=random_.choice([-3.0, 0.0, 0.4, 1.0, 9.0, float("nan")]),
            ),
            now,
        )
        values = face.values(now)
        assert set(values) == ids
        for name, value in values.items():
            high = RANGES.get(name, 1.0)
            low = -high if name in RANGES or name in SIGNED else 0.0
            assert low <= value <= high, (name, value)


def test_a_mood_waits_until_its_words_sound(face: Face) -> None:
    face.take(mood("happy"), 0.0)
    for chunk, name in enumerate(["happy", "sad", "shy"]):
        face.take(plan(chunk, name), 0.0)
    face.take(progress(0), 0.1)
    assert face.mood == "happy"
    face.take(mood("sad"), 0.2)
    face.take(mood("shy"), 0.3)
    assert face.mood == "happy"
    face.take(progress(1), 1.0)
    assert face.mood == "sad"
    face.take(progress(1), 1.1)
    face.take(progress(2), 2.0)
    assert face.mood == "shy"


def test_a_mood_set_by_hand_is_shown_at_once_until_the_next_words(face: Face) -> None:
    face.take(plan(0, "happy"), 0.0)
    face.take(plan(1, "sad"), 0.0)
    face.take(progress(0), 0.1)
    face.take(mood("annoyed"), 0.2, by_hand=True)
    assert face.mood == "annoyed"
    face.take(progress(0), 0.3)
    assert face.mood == "annoyed"
    face.take(progress(1), 1.0)
    assert face.mood == "sad"


def test_a_mood_whose_plan_was_lost_is_shown_at_the_end_but_never_after_an_interruption(face: Face) -> None:
    face.take(progress(0), 0.1)
    face.take(mood("shy"), 0.2)
    face.take(finished(), 1.0)
    assert face.mood == "shy"
    face.take(progress(0, epoch=2), 2.0)
    face.take(mood("sad", epoch=2), 2.1)
    face.take(turn("thinking", epoch=3), 2.2)
    face.take(finished(epoch=2, reason="stopped"), 2.3)
    assert face.mood == "shy"


def test_she_looks_up_while_she_thinks(face: Face) -> None:
    rest = after(face, 0.0)
    face.take(turn("thinking"), 1.0)
    assert after(face, 1.0)["EyeLeftY"] > rest["EyeLeftY"] + 0.2
    face.stop_pondering()
    assert after(face, 2.0)["EyeLeftY"] == pytest.approx(rest["EyeLeftY"], abs=0.01)


def test_she_blinks_now_and_then() -> None:
    blinks = Blinks(0.0, random.Random(5))
    values = [blinks.openness(frame / 60) for frame in range(60 * 120)]
    assert min(values) == 0.0
    assert max(values) == 1.0
    shut = [frame for frame in range(1, len(values)) if values[frame] < 1.0 <= values[frame - 1]]
    assert 120 / LAST_S < len(shut) < 120 / FIRST_S * 1.3
    assert sum(value < 0.5 for value in values) / len(values) < 0.1


def test_she_never_stands_still_and_never_jumps() -> None:
    path = [sway(frame / 60) for frame in range(60 * 60)]
    for axis in range(3):
        values = [point[axis] for point in path]
        assert max(abs(value) for value in values) <= 1.0
        assert max(values) - min(values) > 1.0
        assert max(abs(b - a) for a, b in itertools.pairwise(values)) < 0.03
