"""One process's end of the event road: numbers and keeps what it publishes, checks what it reads."""

from __future__ import annotations

import logging
from collections import deque

from shared.events import Event, Health, Processes
from shared.topics import TOPICS, Delivery
from shared.tracking import SourceLost, Tracker
from shared.wire import Message, WireError, decode_event, encode_event, header, topic_frame

log = logging.getLogger(__name__)

ALWAYS = ("sys.health", "sys.processes")
"""Topics every process hears: they tell which sources live and what the last events were."""
_DEAD = ("backoff", "stopped", "failed")


class EventEnd:
    """Turns events into frames and frames into events."""

    def __init__(self, name: str, session: str) -> None:
        self.name = name
        self.session = session
        self.topics: set[str] = set()
        """What the owner wants to read."""
        self.tracker = Tracker()
        self.last_seq: dict[str, int] = {}
        """Topic -> last number published."""
        self.malformed = 0
        self._own: dict[str, deque[list[bytes]]] = {}

    def encode(self, topic: str, event: Event, cause: str | None) -> tuple[str, list[bytes]]:
        """Id and frames of an event to publish. ValueError when this process may not publish it."""
        row = TOPICS[topic]
        if type(event) is not row.event or row.publisher not in ("*", self.name):
            kind = type(event).__name__
            raise ValueError(f"{self.name} may not publish {kind} on {topic}: see shared/topics.py")
        seq = self.last_seq.get(topic, -1) + 1
        self.last_seq[topic] = seq
        head = header(row.event.__name__, self.name, self.session, seq=seq)
        if cause is not None:
            head["cause"] = cause
        frames = encode_event(topic, event, head)
        if row.delivery is not Delivery.STREAM:
            self._own.setdefault(topic, deque(maxlen=row.delivery.value)).append(frames)
        return f"{self.session}/{topic}/{seq}", frames

    def own(self) -> list[list[bytes]]:
        """Own state and endings, to publish again when the broker has lost them."""
        return [frames for kept in self._own.values() for frames in kept]

    def read(self, frames: list[bytes], found: list[Message | SourceLost]) -> None:
        """Append to `found` what a message that arrived means to the owner: it, a lost source, or nothing."""
        try:
            message = decode_event(frames)
        except WireError as error:
            self.drop(error)
            return
        topic, tracker = message.topic, self.tracker
        if not tracker.observe(message.source, message.session, topic, message.seq):
            return
        if topic in ALWAYS:
            self._note(message)
        if tracker.news:  # before the first word of a successor
            found.extend(tracker.news)
            tracker.news.clear()
        if topic in self.topics:
            found.append(message)

    def read_snapshot(self, kept: list[tuple[str, bytes, bytes]]) -> list[Message]:
        """Retained messages of the owner's topics; `read` will not yield again what they cover."""
        found: list[Message] = []
        latest: dict[tuple[str, str], Message] = {}
        for topic, raw_header, raw_payload in kept:
            try:
                message = decode_event([topic_frame(topic), raw_header, raw_payload])
            except WireError as error:
                self.drop(error)
                continue
            if message.topic in self.topics:
                found.append(message)
                latest[(message.source, message.topic)] = message
        for message in latest.values():
            self.tracker.observe(message.source, message.session, message.topic, message.seq)
        return found

    def drop(self, error: WireError) -> None:
        """Count a message that does not follow the protocol, and say so unless that happens all the time."""
        self.malformed += 1
        if self.malformed <= 10:
            log.warning("a message was dropped: %s", error)

    def _note(self, message: Message) -> None:
        payload = message.payload
        if isinstance(payload, Health):
            heard = {topic: seq for topic, seq in payload.last_seq.items() if topic in self.topics}
            self.tracker.reported(message.source, message.session, heard)
        elif isinstance(payload, Processes):
            for process in payload.processes:
                if process.session and process.state in _DEAD:
                    self.tracker.declare_lost(process.name, process.session)
