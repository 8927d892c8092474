"""The order of speaking: plan before sound, words as they sound, one mouth, epochs, endings."""

from __future__ import annotations

import contextlib
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tts_stage import BUFFER_MS, LEAD_S, PERIOD_MS, WORD_S, SpeechStage, rendering_of

from services.tts.audio import SAMPLE_RATE_HZ
from services.tts.rendering import CLAUSE_PAUSE_S, SENTENCE_PAUSE_S, TimedWord
from services.tts.scheduler import AHEAD_S, MAX_CHUNKS, SpeakRefused
from services.tts.turns import words_heard


def test_two_chunks_from_plan_to_ending() -> None:
    stage = SpeechStage()
    stage.speak("Hello there, friend,")
    stage.speak("nice to see you!", chunk=1, last=True)
    stage.render()
    plans = stage.events("speech.timeline")
    assert [(plan.chunk, plan.text, plan.last) for plan in plans] == [
        (0, "Hello there, friend,", False),
        (1, "nice to see you!", True),
    ]
    assert not stage.heard().any(), "the plan comes before the sound"
    stage.play(2.0)
    (ending,) = stage.events("speech.finished")
    assert (ending.reason, ending.heard, ending.chunks) == (
        "done",
        "Hello there, friend, nice to see you!",
        2,
    )
    assert ending.duration_s == pytest.approx(7 * WORD_S + 2 * LEAD_S, abs=0.001)
    assert stage.log[-1][1] == "speech.finished"
    assert not stage.scheduler.speaking


def test_pause_between_chunks_is_the_planned_one() -> None:
    for text, pause_s in (("One two.", SENTENCE_PAUSE_S), ("One two,", CLAUSE_PAUSE_S), ("One two", 0.0)):
        stage = SpeechStage()
        stage.speak(text)
        stage.speak("three", chunk=1, last=True)
        stage.render()
        stage.play(1.5)
        sounding = np.flatnonzero(stage.heard())
        longest = int(np.diff(sounding).max()) - 1
        assert longest == round((pause_s + LEAD_S) * SAMPLE_RATE_HZ)


def test_progress_follows_the_device_clock() -> None:
    stage = SpeechStage()
    began = stage.clock()
    stage.play(0.1)
    commanded = stage.clock()
    stage.speak("one two three four five", last=True)
    stage.render()
    stage.play(1.5)
    # the first frame was played at `began`, and none was late since
    first_sound_s = began + np.flatnonzero(stage.heard())[0] / SAMPLE_RATE_HZ
    assert 0 < first_sound_s - commanded - LEAD_S <= (BUFFER_MS + PERIOD_MS) / 1000
    reports = stage.events("speech.progress")
    (sound_mono_ns,) = {report.sound_mono_ns for report in reports}
    assert sound_mono_ns == pytest.approx(first_sound_s * 1e9, abs=1e6)
    for at, report in zip(stage.times("speech.progress"), reports, strict=True):
        if report.position_s < 5 * WORD_S:
            assert report.position_s == pytest.approx(at - first_sound_s + LEAD_S, abs=0.002)
        assert report.heard.split() == ["one", "two", "three", "four", "five"][: report.words_heard]
    assert reports[-1].words_heard == 5
    gaps = [later - sooner for sooner, later in pairwise(stage.times("speech.progress"))]
    assert 9 <= len(reports) <= 13
    assert max(gaps) < 0.15


def test_output_offset_delays_what_counts_as_heard() -> None:
    stage = SpeechStage(output_offset_ms=300)
    stage.speak("one two three", last=True)
    stage.render()
    stage.play(0.6)
    assert stage.events("speech.progress")[-1].words_heard == 1
    stage.play(0.6)
    assert stage.events("speech.finished")[0].heard == "one two three"


def test_mouth_moves_thirty_times_a_second_and_ends_closed() -> None:
    stage = SpeechStage()
    stage.speak("one two three four five", last=True)
    stage.render()
    stage.play(1.5)
    mouths = stage.events("avatar.mouth")
    assert len(mouths) == pytest.approx(30 * 5 * WORD_S, abs=3)
    assert (mouths[-1].shape, mouths[-1].openness) == ("closed", 0.0)
    for mouth in mouths[:-1]:
        within = (mouth.position_s - LEAD_S) % WORD_S
        if 0.005 < within < WORD_S - 0.005 and abs(within - WORD_S / 2) > 0.005 and mouth.position_s > LEAD_S:
            assert mouth.shape == ("A" if within < WORD_S / 2 else "closed")
    positions = [mouth.position_s for mouth in mouths]
    assert positions == sorted(positions)


