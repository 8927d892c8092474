"""What a reader knows of the sources it hears: sessions, the last `seq` of each topic, and the gaps."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SourceLost:
    """A process died or was replaced: whoever reads it closes what that session had open."""

    source: str
    session: str


class Tracker:
    """Sequence numbers per (source, topic). Pure: no sockets, no clock."""

    def __init__(self) -> None:
        self.sessions: dict[str, str] = {}
        """Source -> the newest session heard of."""
        self.gaps: dict[str, int] = {}
        """`source/topic` -> events known to be missed."""
        self._last: dict[tuple[str, str], tuple[str, int]] = {}
        self._lost: set[str] = set()
        self.news: list[SourceLost] = []
        """Sources found lost since the owner last emptied this list."""

    def observe(self, source: str, session: str, topic: str, seq: int) -> bool:
        """Note a message; False when it is a repetition or comes from a session that is over."""
        known = self.sessions.get(source)
        if known != session and not self._enter(source, session, known):
            return False
        key = (source, topic)
        last = self._last.get(key)
        if last is not None and last[0] == session:
            missed = seq - last[1] - 1
            if missed < 0:
                return False
            if missed:
                self._count(source, topic, missed)
        self._last[key] = (session, seq)
        return True

    def reported(self, source: str, session: str, last_seq: dict[str, int]) -> None:
        """A heartbeat says what was published last: whatever is beyond what arrived has been lost."""
        for topic, seq in last_seq.items():
            last = self._last.get((source, topic))
            if last is None or last[0] != session:
                continue
            if seq > last[1]:
                self._count(source, topic, seq - last[1])
                self._last[(source, topic)] = (session, seq)

    def declare_lost(self, source: str, session: str) -> None:
        """The launcher says that this session of a source is dead."""
        if self.sessions.get(source) == session and session not in self._lost:
            self._lost.add(session)
            self.news.append(SourceLost(source, session))

    def _enter(self, source: str, session: str, known: str | None) -> bool:
        if known is not None:
            if session < known:
                return False
            self.declare_lost(source, known)
            self._lost.discard(known)
        self.sessions[source] = session
        return True

    def _count(self, source: str, topic: str, missed: int) -> None:
        key = f"{source}/{topic}"
        self.gaps[key] = self.gaps.get(key, 0) + missed
