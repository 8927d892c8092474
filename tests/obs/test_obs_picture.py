"""What should stand in OBS as a show goes on."""

from __future__ import annotations

from services.obs.picture import SCENE, Picture, Switch, Target
from shared.config import ObsSettings
from shared.events import ChatRetracted, Progress, TurnState

SETTINGS = ObsSettings(
    text_name="Name",
    text_question="Asked",
    text_speech="Says",
    hold_s=2.0,
    max_chars=40,
    scenes=["speaking=Talking", "idle=Chatting", "panic=BRB"],
    items=["thinking=Main/Dots", "speaking=Main/Bubble", "thinking=Main/Bubble"],
)
DOTS, BUBBLE = Target("item", "Main", "Dots"), Target("item", "Main", "Bubble")


def turn(phase, epoch: int = 5, turn: str = "t1", **fields) -> TurnState:
    told = {
        "author": "Aya",
        "prompt": "who are you?",
        "message_id": "m1",
        "author_id": "77",
        "channel": "twitch",
        **fields,
    }
    return TurnState(turn=turn, epoch=epoch, phase=phase, **told)


def heard(text: str, epoch: int = 5, turn: str = "t1") -> Progress:
    return Progress(turn=turn, epoch=epoch, chunk=0, position_s=1.0, words_heard=2, heard=text)


class Show:
    def __init__(self, settings: ObsSettings = SETTINGS) -> None:
        self.picture = Picture(settings)

    def tell(self, *events, now: float = 0.0) -> Show:
        for event in events:
            self.picture.heard(event, now)
        return self

    @property
    def texts(self) -> tuple:
        return tuple(self.picture.values[Target("text", name)] for name in ("Name", "Asked", "Says"))

    @property
    def scene(self) -> str | None:
        switch = self.picture.values.get(SCENE)
        return switch.scene if isinstance(switch, Switch) else None


EMPTY = ("", "", "")


def test_a_turn_from_thinking_to_idle():
    show = Show()
    assert (show.texts, show.scene) == (EMPTY, None)
    show.tell(turn("thinking"))
    assert (show.texts, show.scene) == (("Aya", "who are you?", ""), None)
    assert (show.picture.values[DOTS], show.picture.values[BUBBLE]) == (True, True)
    show.tell(turn("speaking"), heard("I am"))
    assert (show.texts, show.scene) == (("Aya", "who are you?", "I am"), "Talking")
    assert (show.picture.values[DOTS], show.picture.values[BUBBLE]) == (False, True)
    show.tell(heard("I am Akane."), turn("done", heard="I am Akane.", end="stop"), now=10.0)
    assert show.picture.tick(11.5) == 0.5
    assert show.texts == ("Aya", "who are you?", "I am Akane.")
    assert show.picture.tick(12.0) is None
    assert (show.texts, show.scene) == (EMPTY, "Chatting")
    assert show.picture.values[BUBBLE] is False


def test_the_next_turn_within_the_hold_takes_over_without_an_idle_scene_between():
    show = Show().tell(turn("speaking"), heard("hi"), turn("done"))
    first = show.picture.values[SCENE]
    show.tell(turn("thinking", 6, "t2", author="Ben", prompt="and you?"))
    assert show.picture.tick(99.0) is None
    assert (show.texts, show.scene) == (("Ben", "and you?", ""), "Talking")
    assert show.picture.values[SCENE] == first
    assert (
        show.tell(turn("speaking", 6, "t2")).picture.values[SCENE] != first
    )  # a new wish for the same scene


def test_without_a_voice_what_was_written_is_shown():
    assert Show().tell(turn("thinking"), turn("done", heard="Hello there.")).texts == (
        "Aya",
        "who are you?",
        "Hello there.",
    )


def test_only_the_present_epoch_changes_anything():
    show = Show().tell(turn("speaking"), heard("new"))
    before = show.picture.values
    show.tell(
        turn("speaking", 4, "t0", author="Old"),
        turn("done", 4, end="retracted"),
        heard("old", 4),
        heard("x", 5, "t0"),
    )
    assert show.picture.values == before


