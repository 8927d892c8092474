"""The conversation with a studio that speaks the documented API, without sockets and on a clock turned by hand."""

from __future__ import annotations

import json

import pytest
from studio import SMILE, Studio, said
from vtube_helpers import Rehearsal, mouth

from services.vtube_studio import messages
from services.vtube_studio.face import CUSTOM
from services.vtube_studio.session import (
    ALLOW,
    DENIED,
    GIVE_BACK_S,
    MAX_MALFORMED,
    POLITE_S,
    SILENT_S,
    SWITCHED_OFF,
)


def live(studio: Studio | None = None, **options: object) -> Rehearsal:
    made = Rehearsal(studio or Studio(), **options).connect()  # type: ignore[arg-type]
    assert made.session.live
    return made


def test_the_first_time_its_user_is_asked_and_the_token_is_kept() -> None:
    rehearsal = live()
    studio = rehearsal.studio
    assert studio.popups == 1
    assert rehearsal.statuses[0].detail == ALLOW
    assert not rehearsal.statuses[0].ok
    assert rehearsal.kept == list(studio.tokens)
    assert studio.kinds()[:3] == ["APIStateRequest", "AuthenticationTokenRequest", "AuthenticationRequest"]
    assert rehearsal.status.ok
    assert rehearsal.status.detail == "moves Hiyori in VTube Studio"


def test_later_the_kept_token_is_enough() -> None:
    studio = Studio()
    token = studio.granted()
    rehearsal = live(studio, token=token)
    assert studio.popups == 0
    assert rehearsal.kept == []
    assert "AuthenticationTokenRequest" not in studio.kinds()


def test_a_second_connection_uses_the_token_of_the_first() -> None:
    rehearsal = live()
    rehearsal.connect()
    assert rehearsal.session.live
    assert rehearsal.studio.popups == 1


def test_a_token_that_is_refused_is_forgotten_and_asked_anew() -> None:
    rehearsal = live(token="of-another-computer")
    assert rehearsal.studio.popups == 1
    assert rehearsal.kept == ["", *rehearsal.studio.tokens]


def test_a_fresh_token_that_is_refused_ends_politely() -> None:
    studio = Studio()
    studio.granted = lambda: "worthless"  # type: ignore[method-assign]
    rehearsal = Rehearsal(studio).connect()
    assert rehearsal.lost is not None
    assert rehearsal.lost.retry_s == POLITE_S
    assert rehearsal.kept == ["worthless", ""]
    assert studio.popups == 1


def test_a_user_who_says_no_is_left_in_peace() -> None:
    rehearsal = Rehearsal(Studio(clicks="Deny")).connect()
    assert rehearsal.lost is not None
    assert rehearsal.lost.reason == DENIED
    assert rehearsal.lost.retry_s == POLITE_S
    assert rehearsal.kept == []


def test_a_question_may_stay_open_for_as_long_as_it_likes() -> None:
    rehearsal = Rehearsal(Studio(clicks="")).connect()
    rehearsal.run(120.0, frame_s=0.25)
    assert rehearsal.lost is None
    token = rehearsal.studio.granted()
    rehearsal.hear(said("AuthenticationTokenResponse", "token", {"authenticationToken": token}))
    assert rehearsal.session.live
    assert rehearsal.kept == [token]


def test_a_question_that_is_open_already_is_waited_for() -> None:
    rehearsal = Rehearsal(Studio(clicks="")).connect().connect()
    assert rehearsal.lost is not None
    assert "answer it there" in rehearsal.lost.reason
    assert 0 < rehearsal.lost.retry_s < POLITE_S


@pytest.mark.parametrize("token", [None, "", 7, "x" * 65, "ü"])
def test_a_token_that_is_none_is_not_kept(token: object) -> None:
    rehearsal = Rehearsal(Studio(clicks="")).connect()
    rehearsal.hear(said("AuthenticationTokenResponse", "token", {"authenticationToken": token}))
    assert rehearsal.lost is not None
    assert rehearsal.kept == []


def test_access_that_is_taken_away_is_told_and_asked_for_again() -> None:
    rehearsal = live()
    rehearsal.studio.tokens.clear()
    rehearsal.run(0.1)
    assert rehearsal.lost is not None
    assert rehearsal.lost.reason == DENIED
    assert rehearsal.lost.retry_s == POLITE_S
    rehearsal.connect()
    assert rehearsal.session.live
    assert rehearsal.studio.popups == 2