def test_mouth_position_goes_on_over_chunks() -> None:
    stage = SpeechStage()
    stage.speak("one two")
    stage.speak("three four", chunk=1, last=True)
    stage.render()
    stage.play(1.5)
    positions = [mouth.position_s for mouth in stage.events("avatar.mouth")]
    assert positions == sorted(positions)
    assert positions[-1] == pytest.approx(4 * WORD_S + 2 * LEAD_S, abs=0.001)


def test_mouth_closes_once_while_the_next_chunk_is_awaited() -> None:
    stage = SpeechStage()
    stage.speak("one")
    stage.render()
    stage.play(1.0)
    mouths = stage.events("avatar.mouth")
    assert mouths[-1].openness == 0.0
    assert len(mouths) < 12
    assert not stage.events("speech.finished"), "the turn is still open"
    stage.speak("", chunk=1, last=True)
    stage.tick()
    assert stage.events("speech.finished")[0].heard == "one"


def test_stop_falls_silent_within_the_fade() -> None:
    stage = SpeechStage()
    stage.speak("one two three four five six", last=True)
    stage.render()
    stage.play(0.5)
    given = len(stage.heard())
    stage.stop(epoch=2)
    (ending,) = stage.events("speech.finished")
    assert ending.reason == "stopped"
    told = len(stage.log)
    stage.play(1.0)
    assert len(stage.log) == told, "nothing stale sounds, is captioned or moves the mouth"
    after = stage.heard()[given:]
    last_sound_ms = (np.flatnonzero(after)[-1] + 1) * 1000 / SAMPLE_RATE_HZ
    assert last_sound_ms <= 5
    assert last_sound_ms + BUFFER_MS <= 50, "counting what the device still held"
    assert not stage.scheduler.speaking


@pytest.mark.parametrize("delivered_s", [0.05, 0.15, 0.3, 0.32, 0.62])
def test_heard_at_a_stop_are_the_words_that_sounded_by_half(delivered_s: float) -> None:
    stage = SpeechStage()
    stage.speak("one two three four five", last=True)
    stage.render()
    stage.play(0.001)
    while len(stage.heard()) < delivered_s * SAMPLE_RATE_HZ:
        stage.play(PERIOD_MS / 1000)
    stage.stop(epoch=9)
    delivered = len(stage.heard()) / SAMPLE_RATE_HZ
    by_half = sum(LEAD_S + (index + 0.5) * WORD_S <= delivered for index in range(5))
    (ending,) = stage.events("speech.finished")
    assert ending.heard.split() == ["one", "two", "three", "four", "five"][:by_half]
    assert ending.duration_s == pytest.approx(delivered, abs=0.001)


def test_heard_at_a_stop_is_what_still_reaches_the_ear_through_a_slow_loudspeaker() -> None:
    """Nothing takes back what Bluetooth has: 300 ms later it is heard, to the last delivered frame."""
    stage = SpeechStage(output_offset_ms=300)
    stage.speak("one two three four five", last=True)
    stage.render()
    stage.play(0.6)
    assert stage.events("speech.progress")[-1].heard == "one"
    stage.stop(epoch=2)
    given = len(stage.heard())
    stage.play(0.5)
    sounding = np.flatnonzero(stage.heard())[-1] + 1
    assert given <= sounding <= given + 0.005 * SAMPLE_RATE_HZ, "it all sounds, and nothing after it"
    (ending,) = stage.events("speech.finished")
    assert ending.heard == "one two three"


def test_stop_before_any_sound() -> None:
    stage = SpeechStage()
    stage.speak("one two")
    stage.stop(epoch=2)
    (ending,) = stage.events("speech.finished")
    assert (ending.reason, ending.heard, ending.chunks) == ("stopped", "", 0)
    assert stage.render() == []


def test_stop_spares_turns_of_its_own_epoch_and_above() -> None:
    stage = SpeechStage()
    stage.speak("one two", epoch=5, last=True)
    stage.stop(epoch=5)
    stage.render()
    stage.play(1.0)
    assert stage.events("speech.finished")[0].reason == "done"


