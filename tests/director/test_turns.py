"""Turns as the bus sees them: order, voice, interruption, redraws, losses, and an end to every wait."""

from __future__ import annotations

import pytest
from conversation import PERSONA, Conversation, commands

from services.director.inputs import (
    Answered,
    Arrived,
    Died,
    InterruptAsked,
    MuteAsked,
    PresenceChanged,
    Replayed,
    Resumed,
    SayAsked,
)
from services.director.mood import Feeling
from shared.commands import Cancel, Generate, Replay, Speak, StopSpeech
from shared.events import ChatMessage, ChatRetracted, Mood, SpeechFinished, Token, TurnState


def test_a_turn_from_line_to_silence() -> None:
    talk = Conversation()
    message = talk.ask("hi Akane", author="Sam")
    assert talk.states() == [("thinking", None)]
    request = talk.last(Generate)
    assert request.messages[-1].content == "Sam: hi Akane"
    assert request.pinned == 1 + 2 * len(PERSONA.example)

    talk.clock.advance(0.2)
    talk.generate("Hi Sam", "! Nice", " to see", " you", ".")
    first, second = talk.accept_speech()
    assert (first.text, first.chunk, first.last) == ("Hi Sam!", 0, False)
    assert (second.text, second.chunk, second.last) == ("Nice to see you.", 1, True)
    assert talk.states()[-1] == ("speaking", None)

    talk.hear(0, "Hi Sam!", sound_at=talk.clock() + 0.1)
    talk.clock.advance(3.0)
    talk.finish_speech(heard="Hi Sam! Nice to see you.")
    done = talk.last(TurnState)
    assert (done.phase, done.end, done.message_id) == ("done", "stop", message.id)
    assert done.text == done.heard == "Hi Sam! Nice to see you."
    assert done.timings_ms["first_token"] == pytest.approx(200)
    assert done.timings_ms["first_sound"] == pytest.approx(300)
    assert done.timings_ms["done"] == pytest.approx(3200)
    assert (done.tokens, done.tokens_per_s) == (5, 50.0)
    assert {speak.epoch for speak in (first, second)} == {done.epoch}
    assert talk.memory.replies() == ["Hi Sam! Nice to see you."]
    assert talk.causes[-1] == "input/chat.message/1"


def test_the_first_chunk_is_spoken_while_the_rest_is_drawn() -> None:
    talk = Conversation()
    talk.ask("hi")
    talk.generate("Oh, hello there you,", " my", end=None)
    assert [speak.text for speak in talk.all(Speak)] == ["Oh, hello there you,"]
    assert talk.last(TurnState).tokens_per_s == 0, "pieces that arrive together tell no rate"
    assert [mood.mood for mood in talk.all(Mood)] == [Feeling("hi").of("Oh, hello there you,")]


def test_messages_are_answered_in_order_one_at_a_time() -> None:
    talk = Conversation(voice="absent")
    first, second = talk.ask("one"), talk.ask("two")
    assert len(talk.all(Generate)) == 1
    assert talk.last(TurnState).queued == 1
    talk.generate("First answer.")
    assert talk.last(Generate).messages[-1].content == "two"
    talk.generate("Second answer.")
    ends = [state for state in talk.all(TurnState) if state.phase == "done"]
    assert [state.message_id for state in ends] == [first.id, second.id]
    assert ends[0].epoch < ends[1].epoch


def test_without_a_voice_the_text_counts_as_heard() -> None:
    talk = Conversation(voice="absent")
    talk.ask("hi")
    talk.generate("Hello you. How are things?")
    assert talk.all(Speak) == []
    assert list(dict(talk.states())) == ["thinking", "speaking", "done"]
    assert talk.last(TurnState).heard == "Hello you. How are things?"


def test_overflow_is_refused_and_the_turn_s_state_is_said_again() -> None:
    talk = Conversation(queue_limit=1)
    talk.ask("one")
    talk.ask("two")
    third = talk.ask("three")
    refused, present = talk.all(TurnState)[-2:]
    assert (refused.message_id, refused.phase, refused.end) == (third.id, "done", "refused")
    assert present.phase == "thinking"


