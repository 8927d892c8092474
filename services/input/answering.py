"""Whether somebody is there to answer: what is known of the director from its beats and its turns."""

from __future__ import annotations

from shared.events import TurnState

ABSENT_S = 20.0
"""Longer than the launcher needs to notice a hung director, kill it and start it again."""
IDLE_S = 60.0
"""A director that has been idle this long will not answer a line it should have had before."""


class Answering:
    """Fed with what is heard of the director; all times in seconds of one monotonic clock."""

    def __init__(self, now: float) -> None:
        self._session = ""
        self._heard_at = now
        self._lost_at: float | None = None
        self._idle_since: float | None = None

    def heard(self, session: str, now: float, ready: bool) -> None:
        """The director gave a sign of life; `ready`: it reads what is published from now on."""
        self._session = session
        self._heard_at = now
        if ready:
            self._lost_at = None

    def turned(self, state: TurnState, now: float) -> None:
        """The director said where its turn stands."""
        if state.phase not in ("idle", "done") or state.queued:
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = now

    def lost(self, session: str, now: float) -> bool:
        """A director died; False when its successor has been heard already."""
        self._idle_since = None
        if session == self._session:
            self._lost_at = now
        return session == self._session

    def away(self, now: float) -> bool:
        """It died a moment ago and is expected back: what is published now would reach nobody."""
        return self._lost_at is not None and now - self._lost_at < ABSENT_S

    def hopeless(self, last_sent_at: float, now: float) -> str | None:
        """Why lines sent at `last_sent_at` or before will not be answered any more, or None."""
        if now - max(self._heard_at, last_sent_at) >= ABSENT_S:
            return "The director is not running, so nobody answers."
        if self._idle_since is not None and now - max(self._idle_since, last_sent_at) >= IDLE_S:
            return "The director is idle and must have missed the line."
        return None