def test_stale_epochs_are_refused_and_dropped() -> None:
    stage = SpeechStage()
    stage.speak("old words", turn="a", epoch=5)
    job = stage.scheduler.next_job()
    assert job
    stage.speak("new", turn="b", epoch=6, last=True)
    assert stage.scheduler.current_job is None
    stage.scheduler.rendered(job.number, rendering_of(job.text), 1.0)
    assert not stage.events("speech.timeline"), "a stale rendering is dropped"
    with pytest.raises(SpeakRefused, match="Epoch 5 is over"):
        stage.speak("late", turn="a", epoch=5, chunk=1)
    stage.render()
    stage.play(0.6)
    assert [ending.turn for ending in stage.events("speech.finished")] == ["a", "b"]
    assert [plan.text for plan in stage.events("speech.timeline")] == ["new"]


def test_a_turn_may_be_said_again_under_a_higher_epoch() -> None:
    stage = SpeechStage()
    stage.speak("one two three", epoch=1)
    stage.render()
    stage.play(0.3)
    stage.speak("again", epoch=2, last=True)
    stage.render()
    stage.play(1.0)
    assert [(e.epoch, e.reason, e.heard) for e in stage.events("speech.finished")] == [
        (1, "stopped", "one two"),
        (2, "done", "again"),
    ]


def test_refusals() -> None:
    stage = SpeechStage()
    stage.speak("one", chunk=0)
    with pytest.raises(SpeakRefused, match="already there"):
        stage.speak("one", chunk=0)
    stage.speak("two", chunk=1, last=True)
    with pytest.raises(SpeakRefused, match="closed"):
        stage.speak("three", chunk=2)
    stage.render()
    stage.play(1.0)
    with pytest.raises(SpeakRefused, match="has ended"):
        stage.speak("four", chunk=3)


def test_the_queue_is_bounded() -> None:
    stage = SpeechStage()
    for chunk in range(MAX_CHUNKS):
        stage.speak("word", chunk=chunk)
    with pytest.raises(SpeakRefused, match="waiting"):
        stage.speak("word", chunk=MAX_CHUNKS)


def test_synthesis_stays_a_bounded_time_ahead() -> None:
    stage = SpeechStage()
    for chunk in range(30):
        stage.speak("one two three four five six seven eight nine ten", chunk=chunk)
    first = len(stage.render())
    assert (first - 1) * 2 <= AHEAD_S <= first * 2.1
    stage.play(4.2)
    assert 1 <= len(stage.render()) <= 3


def test_a_chunk_without_words_goes_by() -> None:
    stage = SpeechStage()
    stage.speak("one")
    stage.speak("😀 *waves*", chunk=1)
    stage.speak("two", chunk=2, last=True)
    assert [job.text for job in stage.render()] == ["one", "two"]
    plans = stage.events("speech.timeline")
    assert (plans[1].duration_s, plans[1].text) == (0.0, "😀 *waves*")
    stage.play(1.0)
    (ending,) = stage.events("speech.finished")
    assert ending.reason == "done"
    assert ending.heard == "one 😀 *waves* two"


def test_words_that_are_shown_only_have_no_length() -> None:
    stage = SpeechStage()
    stage.speak("Hi 😀 there [happy] friend ✨", last=True)
    stage.render()
    (plan,) = stage.events("speech.timeline")
    assert plan.text == "Hi 😀 there friend ✨"
    assert [(word.text, round(word.end_s - word.start_s, 3)) for word in plan.words] == [
        ("Hi", 0.2), ("😀", 0.0), ("there", 0.2), ("friend", 0.2), ("✨", 0.0)
    ]  # fmt: skip


def test_empty_turn_closes_at_once() -> None:
    stage = SpeechStage()
    stage.speak("", last=True)
    stage.tick()
    (ending,) = stage.events("speech.finished")
    assert (ending.reason, ending.heard, ending.chunks) == ("done", "", 0)


def test_failed_synthesis_says_what_was_made_then_ends_with_the_error() -> None:
    stage = SpeechStage()
    stage.speak("one two.")
    stage.render()
    stage.speak("three", chunk=1)
    stage.speak("four", chunk=2)
    job = stage.scheduler.next_job()
    assert job
    stage.scheduler.failed(job.number, "The voice engine hung.")
    with pytest.raises(SpeakRefused, match="hung"):
        stage.speak("five", chunk=3)
    stage.play(1.0)
    (ending,) = stage.events("speech.finished")
    assert (ending.reason, ending.heard, ending.error) == ("error", "one two.", "The voice engine hung.")
    stage.speak("next", turn="u", epoch=2, last=True)
    stage.render()
    stage.play(0.6)
    assert stage.events("speech.finished")[-1].reason == "done", "the show goes on"


