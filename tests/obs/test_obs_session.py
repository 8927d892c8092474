"""The protocol without a socket: what is sent for what is received, and when a connection is given up."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.obs import protocol
from services.obs.picture import SCENE, Switch, Target, Values
from services.obs.session import RETRY_S, Lost, Session
from shared.clock import FakeClock

SAYS, DOTS = Target("text", "Says"), Target("item", "Main", "Dots")
HELLO = {"obsStudioVersion": "30.2.2", "obsWebSocketVersion": "5.5.2", "rpcVersion": 1}


def frame(op: int, **data: Any) -> str:
    return json.dumps({"op": op, "d": data})


class Talk:
    """A session that OBS has accepted, and OBS's side of it."""

    def __init__(self, targets: Values, scenes: tuple[str, ...] = (), **options: Any) -> None:
        self.clock = FakeClock()
        self.session = Session("", targets, list(scenes), self.clock, **options)
        self.frames = self.session.received(frame(0, **HELLO))
        assert json.loads(self.frames[0]) == {"op": 1, "d": {"rpcVersion": 1, "eventSubscriptions": 0}}
        self.frames = self.session.received(frame(2, negotiatedRpcVersion=1))

    @property
    def asked(self) -> tuple[str, dict[str, Any]]:
        """The one request that is under way."""
        assert len(self.frames) == 1
        data = json.loads(self.frames[0])["d"]
        return data["requestType"], data["requestData"]

    def answer(self, code: int = 100, comment: str = "", **found: Any) -> Talk:
        data = json.loads(self.frames[0])["d"]
        status = {"result": code == 100, "code": code, "comment": comment}
        self.frames = self.session.received(
            frame(
                7,
                requestType=data["requestType"],
                requestId=data["requestId"],
                requestStatus=status,
                responseData=found,
            )
        )
        return self

    def want(self, values: Values) -> Talk:
        self.frames = self.session.want(values)
        return self

    def tick(self, seconds: float) -> Talk:
        self.clock.advance(seconds)
        self.frames = self.session.tick()
        return self


@pytest.mark.parametrize(
    ("hello", "version"),
    [
        (HELLO, "30.2.2"),
        # OBS 29.0.2, as it was seen
        ({"obsWebSocketVersion": "5.1.0", "rpcVersion": 1}, "with obs-websocket 5.1.0"),
    ],
)
def test_an_old_obs_names_its_plugin_only(hello: dict[str, Any], version: str) -> None:
    session = Session("", {}, [], FakeClock())
    session.received(frame(0, **hello))
    session.received(frame(2, negotiatedRpcVersion=1))
    assert session.version == version


def with_text(**options: Any) -> Talk:
    talk = Talk({SAYS: ""}, **options)
    assert talk.asked == ("GetInputList", {})
    return talk.answer(inputs=[{"inputName": "Says", "unversionedInputKind": "text_gdiplus"}])


def test_the_authentication_string_of_the_specification_s_example():
    salt, challenge = (
        "lM1GncleQOaCu9lT1yeUZhFYnqhsLLP1G5lAGo3ixaI=",
        "+IxH4CnCiqpX1rM9scsNynZzbOe4KhDeYcTNS3PDaeY=",
    )
    expected = "1Ct943GAT+6YQUUX47Ia/ncufilbe6+oD6lY+5kaCu4="
    assert protocol.authentication("supersecretpassword", salt, challenge) == expected
    sent = protocol.identify(
        {"authentication": {"salt": salt, "challenge": challenge}}, "supersecretpassword"
    )
    assert json.loads(sent)["d"]["authentication"] == expected
    assert "supersecret" not in sent


def test_only_the_latest_of_many_texts_is_sent():
    talk = with_text().want({SAYS: "1"})
    assert talk.asked[1]["inputSettings"] == {"text": "1"}
    for number in range(2, 500):
        assert talk.session.want({SAYS: str(number)}) == []
    talk.answer()
    assert talk.asked == (
        "SetInputSettings",
        {"inputName": "Says", "inputSettings": {"text": "499"}, "overlay": True},
    )
    assert talk.answer().frames == []
    assert talk.session.is_settled


def test_an_item_is_set_by_the_number_that_obs_gives_it():
    talk = Talk({DOTS: False})
    assert talk.asked == ("GetSceneItemId", {"sceneName": "Main", "sourceName": "Dots"})
    talk.answer(sceneItemId=7).want({DOTS: True})
    assert talk.asked[0] == "GetSceneItemId"
    assert talk.answer(sceneItemId=9).asked == (
        "SetSceneItemEnabled", {"sceneName": "Main", "sceneItemId": 9, "sceneItemEnabled": True},
    )  # fmt: skip
    assert not talk.session.is_settled
    assert talk.answer().session.is_settled


