"""What a page that does not read loses, and what it never loses."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from services.stage.outbox import MAX_STREAM, MAX_STREAM_CHARS, Outbox, Parcel
from shared.topics import Delivery


def parcel(topic: str, text: str, delivery: Delivery = Delivery.STREAM, source: str = "s") -> Parcel:
    return Parcel(topic, source, delivery, text)


def taken(outbox: Outbox) -> Iterator[str]:
    while (each := outbox.take()) is not None:
        yield each.text


def test_order_is_kept_across_topics() -> None:
    outbox = Outbox()
    kinds = [Delivery.STREAM, Delivery.ENDING, Delivery.STREAM, Delivery.STATE]
    for number, kind in enumerate(kinds):
        outbox.put(parcel(f"t{kind.name}", str(number), kind))
    assert list(taken(outbox)) == ["0", "1", "2", "3"]
    assert outbox.take_lost() == {}


def test_the_oldest_of_a_stream_give_way_and_are_counted_once() -> None:
    outbox = Outbox()
    for number in range(MAX_STREAM + 3):
        outbox.put(parcel("a" if number % 2 else "b", str(number)))
    assert outbox.take_lost() == {"b": 2, "a": 1}
    assert outbox.take_lost() == {}
    assert outbox.lost_total == 3
    assert list(taken(outbox)) == [str(number) for number in range(3, MAX_STREAM + 3)]


def test_large_events_are_bounded_by_size() -> None:
    outbox = Outbox()
    for _ in range(10):
        outbox.put(parcel("a", "x" * (MAX_STREAM_CHARS // 4)))
    assert len(outbox) == 4
    assert outbox.lost_total == 6
    outbox.put(parcel("a", "y" * (2 * MAX_STREAM_CHARS)))  # larger than all of the room: it goes alone
    assert [len(text) for text in taken(outbox)] == [2 * MAX_STREAM_CHARS]


def test_a_state_waits_once_and_is_the_newest() -> None:
    outbox = Outbox()
    for number in range(1000):
        outbox.put(parcel("state", str(number), Delivery.STATE))
        outbox.put(parcel("state", f"other {number}", Delivery.STATE, source="other"))
    assert list(taken(outbox)) == ["999", "other 999"]
    assert outbox.lost_total == 0


def test_endings_outlast_a_flood_and_only_more_than_64_are_dropped_and_told() -> None:
    outbox = Outbox()
    for number in range(66):
        outbox.put(parcel("ending", f"end {number}", Delivery.ENDING))
        for _ in range(20):
            outbox.put(parcel("stream", "word"))
    left = [text for text in taken(outbox) if text != "word"]
    assert left == [f"end {number}" for number in range(2, 66)]
    assert outbox.take_lost()["ending"] == 2


KINDS = st.sampled_from(list(Delivery))


@given(
    st.lists(
        st.one_of(st.none(), st.tuples(KINDS, st.sampled_from("ab"), st.sampled_from("xy"))), max_size=900
    )
)
def test_whatever_happens_everything_is_delivered_dropped_and_counted_or_replaced(
    steps: list[tuple[Delivery, str, str] | None],
) -> None:
    """None takes one parcel."""
    outbox = Outbox()
    given_texts: dict[str, tuple[Delivery, str, str]] = {}
    got: list[str] = []
    for number, step in enumerate(steps):
        if step is None:
            if (each := outbox.take()) is not None:
                got.append(each.text)
            continue
        kind, topic, source = step
        given_texts[str(number)] = (kind, f"{kind.name}{topic}", source)
        outbox.put(parcel(f"{kind.name}{topic}", str(number), kind, source))
    got += taken(outbox)
    assert len(set(got)) == len(got)
    counted = [text for text in given_texts if given_texts[text][0] is not Delivery.STATE]
    assert len(counted) == outbox.lost_total + sum(1 for text in got if text in counted)
    newest = {row: text for text, row in given_texts.items()}
    assert {text for row, text in newest.items() if row[0] is not Delivery.STREAM} <= set(got)
    for row in newest:  # within one topic and source nothing overtakes
        numbers = [int(text) for text in got if given_texts[text] == row]
        assert numbers == sorted(numbers)
