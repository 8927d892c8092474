"""What waits to be sent to one page, bounded: a slow page loses stream events and never takes memory."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from dataclasses import dataclass

from shared.topics import Delivery

MAX_STREAM = 256
"""Stream events that wait for one page; older ones give way."""
MAX_STREAM_CHARS = 1 << 20


@dataclass(frozen=True, slots=True)
class Parcel:
    """One message as pages get it; the same object for all of them."""

    topic: str
    source: str
    delivery: Delivery
    text: str
    """JSON."""


class Outbox:
    """Parcels in order. Pure: no sockets, no clock.

    Under overload the oldest stream events are dropped and counted; of a state the newest is kept, of
    endings the last 64 of each source.
    """

    def __init__(self) -> None:
        self._waiting: OrderedDict[int, Parcel] = OrderedDict()
        self._stream: deque[int] = deque()
        self._stream_chars = 0
        self._kept: dict[tuple[str, str], deque[int]] = {}
        self._next = 0
        self.lost: Counter[str] = Counter()
        """Topic -> events dropped that the page has not been told of."""
        self.lost_total = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, parcel: Parcel) -> None:
        """Add at the end; something older may give way."""
        number = self._next
        self._next += 1
        self._waiting[number] = parcel
        if parcel.delivery is Delivery.STREAM:
            self._stream.append(number)
            self._stream_chars += len(parcel.text)
            while len(self._stream) > MAX_STREAM or (
                self._stream_chars > MAX_STREAM_CHARS and len(self._stream) > 1
            ):
                self._drop_oldest()
            return
        kept = self._kept.setdefault((parcel.topic, parcel.source), deque())
        kept.append(number)
        if len(kept) > parcel.delivery.value:
            gone = self._waiting.pop(kept.popleft())
            if parcel.delivery is Delivery.ENDING:
                self._count(gone)

    def discard_stream(self) -> None:
        """Forget the stream events that wait: nobody is to see them any more, so they are not lost."""
        for number in self._stream:
            del self._waiting[number]
        self._stream.clear()
        self._stream_chars = 0

    def take_lost(self) -> dict[str, int]:
        """`lost`, which the page is then told."""
        lost, self.lost = dict(self.lost), Counter()
        return lost

    def take(self) -> Parcel | None:
        """The next parcel, which is then on its way."""
        if not self._waiting:
            return None
        _, parcel = self._waiting.popitem(last=False)
        if parcel.delivery is Delivery.STREAM:
            self._stream.popleft()  # the streams' oldest: all older ones are gone
            self._stream_chars -= len(parcel.text)
        else:
            key = (parcel.topic, parcel.source)
            kept = self._kept[key]
            kept.popleft()
            if not kept:
                del self._kept[key]
        return parcel

    def _drop_oldest(self) -> None:
        gone = self._waiting.pop(self._stream.popleft())
        self._stream_chars -= len(gone.text)
        self._count(gone)

    def _count(self, gone: Parcel) -> None:
        self.lost[gone.topic] += 1
        self.lost_total += 1
