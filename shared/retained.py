"""What the broker keeps for late joiners: last states and last endings of each source, payloads unread."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from shared.topics import TOPICS, Delivery
from shared.wire import MAX_MESSAGE_BYTES, WireError, check_version, unpack_map

MAX_SOURCES = 1_000
"""Sources remembered; more than any show has, less than a runaway program could fill memory with."""

RETAINED_TOPICS = [name for name, topic in TOPICS.items() if topic.delivery is not Delivery.STREAM]


@dataclass(frozen=True)
class Kept:
    """One retained message, as it passed."""

    order: int
    session: str
    seq: int
    topic: str
    header: bytes
    payload: bytes


class Retained:
    """Retained messages by (topic, source). Pure: the broker feeds it."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], deque[Kept]] = {}
        self._order = 0

    def put(self, topic: str, header: bytes, payload: bytes) -> None:
        """Keep a message that passed; WireError when its header is not one."""
        row = TOPICS[topic]
        head = unpack_map(header, "header")
        check_version(head)
        source, session, seq = head.get("source"), head.get("session"), head.get("seq")
        if not (isinstance(source, str) and isinstance(session, str) and isinstance(seq, int)):
            raise WireError(f"The header of a {topic} lacks source, session or seq.")
        if len(payload) > MAX_MESSAGE_BYTES:
            raise WireError(f"A {topic} of {len(payload)} bytes is over the limit.")
        key = (topic, source)
        kept = self._kept.get(key)
        if kept is None:
            if len(self._kept) >= MAX_SOURCES * len(RETAINED_TOPICS):
                raise WireError("Too many sources: nothing more is retained.")
            kept = self._kept[key] = deque(maxlen=row.delivery.value)
        if kept and (session, seq) <= (kept[-1].session, kept[-1].seq):
            return  # published again after an outage, or by a session that is over
        self._order += 1
        kept.append(Kept(self._order, session, seq, topic, header, payload))

    def snapshot(self, prefixes: list[str]) -> list[tuple[str, bytes, bytes]]:
        """All that is kept of the topics that start with one of `prefixes` (all when empty), oldest first."""
        found = [
            kept
            for (topic, _), messages in self._kept.items()
            if not prefixes or any(topic.startswith(prefix) for prefix in prefixes)
            for kept in messages
        ]
        found.sort(key=lambda kept: kept.order)
        return [(kept.topic, kept.header, kept.payload) for kept in found]

    def forget(self, source: str, session: str) -> None:
        """Drop the state of a session that died for good; endings stay, and what outlives its source."""
        for key in [key for key in self._kept if key[1] == source]:
            row = TOPICS[key[0]]
            if row.delivery is Delivery.STATE and not row.outlives_source:
                alive = [kept for kept in self._kept[key] if kept.session != session]
                if alive:
                    self._kept[key] = deque(alive, maxlen=row.delivery.value)
                else:
                    del self._kept[key]
