"""The pages that listen, what they asked for, and the newest state for those that come late."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import count, islice
from typing import Any

from pydantic_core import to_json

from services.stage.outbox import Outbox, Parcel
from shared.bus import Message, SourceLost
from shared.events import ChatRetracted, Cleared, TurnState
from shared.topics import TOPICS, Delivery

MOUTH = "avatar.mouth"
MOUTH_PAGES = 20
"""30 events a second for each of these; further pages move the mouth by `speech.timeline`."""
MAX_PAGES = 1_000
OFFERED = tuple(name for name in TOPICS if name != "bus.probe")
KEPT = tuple(name for name in OFFERED if TOPICS[name].delivery is not Delivery.STREAM)
"""State and endings: read from the start, so that a page finds them; streams only once a page asks."""


CLEARED_TURNS = 256
"""Turns that pages are told to leave out after a panic."""


class Full(Exception):
    """One sentence: no further page can be served."""


class Page:
    """One open `/bus` socket."""

    def __init__(self, topics: Iterable[str]) -> None:
        self.topics = frozenset(topics)
        self.outbox = Outbox()
        self.news = asyncio.Event()

    def put(self, parcel: Parcel) -> None:
        """Have it sent, or dropped by the outbox's rules."""
        self.outbox.put(parcel)
        self.news.set()

    async def next(self) -> str:
        """The next text to send: first what was lost, if anything."""
        while True:
            if self.outbox.lost:
                return notice("lost", lost=self.outbox.take_lost()).text
            parcel = self.outbox.take()
            if parcel is not None:
                return parcel.text
            self.news.clear()
            await self.news.wait()