def test_lost_director_closes_the_turn() -> None:
    stage = SpeechStage()
    stage.speak("one two three four", owner="first director")
    stage.render()
    stage.play(0.3)
    stage.scheduler.lose("lost", "somebody else")
    assert not stage.scheduler.events
    stage.scheduler.lose("lost", "first director")
    stage.play(1.0)
    (ending,) = stage.events("speech.finished")
    assert ending.reason == "lost"
    assert ending.heard == "one two"


def test_recording_is_what_was_delivered() -> None:
    stage = SpeechStage(record=True)
    stage.speak("one two.", turn="a/1")
    stage.render()
    stage.play(1.0)
    stage.speak("three", turn="a/1", chunk=1, last=True)
    stage.render()
    stage.play(1.0)
    (recording,) = stage.scheduler.recordings
    heard = stage.heard()
    assert recording.turn == "a/1"
    assert np.array_equal(recording.pcm, heard[: len(recording.pcm)])
    assert not heard[len(recording.pcm) :].any()


def test_recording_of_a_stopped_turn_ends_with_its_fade() -> None:
    stage = SpeechStage(record=True)
    stage.speak("one two three four", last=True)
    stage.render()
    stage.play(0.3)
    stage.stop(epoch=2)
    assert not stage.scheduler.recordings, "the fade is still on its way"
    stage.play(0.2)
    (recording,) = stage.scheduler.recordings
    heard = stage.heard()
    assert np.array_equal(recording.pcm, heard[: len(recording.pcm)])
    assert not heard[len(recording.pcm) :].any()
    assert abs(int(recording.pcm[-1])) < 300


def test_words_heard_counts_halves() -> None:
    words = [TimedWord("a", 0.0, 1.0), TimedWord("b", 1.0, 2.0), TimedWord("!", 2.0, 2.0)]
    assert [words_heard(words, at) for at in (0.0, 0.49, 0.5, 1.49, 1.5, 1.99, 2.0)] == [0, 0, 1, 1, 2, 2, 3]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("speak"), st.integers(0, 3), st.sampled_from(["one two", "😀", "three.", ""])),
        st.tuples(st.just("close"), st.integers(0, 3), st.just("")),
        st.tuples(st.just("stop"), st.integers(0, 4), st.just("")),
        st.tuples(st.just("render"), st.just(0), st.just("")),
        st.tuples(st.just("fail"), st.just(0), st.just("")),
        st.tuples(st.just("play"), st.integers(1, 8), st.just("")),
    ),
    max_size=30,
)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_whatever_is_commanded_each_turn_ends_once_and_nothing_stale_follows(steps: list[tuple]) -> None:
    stage = SpeechStage(record=True)
    accepted: dict[str, list[str]] = {}
    epoch = 1
    for chunk, (what, number, text) in enumerate(steps):
        if what in ("speak", "close"):
            with contextlib.suppress(SpeakRefused):
                stage.speak(text, turn=f"t{number}", epoch=number, chunk=chunk, last=what == "close")
                accepted.setdefault(f"t{number}", []).append(text)
                epoch = max(epoch, number)
        elif what == "stop":
            stage.stop(number)
            epoch = max(epoch, number)
        elif what == "render":
            stage.render()
        elif what == "fail":
            if job := stage.scheduler.next_job():
                stage.scheduler.failed(job.number, "The voice engine died.")
        else:
            stage.play(number / 10)
        assert all(turn.epoch >= stage.scheduler.epoch for turn in stage.scheduler._turns)
    stage.scheduler.lose("lost")
    stage.play(0.2)
    endings = stage.events("speech.finished")
    assert sorted(ending.turn for ending in endings) == sorted(accepted)
    for ending in endings:
        whole = " ".join(text for text in accepted[ending.turn] if text)
        assert whole.startswith(ending.heard), "only its own words, from the first"
        about = [index for index, (_, _, event) in enumerate(stage.log) if event.turn == ending.turn]
        assert stage.log[about[-1]][1] == "speech.finished", "nothing follows the ending"
        mouths = [event for event in stage.events("avatar.mouth") if event.turn == ending.turn]
        assert not mouths or mouths[-1].openness == 0.0
    assert not stage.scheduler.speaking
    assert not stage.ring.waiting_frames()