def test_a_hostile_message_is_refused_without_the_model() -> None:
    talk = Conversation()
    talk.ask("f.u.c.k you", author="troll", channel="twitch")
    assert talk.states() == [("done", "refused")]
    assert talk.all(Generate) == []


def test_states_say_whose_line_it_is_and_by_which_rule_no_picture_shows_it() -> None:
    talk = Conversation(queue_limit=1)
    talk.ask("hello", author="Bo", channel="twitch")
    talk.ask("f.u.c.k you", author="troll", channel="twitch")
    talk.ask("hi", author="shithead", channel="twitch")
    for text in ("waits", "one too many"):
        talk.ask(text, author="Mia", channel="twitch")
    found = {state.author_id: state.rule for state in talk.all(TurnState)}
    assert found == {"Bo": "", "troll": "profanity", "shithead": "profanity", "Mia": ""}


def test_the_verdict_of_the_door_is_obeyed() -> None:
    talk = Conversation()
    line = ChatMessage(id="m", channel="twitch", author="a", author_id="a", text="hm", rule="lewd")
    talk.do(Arrived(line, 0.0, None))
    assert [(state.end, state.rule) for state in talk.all(TurnState)] == [("refused", "lewd")]


def test_a_cry_for_help_gets_the_care_line_and_no_model() -> None:
    talk = Conversation()
    talk.ask("I want to kill myself", author="Sam", channel="twitch")
    assert talk.all(Generate) == []
    assert " ".join(speak.text for speak in talk.accept_speech()) == PERSONA.care
    talk.finish_speech()
    assert talk.states()[-1] == ("done", "refused")
    assert talk.memory.replies() == []


def test_a_bad_first_chunk_is_drawn_again_under_a_new_epoch() -> None:
    talk = Conversation()
    talk.ask("who are you?")
    first = talk.last(Generate)
    talk.generate("My name is Emma, nice", " to meet", end=None)
    second = talk.last(Generate)
    assert talk.all(Speak) == []
    assert talk.last(Cancel).generation == first.generation
    assert second.generation != first.generation
    assert second.epoch > first.epoch
    assert second.seed != first.seed
    assert talk.last(TurnState).draw == 2
    talk.do(Token(generation=first.generation, index=9, text=" stale", tokens=9))
    talk.generate("I'm Akane. Hello!")
    assert [speak.text for speak in talk.accept_speech()] == ["I'm Akane.", "Hello!"]
    assert {speak.epoch for speak in talk.all(Speak)} == {second.epoch}


def test_after_three_bad_draws_she_says_so_herself() -> None:
    talk = Conversation()
    talk.ask("who are you?")
    talk.generate("As an AI language model, I", " can", end=None)
    talk.generate("How can I help you today? What", " now", end=None)
    talk.generate("User: hello there. What", " now", end=None)
    assert len(talk.all(Generate)) == 3
    assert " ".join(speak.text for speak in talk.accept_speech()) in PERSONA.fallback
    talk.finish_speech()
    assert talk.states()[-1] == ("done", "refused")
    assert talk.memory.replies() == []


def test_an_empty_draw_is_a_bad_draw() -> None:
    talk = Conversation()
    talk.ask("hi")
    talk.generate("")
    assert talk.last(TurnState).draw == 2


def test_a_bad_chunk_after_sound_ends_the_turn_at_the_last_good_one() -> None:
    talk = Conversation()
    talk.ask("hi")
    talk.generate("Hello there!", " How", " can I help you today?", " Bye", end=None)
    assert [(speak.text, speak.last) for speak in talk.accept_speech()] == [
        ("Hello there!", False),
        ("", True),
    ]
    assert talk.last(Cancel).generation == talk.last(Generate).generation
    talk.finish_speech()
    assert (talk.last(TurnState).text, talk.last(TurnState).end) == ("Hello there!", "stop")


def test_the_sentence_limit_stops_the_model() -> None:
    talk = Conversation()
    talk.ask("hi")
    talk.generate("One is here.", " Two is here.", " Three is here.", " Four is", " here.", end=None)
    spoken = talk.accept_speech()
    assert [speak.text for speak in spoken] == ["One is here.", "Two is here.", "Three is here."]
    assert spoken[-1].last
    assert talk.all(Cancel)