class Hub:
    """Lives in the event loop's thread. `want` is told which topics a page needs from the bus."""

    def __init__(self, session: str, want: Callable[[tuple[str, ...]], None]) -> None:
        self._session = session
        self._want = want
        self._pages: dict[Page, None] = {}
        self._readers: dict[str, dict[Page, None]] = {name: {} for name in OFFERED}
        self._waiting: dict[Page, None] = {}
        """Pages that asked for the mouth and did not get it."""
        self._kept: dict[tuple[str, str], deque[tuple[int, Message, Parcel]]] = {}
        self._cleared: deque[str] = deque(maxlen=CLEARED_TURNS)
        self._cleared_epoch = 0
        self._gone: dict[str, SourceLost] = {}
        """The last loss of each source: what it had open outlives it in the state that later pages get."""
        self._order = count()
        self._lost_before = 0

    def __len__(self) -> int:
        return len(self._pages)

    @property
    def lost_total(self) -> int:
        """Events that slow pages did not get, of all pages so far."""
        return self._lost_before + sum(page.outbox.lost_total for page in self._pages)

    def join(self, topics: Iterable[str], history: int = 1) -> Page:
        """A new page; state comes first, then what happens: of endings the last `history`. Raises Full."""
        if len(self._pages) >= MAX_PAGES:
            raise Full(f"{MAX_PAGES} pages are open: close some.")
        page = Page(topics)
        self._pages[page] = None
        for topic in page.topics:
            if topic == MOUTH and len(self._readers[MOUTH]) >= MOUTH_PAGES:
                self._waiting[page] = None
            else:
                self._readers[topic][page] = None
        self._want(tuple(page.topics))
        waiting = [MOUTH] if page in self._waiting else []
        topics, cleared = sorted(page.topics), list(self._cleared)
        page.put(notice("hello", session=self._session, topics=topics, waiting=waiting, cleared=cleared))
        kept = [
            (order, parcel)
            for (topic, _), entries in self._kept.items()
            if topic in page.topics
            for order, _, parcel in islice(entries, max(0, len(entries) - history), None)
        ]
        for _, parcel in sorted(kept, key=lambda entry: entry[0]):
            page.put(parcel)
        for lost in self._gone.values():
            page.put(_lost(lost))
        page.put(notice("live"))
        return page

    def leave(self, page: Page) -> None:
        """It has closed; its place for the mouth goes to the page that waits longest."""
        if page in self._pages:
            del self._pages[page]
            self._lost_before += page.outbox.lost_total
        self._waiting.pop(page, None)
        for topic in page.topics:
            self._readers[topic].pop(page, None)
        if self._waiting and len(self._readers[MOUTH]) < MOUTH_PAGES:
            heir = next(iter(self._waiting))
            del self._waiting[heir]
            self._readers[MOUTH][heir] = None
            heir.put(notice("granted", granted=MOUTH))

    def deliver(self, items: list[Message | SourceLost]) -> None:
        """What came from the bus."""
        for item in items:
            if isinstance(item, SourceLost):
                self._forget(item)
                self._gone[item.source] = item
                self.tell(_lost(item))
                continue
            if isinstance(item.payload, ChatRetracted):
                self._drop(item.payload.covers)
            elif isinstance(item.payload, Cleared):
                self.clear(item.payload.epoch)
            elif isinstance(item.payload, TurnState):
                state = item.payload
                if state.end == "retracted":
                    self._drop(_of_turn(state.turn))
                if state.epoch <= self._cleared_epoch:
                    self._note_cleared([state])  # the state at the start has no order across topics
            readers = self._readers[item.topic]
            delivery = TOPICS[item.topic].delivery
            if not readers and delivery is Delivery.STREAM:
                continue
            parcel = Parcel(item.topic, item.source, delivery, encoded(item))
            if delivery is not Delivery.STREAM:
                key = (item.topic, item.source)
                entries = self._kept.setdefault(key, deque(maxlen=delivery.value))
                entries.append((next(self._order), item, parcel))
            for page in readers:
                page.put(parcel)

    def clear(self, epoch: int | None = None) -> int:
        """Panic: every page forgets what it shows, before anything else it is sent, and so do later ones.

        All up to `epoch`, which is returned, is over; without one (a button of the control page), all that
        was said so far.
        """
        states = [message.payload for message in self._messages_of("turn.state")]
        newest = max((state.epoch for state in states), default=0)
        epoch = newest + 1 if epoch is None else epoch
        self._cleared_epoch = max(epoch, self._cleared_epoch)
        self._note_cleared([state for state in states if state.epoch <= epoch])
        if epoch < newest:
            return epoch  # an old panic, published again after the broker was away: the show has gone on
        for page in self._pages:
            page.outbox.discard_stream()
        self.tell(notice("clear", epoch=epoch, turns=list(self._cleared)))
        return epoch

    def _note_cleared(self, states: Iterable[TurnState]) -> None:
        """Later pages leave these turns out."""
        self._cleared.extend(sorted({state.turn for state in states} - set(self._cleared)))

    def tell(self, parcel: Parcel) -> None:
        """Send to every page."""
        for page in self._pages:
            page.put(parcel)

    def latest(self, topic: str) -> list[Message]:
        """The newest message of each source."""
        return [entries[-1][1] for (name, _), entries in self._kept.items() if name == topic and entries]

    def _messages_of(self, topic: str) -> Iterator[Message]:
        for (name, _), entries in self._kept.items():
            if name == topic:
                yield from (message for _, message, _ in entries)

    def _forget(self, lost: SourceLost) -> None:
        """The dead have no state; endings stay."""
        for (topic, source), entries in list(self._kept.items()):
            row = TOPICS[topic]
            is_state = row.delivery is Delivery.STATE and not row.outlives_source
            if is_state and source == lost.source and entries[-1][1].session == lost.session:
                del self._kept[topic, source]

    def _drop(self, is_gone: Callable[[TurnState], bool]) -> None:
        """A page that comes later must not find in her turns what moderation took back."""
        for (topic, _), entries in self._kept.items():
            if topic == "turn.state":
                left = [entry for entry in entries if not is_gone(entry[1].payload)]
                entries.clear()
                entries.extend(left)


def encoded(message: Message) -> str:
    """An event as JSON; raw bytes as base64, what is not a number as null."""
    body = {
        "topic": message.topic,
        "source": message.source,
        "session": message.session,
        "seq": message.seq,
        "host": message.host,
        "ts_ms": message.ts / 1e6,
        "mono_ms": message.mono / 1e6,
        "cause": message.cause,
        "data": message.payload.model_dump(),
    }
    return _json(body)


def notice(kind: str, delivery: Delivery = Delivery.ENDING, **fields: Any) -> Parcel:
    """What the stage itself has to say to a page; has `type` where events have `topic`."""
    return Parcel(kind, "", delivery, _json({"type": kind, **fields}))


def _of_turn(turn: str) -> Callable[[TurnState], bool]:
    return lambda state: state.turn == turn


def _lost(lost: SourceLost) -> Parcel:
    return notice("source_lost", source=lost.source, session=lost.session)


def _json(body: dict[str, Any]) -> str:
    return to_json(body, bytes_mode="base64", inf_nan_mode="null").decode()