def test_an_api_that_is_switched_off_is_told() -> None:
    rehearsal = Rehearsal(Studio(active=False)).connect()
    assert rehearsal.lost is not None
    assert rehearsal.lost.reason == SWITCHED_OFF
    rehearsal = live()
    rehearsal.studio.active = False
    rehearsal.run(0.1)
    assert rehearsal.lost is not None
    assert rehearsal.lost.reason == SWITCHED_OFF


def test_our_parameters_are_made_before_the_first_frame() -> None:
    rehearsal = live()
    studio = rehearsal.studio
    assert set(studio.custom) == set(CUSTOM)
    assert studio.frames == []
    for name, (low, high, _) in CUSTOM.items():
        assert (studio.custom[name]["min"], studio.custom[name]["max"]) == (low, high)
    rehearsal.run(1.0)
    assert len(studio.frames) == 60
    assert all(set(CUSTOM) < set(frame) for frame in studio.frames)
    assert rehearsal.lost is None


def test_the_mouth_of_the_bus_is_that_of_the_model() -> None:
    rehearsal = live()
    rehearsal.run(0.1)
    assert rehearsal.studio.frames[-1]["MouthOpen"] == 0.0
    for openness in (0.9, 0.2):
        for _ in range(10):
            rehearsal.face.take(mouth(openness=openness), rehearsal.now)
            rehearsal.run(1 / 30)
        assert rehearsal.studio.frames[-1]["MouthOpen"] == pytest.approx(openness, abs=0.02)
    rehearsal.run(0.5)
    assert rehearsal.studio.frames[-1]["MouthOpen"] < 0.01


def test_frames_go_on_while_she_is_silent_for_vtube_studio_forgets_within_a_second() -> None:
    rehearsal = live()
    rehearsal.run(20.0)
    assert len(rehearsal.studio.frames) == 1200
    assert rehearsal.lost is None


def test_what_another_plugin_holds_is_left_to_it_and_tried_again() -> None:
    studio = Studio(taken={"MouthOpen", "FaceAngleX"})
    rehearsal = live(studio)
    rehearsal.run(1.0)
    assert rehearsal.lost is None
    assert len(studio.frames) >= 57
    assert {"MouthOpen", "FaceAngleX"}.isdisjoint(studio.frames[-1])
    assert {"VoiceVolumePlusMouthOpen", "FaceAngleY", *CUSTOM} <= set(studio.frames[-1])
    assert not rehearsal.status.ok
    assert "MouthOpen" in rehearsal.status.detail or "FaceAngleX" in rehearsal.status.detail
    studio.taken.clear()
    rehearsal.run(GIVE_BACK_S + 1.0)
    assert {"MouthOpen", "FaceAngleX"} < set(studio.frames[-1])
    assert rehearsal.status.ok


def test_when_it_is_not_said_which_our_own_parameters_go_on() -> None:
    studio = Studio(taken={"MouthOpen"}, names_taken=False)
    rehearsal = live(studio)
    rehearsal.run(1.0)
    assert set(studio.frames[-1]) == set(CUSTOM)
    assert not rehearsal.status.ok


def test_a_parameter_of_ours_that_was_deleted_is_made_again() -> None:
    rehearsal = live()
    rehearsal.run(0.5)
    del rehearsal.studio.custom["AkaneSad"]
    rehearsal.run(1.0)
    assert "AkaneSad" not in rehearsal.studio.frames[-1]
    rehearsal.run(GIVE_BACK_S)
    assert "AkaneSad" in rehearsal.studio.frames[-1]
    assert rehearsal.status.ok


def test_a_name_that_another_plugin_has_is_left_out() -> None:
    rehearsal = live(Studio(foreign={"AkaneSmile"}))
    rehearsal.run(0.5)
    assert "AkaneSmile" not in rehearsal.studio.frames[-1]
    assert "AkaneSmile" in rehearsal.status.detail
    assert not rehearsal.status.ok


