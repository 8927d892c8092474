from __future__ import annotations

import pytest

from shared.events import ChatRetracted, Mood, Mouth, Progress, SpeechFinished, Timeline, TurnState
from shared.face import Face, after, silenced


def told(*events) -> Face:
    face = Face()
    for event in events:
        face = after(face, event)
    return face


def mouth(epoch: int, shape="A", openness: float = 0.8, turn: str = "t1") -> Mouth:
    return Mouth(turn=turn, epoch=epoch, shape=shape, openness=openness, position_s=0.0)


SPEAKING = TurnState(turn="t1", epoch=5, phase="speaking")
OPEN = (SPEAKING, Mood(epoch=5, mood="happy", intensity=0.5), mouth(5))


def test_mood_and_mouth_of_the_present_epoch():
    assert told(*OPEN) == Face(5, "t1", "happy", 0.5, "A", 0.8, sounding="t1")


@pytest.mark.parametrize(
    "stale",
    [
        mouth(4, "O"),
        Mood(epoch=4, mood="annoyed"),
        SpeechFinished(turn="t0", epoch=4, reason="stopped", heard="", chunks=0),
        TurnState(turn="t0", epoch=4, phase="speaking"),
        TurnState(turn="t1", epoch=4, phase="done"),
        ChatRetracted(channel="twitch", reason="cleared"),
    ],
)
def test_what_is_stale_or_of_another_kind_changes_nothing(stale):
    face = told(*OPEN)
    assert after(face, stale) is face


@pytest.mark.parametrize(
    "ending",
    [
        SpeechFinished(turn="t1", epoch=5, reason="done", heard="hi", chunks=1),
        TurnState(turn="t1", epoch=5, phase="done"),
        TurnState(turn="t2", epoch=6, phase="thinking"),
        Mood(epoch=6, mood="happy", intensity=0.5),
    ],
)
def test_the_mouth_is_shut_when_the_turn_or_its_epoch_ends(ending):
    face = told(*OPEN, ending)
    assert (face.shape, face.openness, face.mood) == ("closed", 0.0, "happy")


def test_a_refused_message_does_not_shut_the_mouth_of_the_turn_that_goes_on():
    refused = TurnState(turn="other", epoch=5, phase="done", end="refused")
    assert told(*OPEN, refused) == told(*OPEN)


def test_an_interruption_shuts_the_mouth_for_good():
    thinking = TurnState(turn="t2", epoch=6, phase="thinking")
    assert told(*OPEN, thinking, mouth(5)) == told(*OPEN, thinking)
    assert told(*OPEN, thinking, mouth(6, "I", 0.4, "t2")).shape == "I"


def test_numbers_out_of_range_are_cut():
    face = told(Mood(epoch=1, mood="sad", intensity=9.0), mouth(1, "E", -3.0))
    assert (face.intensity, face.openness) == (1.0, 0.0)
    assert silenced(face) == Face(1, "", "sad", 1.0)


def plan(chunk: int, mood: str) -> Timeline:
    return Timeline(
        turn="t1", epoch=5, chunk=chunk, text="la", mood=mood, duration_s=1.0, sample_rate_hz=24_000
    )


def sounds(chunk: int) -> Progress:
    return Progress(turn="t1", epoch=5, chunk=chunk, position_s=0.1, words_heard=1, heard="la")


LATER = (plan(0, "happy"), plan(1, "sad"), sounds(0), Mood(turn="t1", epoch=5, mood="sad"))


def test_a_mood_waits_until_its_words_sound():
    assert told(*LATER).mood == "happy"
    assert told(*LATER, sounds(1)).mood == "sad"


def test_a_mood_whose_plan_was_lost_comes_with_the_end_unless_she_was_interrupted():
    def end(reason):
        return SpeechFinished(turn="t1", epoch=5, reason=reason, heard="la", chunks=2)

    assert told(*LATER, end("done")).mood == "sad"
    assert told(*LATER, end("stopped")).mood == "happy"


def test_a_mood_by_hand_is_shown_at_once():
    face = after(told(*LATER), Mood(turn="t1", epoch=5, mood="shy"), by_hand=True)
    assert face.mood == "shy"


def test_she_ponders_until_her_own_turn_goes_on():
    thinking = TurnState(turn="t1", epoch=5, phase="thinking")
    assert told(thinking).ponders
    assert told(thinking, TurnState(turn="other", epoch=5, phase="done", end="refused")).ponders
    assert not told(thinking, SPEAKING).ponders
    assert not told(thinking, TurnState(turn="t1", epoch=5, phase="done")).ponders