def test_what_is_missing_is_told_and_mended_by_looking_again():
    talk = Talk({SAYS: "", DOTS: False}, ("Talking", "BRB"))
    talk.answer(inputs=[{"inputName": "Other", "unversionedInputKind": "text_gdiplus"}])
    talk.answer(scenes=[{"sceneName": "Talking"}]).answer(600, "No scene items were found")
    assert talk.session.is_settled
    advice = "create it in OBS or correct the name in configs/stack.toml"
    assert list(talk.session.problems.values()) == [
        f"OBS has not got the text source 'Says': {advice}",
        f"OBS has not got the scene 'BRB': {advice}",
        f"OBS has not got the source 'Dots' in the scene 'Main': {advice}",
    ]
    talk.want({SAYS: "hi"}).answer(600)
    assert talk.frames == []  # not again and again
    assert talk.tick(RETRY_S - 1).frames == []
    assert talk.tick(1).asked[0] == "GetInputList"
    talk.answer(inputs=[{"inputName": "Says", "unversionedInputKind": "text_ft2_source"}])
    talk.answer(scenes=[{"sceneName": "Talking"}, {"sceneName": "BRB"}]).answer(sceneItemId=3)
    assert talk.asked[1]["inputSettings"] == {"text": "hi"}
    assert talk.answer().session.problems == {}


def test_a_source_of_another_kind_is_never_written_to():
    talk = Talk({SAYS: ""}).answer(inputs=[{"inputName": "Says", "unversionedInputKind": "image_source"}])
    assert list(talk.session.problems.values()) == [
        "'Says' in OBS is no text source: name one of the kind Text"
    ]
    assert talk.want({SAYS: "hi"}).frames == []


def test_other_refusals_say_what_obs_says():
    talk = with_text().want({SAYS: "hi"}).answer(604, "Sources are locked.")
    assert talk.session.problems == {
        SAYS: "OBS refused to change the text source 'Says' (code 604: Sources are locked.)"
    }
    assert "changes its scene collection" in with_text().want({SAYS: "x"}).answer(207).session.problems[SAYS]


def test_a_scene_is_switched_once_also_over_a_new_connection():
    switch = Switch("BRB", 4)
    talk = Talk({}, ("BRB",)).answer(scenes=[{"sceneName": "BRB"}]).want({SCENE: switch})
    assert talk.asked == ("SetCurrentProgramScene", {"sceneName": "BRB"})
    assert talk.answer().session.switch == switch
    again = Talk({}, ("BRB",), switch=switch).answer(scenes=[{"sceneName": "BRB"}])
    assert again.want({SCENE: switch}).frames == []
    assert again.want({SCENE: Switch("BRB", 5)}).asked[0] == "SetCurrentProgramScene"


def test_nothing_is_sent_before_obs_has_accepted():
    session = Session("", {SAYS: ""}, [], FakeClock())
    assert session.want({SAYS: "hi"}) == session.tick() == []
    session.received(frame(0, **HELLO))
    assert session.want({SAYS: "ho"}) == []
    assert not session.is_settled


@pytest.mark.parametrize("greeted", [False, True])
def test_silence_ends_a_connection(greeted: bool):
    talk = with_text().want({SAYS: "hi"})
    session, clock = talk.session, talk.clock
    if not greeted:
        session = Session("", {}, [], clock)
    clock.advance(4.9)
    session.tick()
    clock.advance(0.1)
    with pytest.raises(Lost, match="has not answered for 5 s"):
        session.tick()


def test_a_password_that_is_missing_is_asked_for():
    session = Session("", {}, [], FakeClock())
    with pytest.raises(Lost, match="asks for a password: set AKANE_OBS_PASSWORD"):
        session.received(frame(0, authentication={"salt": "a", "challenge": "b"}))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.text(max_size=20)
        | JSON.map(json.dumps)
        | st.builds(
            lambda op, d: json.dumps({"op": op, "d": d}),
            st.sampled_from([0, 1, 2, 5, 7, 9]),
            st.fixed_dictionaries(
                {},
                optional={
                    "authentication": JSON,
                    "requestStatus": JSON,
                    "responseData": JSON,
                    "requestId": st.just("1") | JSON,
                    "obsStudioVersion": JSON,
                },
            ),
        ),
        max_size=6,
    )
)
def test_whatever_is_sent_to_us_is_read_or_refused_in_words(frames):
    session = Session("secret", {SAYS: "", DOTS: True}, ["BRB"], FakeClock())
    with contextlib.suppress(Lost):
        for text in frames:
            for sent in session.received(text):
                assert "secret" not in sent
                json.loads(sent)
