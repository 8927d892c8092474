"""However many events are lost on the way, the text comes out once, whole and in order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.api import reading as reading_module
from services.api.reading import LOST_S, QUIET_S, Delta, Reading
from shared.commands import ReplayReply
from shared.events import Finished, Token, TokenLogprob

PIECES = ["He", "llo", " there", ", ", "dear", "."]


def token(index: int) -> Token:
    values = [TokenLogprob(raw=PIECES[index].encode(), logprob=-float(index))]
    return Token(generation="g", index=index, text=PIECES[index], tokens=index + 1, logprobs=values)


ENDING = Finished(generation="g", reason="stop", text="".join(PIECES), pieces=len(PIECES))


def reply(from_index: int, sent: int, finished: bool) -> ReplayReply:
    """What the llm answers when it has made `sent` pieces."""
    return ReplayReply(
        from_index=from_index,
        pieces=PIECES[from_index:sent],
        finished=finished,
        logprobs=[token(index).logprobs for index in range(from_index, sent)],
        ending=ENDING if finished else None,
    )


def said(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas)


@given(
    lost=st.sets(st.integers(0, len(PIECES))),
    late=st.integers(0, 3),
    wants_logprobs=st.booleans(),
)
def test_whatever_is_lost_comes_back(lost: set[int], late: int, wants_logprobs: bool) -> None:
    """`lost` events never arrive (the last number is the ending); a replay's answer comes `late` events on."""
    one = Reading("g", 0.0, wants_logprobs=wants_logprobs)
    given: list[Delta] = []
    answers: list[tuple[int, ReplayReply]] = []
    now = 0.0
    for step in range(len(PIECES) + 20):
        now += 0.01 if step <= len(PIECES) else QUIET_S
        if step not in lost and step < len(PIECES):
            given += one.token(token(step), now)
        elif step not in lost and step == len(PIECES):
            given += one.finished(ENDING, now)
        while answers and answers[0][0] <= step:
            given += one.replayed(answers.pop(0)[1], now)
        if (index := one.replay_from(now)) is not None:
            sent = min(step + 1, len(PIECES))
            answers.append((step + late, reply(index, sent, step >= len(PIECES))))
    assert one.is_done
    assert said(given) == ENDING.text
    if wants_logprobs:
        values = [value.raw.decode() for delta in given for value in delta.logprobs]
        assert values == PIECES
    assert one.replay_from(now + 100) is None


def test_nothing_is_asked_while_all_is_well() -> None:
    one = Reading("g", 0.0, wants_logprobs=False)
    for index in range(len(PIECES)):
        assert one.token(token(index), float(index)) == [Delta(PIECES[index], tuple(token(index).logprobs))]
        assert one.replay_from(float(index)) is None
    assert one.finished(ENDING, 6.0) == []
    assert one.is_done


def test_a_piece_that_comes_twice_is_given_once() -> None:
    one = Reading("g", 0.0, wants_logprobs=False)
    assert said(one.token(token(0), 0.0) + one.token(token(0), 0.0)) == PIECES[0]


def test_an_llm_that_forgot_leaves_what_its_ending_said() -> None:
    one = Reading("g", 0.0, wants_logprobs=True)
    one.token(token(0), 0.0)
    assert one.finished(ENDING, 0.1) == []  # the log probabilities of the rest are still wanted
    assert one.replay_from(0.2) == 1
    assert said(one.replay_failed()) == "".join(PIECES[1:])
    assert one.is_done


def test_silence_is_asked_about_and_in_the_end_given_up() -> None:
    one = Reading("g", 0.0, wants_logprobs=False)
    assert one.replay_from(QUIET_S - 0.1) is None
    assert one.replay_from(QUIET_S) == 0
    assert one.replay_from(QUIET_S) is None  # one question at a time
    one.replayed(ReplayReply(from_index=0, pieces=[], finished=False), QUIET_S)
    assert not one.is_lost(LOST_S)
    assert one.is_lost(QUIET_S + LOST_S)
    assert reading_module.LOST_S > reading_module.QUIET_S
