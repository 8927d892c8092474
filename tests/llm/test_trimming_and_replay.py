"""Old turns leave in whole turns and the cut stays put; recent pieces can be read again."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from services.llm.replay import ReplayMemory
from services.llm.rows import Rows, common_prefix
from services.llm.trimming import first_kept
from shared.clock import FakeClock
from shared.commands import ReplayReply
from shared.events import Finished
from shared.model.kv_cache import KVCache


def conversation(turns: int) -> list[str]:
    return ["system", *["user", "assistant"] * turns, "user"]


def test_what_fits_is_kept_whole() -> None:
    assert first_kept([10, 5, 5, 5], ["system", "user", "assistant", "user"], 1, 25) == 1


def test_an_overflow_cuts_to_half_of_what_the_pinned_leave() -> None:
    roles = conversation(5)
    counts = [20] + [10] * 11
    start = first_kept(counts, roles, 1, 120)
    assert roles[start] == "user"
    assert 20 + sum(counts[start:]) <= 20 + 50


def test_the_cut_stays_while_the_conversation_grows() -> None:
    starts = []
    for turns in range(60):
        roles = conversation(turns)
        starts.append(first_kept([20] + [10] * (len(roles) - 1), roles, 1, 220))
    changes = sum(1 for before, after in pairwise(starts) if before != after)
    assert starts == sorted(starts)
    # Half of 200 tokens is 10 messages, 5 turns: about every fifth turn cuts again, not every one.
    assert 8 <= changes <= 12


def test_the_last_message_stays_even_when_it_is_too_long() -> None:
    assert first_kept([10, 5, 5, 500], ["system", "user", "assistant", "user"], 1, 100) == 3


@given(
    st.lists(st.integers(1, 60), min_size=2, max_size=40),
    st.integers(0, 5),
    st.integers(10, 400),
)
def test_whatever_comes_the_cut_is_sound(counts: list[int], pinned: int, budget: int) -> None:
    roles = ["user" if index % 2 else "assistant" for index in range(len(counts))]
    pinned = min(pinned, len(counts) - 1)
    start = first_kept(counts, roles, pinned, budget)
    assert pinned <= start < len(counts)
    kept = sum(counts[:pinned]) + sum(counts[start:])
    assert kept <= budget or start == len(counts) - 1 or roles[-1] == "assistant"


def test_pieces_are_read_from_any_index_until_they_are_too_old() -> None:
    clock = FakeClock()
    memory = ReplayMemory(clock, keep_s=60)
    memory.begin("a")
    for text in ("x", "y", "z"):
        memory.add("a", text)
    assert memory.read("a", 1) == ReplayReply(from_index=1, pieces=["y", "z"], finished=False)
    assert memory.read("a", 9) == ReplayReply(from_index=9, pieces=[], finished=False)
    clock.advance(100)
    assert "a" in memory
    ending = Finished(generation="a", reason="stop", text="xyz", pieces=3)
    memory.end("a", ending)
    assert memory.read("a", 0) == ReplayReply(from_index=0, pieces=[*"xyz"], finished=True, ending=ending)
    clock.advance(61)
    assert "a" not in memory
    with pytest.raises(KeyError):
        memory.read("a", 0)


def test_common_prefix() -> None:
    assert common_prefix([1, 2, 3], [1, 2, 4, 5]) == 2
    assert common_prefix([], [1]) == 0
    assert common_prefix([1, 2], [1, 2]) == 2


def filled(*rows: list[int], budget: int | None = None) -> Rows:
    cache = KVCache(1, len(rows), 1, 400, 2, dtype=torch.float32)
    made = Rows(cache, budget)
    for index, tokens in enumerate(rows):
        cache.lengths[index] = len(tokens)
        made.held[index] = list(tokens)
    return made


def test_another_conversation_does_not_overwrite_one_that_may_go_on() -> None:
    persona = list(range(100))
    first, second = [*persona, *range(200, 300)], [*persona, *range(300, 400)]
    rows = filled(first, second)
    rows.free = {0, 1}
    row, cached = rows.claim([*second, 7], 400)
    assert (row, cached) == (1, 200)
    rows.extend(row, [7])
    rows.cache.lengths[row] += 1
    rows.release(row)
    # A third one, too, begins with the persona: the row unused for longest gives way.
    row, cached = rows.claim([*persona, 5, 6], 400)
    assert (row, cached) == (0, 100)
    assert rows.held[1][:200] == second


def test_an_empty_row_is_taken_before_a_conversation_is_lost() -> None:
    persona = list(range(100))
    rows = filled([*persona, *range(200, 300)], [])
    row, cached = rows.claim([*persona, 1, 2], 400)
    assert (row, cached) == (1, 100)
    assert rows.free == {0}


def test_no_free_row() -> None:
    rows = filled([])
    rows.claim([1, 2], 400)
    with pytest.raises(IndexError, match="no cache row"):
        rows.claim([1, 2], 400)


def test_what_runs_takes_its_room_from_the_oldest_conversation() -> None:
    persona = list(range(100))
    rows = filled([*persona, 1, 2], [*persona, *range(200, 300)], [*persona, *range(300, 400)], budget=600)
    for row in (0, 2, 1):  # row 2 was used before row 1
        rows.free.discard(row)
        rows._reserved[row] = 0
        rows.release(row)
    assert rows.claim([*persona, 1, 2, 3], 350) == (0, 102)
    # 350 of 600 are spoken for: of 400 tokens that were kept, 250 may stay.
    assert [len(held) for held in rows.held] == [102, 200, 50]
    assert rows.cache.lengths[2] == 50
    assert rows.startable([250]) == 1
    assert rows.startable([251]) == 0
    assert rows.startable([100, 100, 20]) == 2  # no third row is free
    rows.release(0)
    assert rows.startable([600]) == 1
