"""A flood from one viewer, from all of them, and a queue that nobody empties."""

from __future__ import annotations

from services.input.flood import FloodGate
from services.input.inbox import Inbox
from shared.events import ChatMessage, ChatRetracted


def message(id: str, author_id: str = "a") -> ChatMessage:
    return ChatMessage(id=id, channel="twitch", author=author_id, author_id=author_id, text="hi")


def test_one_viewer_gets_a_burst_and_then_one_line_every_two_seconds() -> None:
    gate = FloodGate()
    assert [gate.passes("a", 100.0) for _ in range(6)] == [True] * 4 + [False] * 2
    assert gate.dropped == 2
    assert gate.passes("b", 100.0)
    assert not gate.passes("a", 101.0)
    assert gate.passes("a", 102.1)


def test_all_together_are_bounded_and_a_flooder_takes_nothing_from_the_others() -> None:
    gate = FloodGate()
    for _ in range(1_000):
        gate.passes("flooder", 50.0)
    passed = sum(gate.passes(f"viewer-{number}", 50.0) for number in range(200))
    assert passed == 56  # 60 less the four that the flooder got through
    assert sum(gate.passes(f"viewer-{number}", 51.0) for number in range(200, 400)) == 20


def test_only_the_latest_authors_are_remembered() -> None:
    gate = FloodGate(max_authors=10)
    for number in range(1_000):
        gate.passes(f"a-{number}", 1.0)
    assert len(gate._authors) == 10


def test_a_full_inbox_drops_the_oldest_line_and_counts_it() -> None:
    woken: list[int] = []
    inbox = Inbox(3, lambda: woken.append(1))
    for number in range(5):
        inbox.put(message(f"m-{number}"))
    assert len(woken) == 5
    assert inbox.dropped == 2
    assert inbox.take(2) == [message("m-2"), message("m-3")]
    assert inbox.take(10) == [message("m-4")]
    assert inbox.take(10) == []


def test_a_retraction_takes_back_what_still_waits_and_is_never_dropped() -> None:
    inbox = Inbox(3, lambda: None)
    banned = ChatRetracted(channel="twitch", author_id="bad", reason="banned")
    deleted = ChatRetracted(channel="twitch", message_id="m-1", reason="deleted")
    for item in (message("m-0", "bad"), message("m-1"), message("m-2"), banned, deleted):
        inbox.put(item)
    for number in range(3, 9):
        inbox.put(message(f"m-{number}"))
    assert inbox.take(10) == [banned, deleted, message("m-6"), message("m-7"), message("m-8")]


def test_clearing_the_chat_empties_the_queue() -> None:
    inbox = Inbox(10, lambda: None)
    cleared = ChatRetracted(channel="twitch", reason="cleared")
    for item in (message("m-0"), message("m-1", "b"), cleared):
        inbox.put(item)
    assert inbox.take(10) == [cleared]