def test_a_sentence_left_open_for_want_of_tokens_is_dropped() -> None:
    talk = Conversation(voice="absent")
    talk.ask("hi")
    talk.generate("This one is whole. This one is", end="length")
    assert (talk.last(TurnState).text, talk.last(TurnState).end) == ("This one is whole.", "length")


def test_interruption_keeps_only_what_was_heard() -> None:
    talk = Conversation()
    talk.ask("tell me a story", author="Sam")
    talk.generate("Once there was a fox.", " It lived in a", " red wood.", end=None)
    talk.accept_speech()
    talk.hear(0, "Once there was")
    before = talk.last(TurnState).epoch
    did = talk.do(InterruptAsked())
    assert commands(did) == ["llm.cancel", "llm.cancel", "tts.stop"]
    epoch = talk.last(StopSpeech).epoch
    assert epoch > before
    assert talk.last(TurnState).epoch == epoch, "readers learn the new epoch at once"
    talk.finish_speech("stopped", heard="Once there was a")
    done = talk.last(TurnState)
    assert (done.phase, done.end, done.heard) == ("done", "interrupted", "Once there was a")
    assert talk.memory.replies() == ["Once there was a"]
    assert talk.do(Token(generation=talk.last(Generate).generation, index=3, text=" It ran.", tokens=9)) == []


def test_interruption_does_not_wait_for_a_voice_that_says_nothing() -> None:
    talk = Conversation()
    talk.ask("story")
    talk.generate("Once there was a fox.", " It", end=None)
    talk.accept_speech()
    talk.hear(0, "Once")
    talk.do(InterruptAsked())
    talk.wait(1.2)
    assert (talk.last(TurnState).phase, talk.last(TurnState).heard) == ("done", "Once")


def test_a_retracted_message_is_never_answered() -> None:
    talk = Conversation()
    talk.ask("one", channel="twitch")
    second = talk.ask("two", author="Bad", channel="twitch")
    talk.do(ChatRetracted(channel="twitch", author_id="Bad", reason="banned"))
    gone = [state for state in talk.all(TurnState) if state.message_id == second.id]
    assert [(state.phase, state.end) for state in gone] == [("done", "retracted")]
    talk.generate("Hello there.")
    talk.accept_speech()
    talk.finish_speech()
    assert len([request for request in talk.all(Generate) if request.turn]) == 1


def test_a_retraction_interrupts_the_answer_and_leaves_no_memory() -> None:
    talk = Conversation()
    message = talk.ask("bad thing", author="Bad", channel="twitch")
    talk.generate("Well, that is", " something. It", end=None)
    talk.accept_speech()
    talk.do(ChatRetracted(channel="twitch", message_id=message.id, reason="deleted"))
    talk.finish_speech("stopped", heard="Well")
    assert talk.states()[-1] == ("done", "retracted")
    assert talk.memory.replies() == []
    after = [state for state in talk.all(TurnState) if state.epoch >= talk.last(StopSpeech).epoch]
    assert [(state.author, state.prompt, state.text, state.heard) for state in after] == [("",) * 4] * 2


def test_a_turn_that_is_over_ends_again_with_nothing_in_it_when_its_line_is_taken_back() -> None:
    """Whoever comes later reads what is retained, and the retraction itself is not."""
    talk = Conversation()
    said = [talk.ask(text, author="Bad", channel="twitch") for text in ("f.u.c.k you", "hi")]
    talk.generate("Hello there.")
    talk.accept_speech()
    talk.finish_speech("done", heard="Hello there.")
    talk.ask("and me?", author="Bo", channel="twitch")
    ban = ChatRetracted(channel="twitch", author_id="Bad", reason="banned")
    *gone, present = [state for state in talk.do(ban) if isinstance(state, TurnState)]
    assert [(state.message_id, state.phase, state.end) for state in gone] == [
        (message.id, "done", "retracted") for message in said
    ]
    assert {(state.author, state.prompt, state.text, state.heard) for state in gone} == {("",) * 4}
    assert {(state.author_id, state.channel, state.epoch) for state in gone} == {
        ("Bad", "twitch", present.epoch)
    }
    assert (present.phase, present.author) == ("thinking", "Bo")
    assert [state for state in talk.do(ban) if isinstance(state, TurnState)] == []


