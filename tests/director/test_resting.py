"""Her face between turns: it goes neutral by itself, but not while a hand holds it."""

from __future__ import annotations

from conversation import Conversation

from services.director.inputs import InterruptAsked, MoodAsked, MuteAsked, Resumed
from services.director.resting import REST_S
from shared.events import Mood, TurnState

SAD = "[sad] My old cat is gone. I miss her so much."


def moods(talk: Conversation) -> list[str]:
    return [event.mood for event in talk.all(Mood)]


def answered(*, finish: bool = True) -> Conversation:
    """A turn that ended in tears, or is about to."""
    talk = Conversation()
    talk.ask("how is your cat?")
    talk.generate(SAD)
    talk.accept_speech()
    talk.hear(0, "My old cat is gone.")
    talk.hear(1, "I miss")
    assert moods(talk) == ["sad", "sad"]
    if finish:
        talk.finish_speech(heard="My old cat is gone. I miss her so much.")
    return talk


def test_a_mood_goes_some_seconds_after_its_turn_and_once() -> None:
    talk = answered()
    talk.wait(REST_S - 0.2)
    assert moods(talk) == ["sad", "sad"]
    talk.wait(600)
    assert moods(talk) == ["sad", "sad", "neutral"]
    rest = talk.last(Mood)
    assert (rest.turn, rest.epoch) == (None, talk.last(TurnState).epoch), "no body takes it for an old one"
    assert talk.causes[-1] is None, "bodies show it at once"


def test_a_turn_that_follows_keeps_the_face() -> None:
    talk = answered()
    talk.wait(REST_S - 1)
    talk.ask("oh no, why?")
    talk.wait(REST_S + 1)
    assert moods(talk) == ["sad", "sad"]
    talk.do(InterruptAsked())
    talk.wait(REST_S + 1)
    assert moods(talk) == ["sad", "sad", "neutral"], "an interrupted turn's face goes, too"


def test_what_a_hand_put_on_stays_until_the_next_turn() -> None:
    talk = answered()
    talk.do(MoodAsked("annoyed"))
    talk.wait(600)
    assert moods(talk) == ["sad", "sad", "annoyed"]
    talk.ask("hi")
    talk.do(MuteAsked(True))
    talk.wait(REST_S + 1)
    assert moods(talk) == ["sad", "sad", "annoyed", "neutral"]


def test_a_hand_on_the_last_words_holds_and_an_earlier_one_does_not() -> None:
    late = answered(finish=False)
    late.do(MoodAsked("shy"))
    assert late.last(Mood).turn == late.last(TurnState).turn
    late.finish_speech(heard="all")
    late.wait(600)
    assert moods(late)[-1] == "shy"

    early = answered(finish=False)
    early.do(MoodAsked("shy"))
    early.hear(2, "and words after that")
    early.finish_speech(heard="all")
    early.wait(REST_S + 1)
    assert moods(early)[-1] == "neutral"


def test_the_face_of_a_killed_director_goes() -> None:
    talk = Conversation()
    talk.do(Resumed((TurnState(turn="t0", epoch=5, phase="speaking"),)))
    talk.wait(REST_S + 1)
    assert moods(talk) == ["neutral"]
    fresh = Conversation()
    fresh.wait(600)
    assert moods(fresh) == []
