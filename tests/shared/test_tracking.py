"""What readers and broker remember, as pure functions."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.retained import Retained
from shared.tracking import SourceLost, Tracker
from shared.wire import WireError, header


@given(st.lists(st.integers(0, 40), min_size=1, unique=True).map(sorted))
def test_gaps_are_exactly_what_is_missing(seqs: list[int]) -> None:
    tracker = Tracker()
    assert all(tracker.observe("llm", "s", "llm.token", seq) for seq in seqs)
    missing = seqs[-1] - seqs[0] + 1 - len(seqs)
    assert sum(tracker.gaps.values()) == missing
    assert not any(tracker.observe("llm", "s", "llm.token", seq) for seq in seqs)


def test_topics_and_sources_count_apart() -> None:
    tracker = Tracker()
    for source, topic in (("a", "x"), ("a", "y"), ("b", "x")):
        assert tracker.observe(source, "s", topic, 0)
    tracker.observe("a", "s", "x", 3)
    assert tracker.gaps == {"a/x": 2}


def test_a_new_session_loses_the_old_one_and_a_dead_one_stays_dead() -> None:
    tracker = Tracker()
    tracker.observe("a", "01", "x", 5)
    assert tracker.observe("a", "02", "x", 0)
    assert tracker.news == [SourceLost("a", "01")]
    assert not tracker.observe("a", "01", "x", 6)
    assert tracker.gaps == {}


def test_declared_dead_then_replaced_is_one_loss() -> None:
    tracker = Tracker()
    tracker.observe("a", "01", "x", 5)
    tracker.declare_lost("a", "01")
    tracker.declare_lost("a", "01")
    tracker.observe("a", "02", "x", 0)
    assert tracker.news == [SourceLost("a", "01")]


def head(source: str, session: str, seq: int) -> bytes:
    return msgpack.packb({**header("x", source, session), "seq": seq})


def test_state_is_kept_by_source_and_forgotten_by_session() -> None:
    retained = Retained()
    retained.put("sys.health", head("a", "01", 0), b"old")
    retained.put("sys.health", head("a", "02", 0), b"new")
    retained.put("sys.health", head("a", "01", 9), b"stale")
    retained.put("sys.health", head("b", "01", 0), b"other")
    retained.put("turn.state", head("a", "02", 0), b"turn")
    retained.put("llm.finished", head("a", "02", 0), b"ending")
    retained.forget("a", "01")
    assert [row[2] for row in retained.snapshot(["sys.health"])] == [b"new", b"other"]
    retained.forget("a", "02")
    assert [row[2] for row in retained.snapshot([])] == [b"other", b"turn", b"ending"]


def test_endings_published_again_after_an_outage_are_not_doubled() -> None:
    retained = Retained()
    for seq in (0, 1, 2, 1, 2, 3):
        retained.put("llm.finished", head("a", "01", seq), str(seq).encode())
    assert [row[2] for row in retained.snapshot([])] == [b"0", b"1", b"2", b"3"]


@pytest.mark.parametrize("bad", [b"", b"\xc1", b"\x90", msgpack.packb({"v": 1}), msgpack.packb({"v": 2})])
def test_a_header_that_is_none_is_not_retained(bad: bytes) -> None:
    retained = Retained()
    with pytest.raises(WireError):
        retained.put("sys.health", bad, b"")
    assert retained.snapshot([]) == []