def test_a_director_that_came_later_takes_back_what_its_predecessor_answered() -> None:
    talk = Conversation()
    about = {"channel": "twitch", "message_id": "m", "author_id": "Bad", "author": "Bad", "prompt": "hi"}
    talk.do(Resumed((TurnState(turn="t", epoch=5, phase="done", end="stop", heard="Oh", **about),)))
    (gone,) = talk.do(ChatRetracted(channel="twitch", message_id="m", reason="deleted"))
    assert (gone.turn, gone.end, gone.prompt, gone.heard) == ("t", "retracted", "", "")
    assert gone.epoch > 5


def test_panic_silences_and_forgets_the_queue() -> None:
    talk = Conversation()
    talk.ask("one")
    waiting = talk.ask("two")
    talk.do(MuteAsked(True))
    third = talk.ask("three")
    ends = {state.message_id: state.end for state in talk.all(TurnState) if state.phase == "done"}
    assert ends["m1"] == "interrupted"
    assert ends[waiting.id] == ends[third.id] == "refused"
    talk.do(MuteAsked(False))
    talk.ask("four")
    assert talk.last(TurnState).phase == "thinking"


def test_the_epoch_after_a_panic_is_never_below_what_the_voice_was_told_past_her() -> None:
    """Stage and dashboard stop the voice at the newest epoch + 1, also where the wall clock stands still."""
    talk = Conversation()
    for text in ("one", "two"):
        talk.ask(text)
        told = talk.last(TurnState).epoch + 1
        talk.do(MuteAsked(True))
        talk.do(MuteAsked(False))
        talk.ask(text)
        assert talk.last(Generate).epoch >= told
        talk.generate("Hello there.")
        assert talk.accept_speech()[0].epoch >= told
        talk.finish_speech()


def test_say_is_next_in_line() -> None:
    talk = Conversation()
    talk.ask("one")
    talk.ask("two")
    talk.do(SayAsked("say-1", "Short break, everyone! Back soon.", "happy"))
    talk.generate("Answer one.")
    talk.accept_speech()
    talk.finish_speech()
    speaks = talk.accept_speech()
    assert {speak.turn for speak in speaks} == {"say-1"}
    assert [speak.text for speak in speaks] == ["Short break, everyone!", "Back soon."]
    assert speaks[-1].last
    assert [mood.mood for mood in talk.all(Mood) if mood.turn == "say-1"] == ["happy", "happy"]


def test_lost_tokens_are_asked_for_and_spoken_once() -> None:
    talk = Conversation()
    talk.ask("hi")
    request = talk.last(Generate)
    for index, text in ((0, "Hello"), (2, " dear"), (3, " friend.")):
        talk.do(Token(generation=request.generation, index=index, text=text, tokens=index + 1))
    assert [replay.from_index for replay in talk.all(Replay)] == [1]
    talk.do(Replayed(request.generation, 1, (" my", " dear", " friend.")))
    talk.do(Token(generation=request.generation, index=4, text=" Bye", tokens=5))
    assert [speak.text for speak in talk.all(Speak)] == ["Hello my dear friend."]


def test_the_ending_repairs_what_replay_could_not() -> None:
    talk = Conversation(voice="absent")
    talk.ask("hi")
    request = talk.last(Generate)
    talk.do(Token(generation=request.generation, index=0, text="Hello", tokens=1))
    talk.do(Token(generation=request.generation, index=2, text=" friend.", tokens=3))
    talk.do(Replayed(request.generation, 0, ()))
    talk.generate("Hello", " my", " friend.")
    assert talk.last(TurnState).text == "Hello my friend."


def test_model_dies_before_a_word_was_spoken() -> None:
    talk = Conversation()
    talk.ask("hi")
    first = talk.last(Generate)
    talk.generate("Well", end=None)
    talk.do(PresenceChanged("llm", "starting"))
    talk.do(Died("llm"))
    talk.wait(5)
    assert talk.last(Generate) is first
    talk.do(PresenceChanged("llm", "ready"))
    second = talk.last(Generate)
    assert second.generation != first.generation
    assert second.epoch > first.epoch
    talk.generate("Hello again.")
    assert [speak.text for speak in talk.accept_speech()] == ["Hello again."]