def test_an_answer_to_frames_before_takes_no_further_parameter_away() -> None:
    rehearsal = live()
    stale = said("APIError", "frame-0", {"errorID": 454, "message": "Another plugin controls MouthOpen."})
    rehearsal.hear(stale)
    rehearsal.run(0.1)
    assert "MouthOpen" in rehearsal.studio.frames[-1]


NOT_MESSAGES = [
    "", "{", "null", "7", '"text"', "[]", "{}", '{"messageType": 7}', "\x00", "[" * 5000, '{"messageType": "APIError"',
    '{"messageType": null, "data": {}}',
]  # fmt: skip
ODD = [
    said("APIError", "x", None), said("APIError", "frame-1", {"errorID": "many"}), said("APIError", "hotkeys", {}),
    said("HotkeysInCurrentModelResponse", "hotkeys", {"availableHotkeys": 7, "modelLoaded": True}),
    said("HotkeysInCurrentModelResponse", "hotkeys", {"availableHotkeys": [7, {}, {"hotkeyID": 1}, {"hotkeyID": "a", "name": None}], "modelLoaded": True, "modelName": 5}),
    said("ModelLoadedEvent", "", {}), said("ModelConfigChangedEvent", "", {"hotkeyConfigChanged": "yes"}),
    said("InjectParameterDataResponse", "frame-9", []), said("SomethingNew", "", {}),
    said("AuthenticationResponse", "authenticate", {"authenticated": False}), said("ParameterCreationResponse", "unasked", {}),
]  # fmt: skip


def test_messages_that_are_none_are_survived() -> None:
    rehearsal = live()
    for text in NOT_MESSAGES:
        assert messages.parse(text) is None
        rehearsal.hear(text)
    assert messages.parse(b"\xff\xfe") is None
    rehearsal.run(0.5)
    assert rehearsal.lost is None
    assert rehearsal.session.live


@pytest.mark.parametrize("text", ODD)
def test_odd_messages_are_survived(text: str) -> None:
    rehearsal = live(Studio(hotkeys=[SMILE]))
    rehearsal.hear(text)
    if rehearsal.lost is not None:  # an error that nobody knows ends the connection, never the service
        rehearsal.connect()
    rehearsal.run(0.5)
    assert rehearsal.session.live
    assert rehearsal.studio.frames


def test_what_speaks_another_language_is_given_up() -> None:
    rehearsal = live()
    for _ in range(MAX_MALFORMED):
        rehearsal.hear("hello")
    assert rehearsal.lost is not None
    assert "vtube_studio.url" in rehearsal.lost.reason


@pytest.mark.parametrize("token", ["", "known"])
def test_silence_is_noticed(token: str) -> None:
    rehearsal = Rehearsal(Studio(), token=token)
    rehearsal.session.opened(rehearsal.now)  # nobody answers
    rehearsal.run(SILENT_S - 0.5, frame_s=0.25)
    assert rehearsal.lost is None
    rehearsal.run(1.0, frame_s=0.25)
    assert rehearsal.lost is not None
    assert "silent" in rehearsal.lost.reason


def test_silence_while_the_model_moves_is_noticed() -> None:
    rehearsal = live()
    rehearsal.studio.answer = lambda *_: None  # type: ignore[method-assign, assignment]
    rehearsal.run(SILENT_S + 0.5)
    assert rehearsal.lost is not None


def test_text_of_vtube_studio_is_harmless_in_a_terminal() -> None:
    rehearsal = live(Studio(model="\x1b[2JHi\nyori"))
    assert "\x1b" not in rehearsal.status.detail
    assert "\n" not in rehearsal.status.detail


def test_requests_look_as_documented() -> None:
    assert json.loads(messages.state()) == {
        "apiName": "VTubeStudioPublicAPI", "apiVersion": "1.0", "requestID": "state", "messageType": "APIStateRequest",
    }  # fmt: skip
    assert json.loads(messages.inject("frame-1", {"MouthOpen": 0.5}))["data"] == {
        "faceFound": True, "mode": "set", "parameterValues": [{"id": "MouthOpen", "value": 0.5}],
    }  # fmt: skip
    assert json.loads(messages.subscribe("ModelLoadedEvent"))["data"] == {
        "eventName": "ModelLoadedEvent", "subscribe": True, "config": {},
    }  # fmt: skip
