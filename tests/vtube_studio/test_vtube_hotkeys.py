"""Moods as hotkeys and expressions of the model."""

from __future__ import annotations

import pytest
from studio import SHY, SMILE, TEARS, WAVE, Studio, hotkey, said
from vtube_helpers import Rehearsal, mood

from services.vtube_studio.hotkeys import chosen, hotkeys_of, table_of

TABLE = table_of(["happy=Smile", "sad=Tears", "excited=id-wave"])


def live(*hotkeys: dict[str, object], **options: object) -> Rehearsal:
    made = Rehearsal(Studio(hotkeys=list(hotkeys)), options.get("table", TABLE)).connect()  # type: ignore[arg-type]
    made.run(0.1)
    assert made.lost is None
    return made


def feel(rehearsal: Rehearsal, name: str, seconds: float = 0.5) -> None:
    rehearsal.face.take(mood(name), rehearsal.now)
    rehearsal.run(seconds)
    assert rehearsal.lost is None


def test_names_are_found_in_any_case_by_id_and_by_the_moods_own_name() -> None:
    hotkeys = hotkeys_of({"availableHotkeys": [SMILE, TEARS, WAVE, SHY, hotkey("second", "smile")]})
    found = chosen(TABLE, ["happy", "sad", "excited", "shy", "annoyed"], hotkeys)
    assert {name: each.id for name, each in found.items()} == {
        "happy": "id-smile", "sad": "id-tears", "excited": "id-wave", "shy": "id-shy",
    }  # fmt: skip


def test_a_hotkey_is_pressed_once_a_change() -> None:
    rehearsal = live(WAVE, SHY, SMILE, TEARS)
    studio = rehearsal.studio
    assert studio.pressed == []
    feel(rehearsal, "excited", 3.0)
    feel(rehearsal, "excited", 1.0)
    assert studio.pressed == ["id-wave"]
    feel(rehearsal, "shy")
    feel(rehearsal, "neutral")
    feel(rehearsal, "shy")
    assert studio.pressed == ["id-wave", "id-shy", "id-shy"]


def test_an_expression_stays_as_long_as_its_mood() -> None:
    rehearsal = live(SMILE, TEARS, WAVE)
    worn = rehearsal.studio.worn
    feel(rehearsal, "happy")
    assert worn == ["smile.exp3.json"]
    feel(rehearsal, "sad")
    assert worn == ["tears.exp3.json"]
    feel(rehearsal, "excited")
    assert worn == []
    feel(rehearsal, "happy")
    feel(rehearsal, "neutral")
    assert worn == []
    assert rehearsal.studio.pressed == ["id-wave"]


def test_two_moods_may_share_an_expression() -> None:
    rehearsal = live(SMILE, table=table_of(["happy=Smile", "excited=Smile"]))
    feel(rehearsal, "happy")
    feel(rehearsal, "excited")
    assert rehearsal.studio.worn == ["smile.exp3.json"]
    feel(rehearsal, "neutral")
    assert rehearsal.studio.worn == []


def test_what_a_killed_run_left_on_is_taken_off_and_the_present_mood_put_on() -> None:
    rehearsal = Rehearsal(Studio(hotkeys=[SMILE, TEARS], worn=["tears.exp3.json", "smile.exp3.json"]), TABLE)
    rehearsal.face.take(mood("happy"), rehearsal.now)
    rehearsal.connect().run(0.2)
    assert rehearsal.studio.worn == ["smile.exp3.json"]


def test_at_the_end_the_expression_is_taken_off() -> None:
    rehearsal = live(SMILE, TEARS, WAVE)
    feel(rehearsal, "happy")
    rehearsal.act(rehearsal.session.leaving())
    assert rehearsal.studio.worn == []


def test_a_hotkey_that_the_model_lacks_is_told_and_the_face_goes_on() -> None:
    rehearsal = live(SMILE, WAVE)
    assert not rehearsal.status.ok
    assert "'Tears' (sad)" in rehearsal.status.detail
    feel(rehearsal, "sad")
    assert rehearsal.studio.worn == []
    assert rehearsal.studio.frames[-1]["AkaneSad"] > 0.8


def test_a_model_without_hotkeys_is_fine() -> None:
    rehearsal = live(table={})
    feel(rehearsal, "happy")
    assert rehearsal.status.ok
    assert rehearsal.studio.pressed == []
    assert rehearsal.studio.frames[-1]["AkaneHappy"] > 0.8


def test_no_model_at_all_is_fine() -> None:
    rehearsal = Rehearsal(Studio(model=""), TABLE).connect()
    feel(rehearsal, "happy")
    assert rehearsal.status.ok
    assert "no model" in rehearsal.status.detail


def test_an_unknown_hotkey_is_looked_up_again_but_not_for_ever() -> None:
    rehearsal = live(WAVE, table={"excited": "Wave"})
    rehearsal.studio.hotkey_errors = [202] * 100
    feel(rehearsal, "excited", 5.0)
    assert rehearsal.studio.kinds().count("HotkeyTriggerRequest") == 1
    assert rehearsal.studio.kinds().count("HotkeysInCurrentModelRequest") == 2
    assert rehearsal.session.live


@pytest.mark.parametrize("error", [200, 203])
def test_a_hotkey_that_is_not_ready_is_pressed_again(error: int) -> None:
    rehearsal = live(WAVE, table={"excited": "Wave"})
    rehearsal.studio.hotkey_errors = [error, error]
    feel(rehearsal, "excited", 3.0)
    assert rehearsal.studio.pressed == ["id-wave"]
    rehearsal.studio.hotkey_errors = [error] * 100
    feel(rehearsal, "neutral")
    feel(rehearsal, "excited", 12.0)
    assert 80 < len(rehearsal.studio.hotkey_errors) < 100
    assert not rehearsal.status.ok
    assert "excited" in rehearsal.status.detail


def test_a_hotkey_that_waits_is_forgotten_with_its_mood() -> None:
    rehearsal = live(WAVE, table={"excited": "Wave"})
    rehearsal.studio.hotkey_errors = [203]
    feel(rehearsal, "excited", 0.2)
    feel(rehearsal, "neutral", 5.0)
    assert rehearsal.studio.pressed == []


def test_another_model_has_other_hotkeys() -> None:
    rehearsal = live(table={"happy": "Smile"})
    assert not rehearsal.status.ok
    feel(rehearsal, "happy")
    rehearsal.studio.model, rehearsal.studio.hotkeys = "Mao", [SMILE]
    rehearsal.hear(
        said("ModelLoadedEvent", "", {"modelLoaded": True, "modelName": "Mao", "modelID": "id-Mao"})
    )
    rehearsal.run(0.1)
    assert rehearsal.status.ok
    assert "Mao" in rehearsal.status.detail
    assert rehearsal.studio.worn == ["smile.exp3.json"]


def test_a_hotkey_made_during_the_show_is_known_at_once() -> None:
    rehearsal = live(table={"happy": "Smile"})
    rehearsal.studio.hotkeys = [SMILE]
    rehearsal.hear(
        said("ModelConfigChangedEvent", "", {"modelID": "x", "modelName": "x", "hotkeyConfigChanged": True})
    )
    assert rehearsal.status.ok
    feel(rehearsal, "happy")
    assert rehearsal.studio.worn == ["smile.exp3.json"]