def test_model_dies_while_she_speaks() -> None:
    talk = Conversation()
    talk.ask("hi")
    talk.generate("Hello there!", " And", " now", end=None)
    talk.do(PresenceChanged("llm", "starting"))
    talk.do(Died("llm"))
    assert [(speak.text, speak.last) for speak in talk.accept_speech()] == [
        ("Hello there!", False),
        ("", True),
    ]
    talk.finish_speech()
    assert talk.states()[-1] == ("done", "lost")


def test_a_message_does_not_wait_for_ever_for_a_model() -> None:
    talk = Conversation(llm="absent")
    talk.ask("hi")
    talk.wait(29)
    assert talk.states()[-1] == ("thinking", None)
    talk.wait(2)
    assert talk.states()[-1] == ("done", "error")


def test_a_loading_model_gets_more_time() -> None:
    talk = Conversation(llm="starting")
    talk.ask("hi")
    talk.wait(120)
    assert talk.states()[-1] == ("thinking", None)
    talk.do(PresenceChanged("llm", "ready"))
    assert talk.last(Generate).turn


def test_an_unreachable_model_is_asked_again() -> None:
    talk = Conversation()
    talk.ask("hi")
    first = talk.last(Generate)
    talk.do(Answered(first, "unreachable", "llm is gone."))
    talk.wait(0.7)
    assert len(talk.all(Generate)) == 2
    for _ in range(100):
        if talk.states()[-1][0] == "done":
            break
        talk.do(Answered(talk.last(Generate), "unreachable", "llm is gone."))
        talk.wait(0.6)
    assert talk.states()[-1] == ("done", "error")
    assert talk.clock() < 1000 + 40


def test_a_refused_generation_ends_the_turn() -> None:
    talk = Conversation()
    talk.ask("hi")
    talk.do(Answered(talk.last(Generate), "refused", "too long."))
    assert talk.states()[-1] == ("done", "error")


def test_a_model_that_says_nothing_is_given_up() -> None:
    talk = Conversation()
    talk.ask("hi")
    talk.do(Answered(talk.last(Generate)))
    talk.wait(31)
    assert talk.all(Cancel)
    assert talk.states()[-1] == ("done", "error")


def test_voice_dies_and_comes_back() -> None:
    talk = Conversation()
    talk.ask("hi")
    talk.generate("First thing here.", " Second thing here.", " Third", end=None)
    talk.accept_speech()
    talk.hear(0, "First thing here.")
    talk.hear(1, "Second")
    old = talk.last(Speak).epoch
    talk.do(PresenceChanged("tts", "starting"))
    talk.do(Died("tts"))
    talk.do(Token(generation=talk.last(Generate).generation, index=3, text=" thing here.", tokens=9))
    talk.do(PresenceChanged("tts", "ready"))
    again = talk.accept_speech()
    assert [(speak.chunk, speak.text) for speak in again] == [(0, "Second thing here.")]
    assert again[0].epoch > old
    talk.generate("First thing here.", " Second thing here.", " Third", " thing here.")
    assert [(speak.chunk, speak.text, speak.last) for speak in talk.accept_speech()] == [
        (1, "Third thing here.", True)
    ]
    talk.finish_speech(heard="Second thing here. Third thing here.")
    assert talk.last(TurnState).heard == "First thing here. Second thing here. Third thing here."
    assert talk.states()[-1] == ("done", "stop")


def test_a_voice_that_comes_in_the_middle_says_the_rest_under_the_turns_epoch() -> None:
    talk = Conversation(voice="absent")
    talk.ask("hi")
    pieces = ("First thing here.", " Second", " thing here.")
    talk.generate(*pieces[:2], end=None)
    talk.do(PresenceChanged("tts", "ready"))
    talk.generate(*pieces)
    said = talk.accept_speech()
    assert [(speak.chunk, speak.text, speak.last) for speak in said] == [(0, "Second thing here.", True)]
    assert said[0].epoch == talk.last(TurnState).epoch
    talk.finish_speech(heard="Second thing here.")
    assert talk.last(TurnState).end == "stop"
    assert talk.last(TurnState).heard == "First thing here. Second thing here."