def test_the_end_of_a_message_that_is_not_answered_changes_nothing():
    show = Show().tell(turn("speaking"), heard("hi"))
    before = show.picture.values
    show.tell(turn("done", 5, "t9", author="Troll", prompt="something foul", end="refused"))
    assert (show.picture.values, show.picture.tick(1e9)) == (before, None)


def test_what_moderation_takes_back_goes_at_once():
    assert Show().tell(turn("speaking"), heard("hi"), turn("done", end="retracted")).texts == EMPTY
    ended = (turn("speaking"), heard("hi"), turn("done"))
    for mine in (
        ChatRetracted(channel="twitch", message_id="m1", reason="deleted"),
        ChatRetracted(channel="twitch", author_id="77", reason="banned"),
        ChatRetracted(channel="twitch", reason="cleared"),
    ):
        assert Show().tell(*ended, mine).texts == EMPTY
        show = Show().tell(turn("speaking"), heard("hi"), mine)
        assert show.texts == EMPTY
        # What was on its way when it was taken back; then the director has noticed, too.
        assert show.tell(heard("hi there"), turn("speaking"), heard("hi there")).texts == EMPTY
        assert show.tell(turn("done", 6, end="retracted")).texts == EMPTY
        assert show.tell(turn("thinking", 7, "t2", author="Ben")).texts[0] == "Ben"


def test_what_moderation_takes_back_of_others_changes_nothing():
    for other in (
        ChatRetracted(channel="twitch", message_id="m2", reason="deleted"),
        ChatRetracted(channel="twitch", author_id="78", reason="banned"),
        ChatRetracted(channel="youtube", author_id="77", reason="banned"),
    ):
        show = Show().tell(turn("speaking"), heard("hi"), other)
        assert show.texts == ("Aya", "who are you?", "hi")


def test_a_line_that_breaks_the_block_list_is_not_shown_but_what_she_says_to_it():
    show = Show().tell(turn("speaking", rule="self_harm"), heard("I am here."))
    assert show.texts == ("", "", "I am here.")


def test_a_panic_clears_all_and_switches_every_time():
    show = Show().tell(turn("speaking"), heard("hi"))
    show.picture.mute(True)
    assert (show.texts, show.scene) == (EMPTY, "BRB")
    first = show.picture.values[SCENE]
    show.tell(turn("done"), heard("hi there"))
    assert (show.texts, show.scene) == (EMPTY, "BRB")
    show.picture.mute(True)
    assert show.picture.values[SCENE] == first
    show.picture.clear()  # the director died: the panic is not over
    assert (show.texts, show.scene) == (EMPTY, "BRB")
    show.picture.mute(False)
    assert show.scene == "Chatting"
    show.picture.mute(True)
    assert show.scene == "BRB"
    assert show.picture.values[SCENE] != first


def test_texts_of_viewers_are_cleaned_and_cut():
    foul = "a\x1b[31mred\x1b[0m\nline \u202eevil" + " long" * 100
    name, asked, said = (
        Show().tell(turn("speaking", author="<b>\u202eAya\x00", prompt=foul), heard(foul)).texts
    )
    assert name == "bAya"
    assert asked == said == ("ared line evil" + " long" * 100)[:40].rstrip()


def test_turns_of_the_past_show_nothing_at_the_start_and_a_living_one_does():
    past = Show().tell(turn("thinking"), turn("speaking"), turn("done", heard="old"))
    past.picture.begin()
    assert (past.texts, past.scene) == (EMPTY, None)
    assert past.tell(turn("done", 4, heard="older")).texts == EMPTY
    living = Show().tell(turn("speaking"))
    living.picture.begin()
    assert (living.texts, living.scene) == (("Aya", "who are you?", ""), "Talking")
    muted = Show()
    muted.picture.mute(True)
    muted.picture.begin()
    assert muted.scene == "BRB"


def test_only_what_is_named_is_touched():
    picture = Picture(ObsSettings(text_speech="Says"))
    picture.heard(turn("speaking"), 0.0)
    assert picture.values == {Target("text", "Says"): ""}
    assert Picture(ObsSettings()).values == {}