def test_voice_dies_and_its_successor_is_heard_first() -> None:
    talk = Conversation()
    talk.ask("hi")
    talk.generate("First thing here.")
    talk.accept_speech()
    talk.do(PresenceChanged("tts", "ready"))
    talk.do(Died("tts"))
    assert [speak.text for speak in talk.accept_speech()] == ["First thing here."]


def test_voice_dies_for_good() -> None:
    talk = Conversation()
    talk.ask("hi")
    talk.generate("First thing here.", " Second", end=None)
    talk.accept_speech()
    talk.hear(0, "First thing")
    talk.do(PresenceChanged("tts", "starting"))
    talk.do(Died("tts"))
    talk.wait(11)
    done = talk.last(TurnState)
    assert (done.phase, done.end, done.heard) == ("done", "lost", "First thing")
    assert talk.all(Cancel), "the generation that nobody can hear is ended"


def test_a_voice_that_never_comes_leaves_the_words_on_the_screen() -> None:
    talk = Conversation(voice="starting")
    talk.ask("hi")
    talk.generate("Hello there.")
    talk.wait(11)
    done = talk.last(TurnState)
    assert (done.end, done.heard) == ("stop", "Hello there.")
    assert talk.all(Speak) == []


def test_a_voice_that_hangs_does_not_hang_the_show() -> None:
    talk = Conversation()
    talk.ask("hi")
    talk.generate("Hello there.")
    talk.accept_speech()
    talk.wait(16)
    assert talk.states()[-1] == ("done", "lost")
    assert talk.all(StopSpeech)


def test_a_slow_model_is_not_a_silent_voice() -> None:
    talk = Conversation()
    talk.ask("hi")
    talk.generate("Hello there.", " And", end=None)
    talk.accept_speech()
    talk.hear(0, "Hello there.")
    talk.wait(16)
    assert talk.last(TurnState).phase == "speaking"


def test_old_epochs_do_not_end_a_new_turn() -> None:
    talk = Conversation()
    talk.ask("one")
    talk.generate("Answer one.")
    talk.accept_speech()
    old = talk.last(Speak)
    talk.do(InterruptAsked())
    talk.wait(1.2)
    talk.ask("two")
    talk.generate("Answer two.")
    talk.accept_speech()
    talk.do(SpeechFinished(turn=old.turn, epoch=old.epoch, reason="stopped", heard="", chunks=1))
    assert talk.last(TurnState).phase == "speaking"


def test_a_new_director_closes_what_the_old_one_left_open() -> None:
    talk = Conversation()
    open_turn = TurnState(turn="t1", epoch=2_000_000, phase="speaking", message_id="m0", text="Half a")
    other = TurnState(turn="t0", epoch=1_999_999, phase="done", end="stop")
    did = talk.do(Resumed((other, open_turn)))
    closed = next(state for state in did if isinstance(state, TurnState) and state.phase == "done")
    assert (closed.turn, closed.end, closed.message_id) == ("t1", "lost", "m0")
    assert closed.epoch > 2_000_000
    assert commands(did) == ["llm.cancel", "tts.stop"]
    talk.ask("hi")
    assert talk.last(Generate).epoch > closed.epoch


def test_the_prefix_is_warmed_again_when_the_model_was_replaced() -> None:
    talk = Conversation()
    talk.do(PresenceChanged("llm", "starting"))
    talk.do(Died("llm"))
    assert talk.all(Generate) == []
    talk.do(PresenceChanged("llm", "ready"))
    warm = talk.last(Generate)
    assert (warm.turn, warm.max_tokens) == (None, 1)
    talk.ask("hi")
    assert talk.last(Generate) is warm, (
        "a message waits the moment it takes, rather than compute the head twice"
    )
    talk.wait(21)
    assert talk.last(Generate).turn


def test_mood_tags_are_acted_and_never_spoken() -> None:
    talk = Conversation()
    talk.ask("hi")
    talk.generate("[excited] Hello *waves happily* there! Ok", end=None)
    assert [(speak.text, speak.mood) for speak in talk.all(Speak)] == [("Hello there!", "excited")]
    assert talk.last(Mood).mood == "excited"


def test_her_name_before_the_reply_is_not_spoken() -> None:
    talk = Conversation(voice="absent")
    talk.ask("hi")
    talk.generate("Akane: Hello there.")
    assert talk.last(TurnState).text == "Hello there."
