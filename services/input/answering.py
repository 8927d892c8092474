"""Whether somebody is there to answer, judged by the director's beats and turns and the launcher's table."""

from __future__ import annotations

from shared.events import Processes, TurnState

ABSENT_S = 20.0
"""Longer than the launcher needs to notice a hung director, kill it and start it again."""
IDLE_S = 60.0
"""A director that has been idle this long will not answer a line it should have had before."""
NEEDED = ("llm", "tts")
"""Processes that an answer needs; a line's clock starts when they are there."""
GRACE_S = 1.5
"""At the start, how long to wait for a first sign that there is a director or will be one."""


class Answering:
    """Fed with what is heard of the director; all times in seconds of one monotonic clock."""

    def __init__(self, now: float) -> None:
        self._session = ""
        self._ready = False
        self._expected = False
        self._loading = False
        self._heard_at = now
        self._away_until = now + GRACE_S
        self._idle_since: float | None = None

    def heard(self, session: str, now: float, ready: bool) -> None:
        """The director gave a sign of life; `ready`: it reads what is published from now on."""
        self._ready = ready or (self._ready and session == self._session)
        self._session = session
        self._heard_at = now

    def supervised(self, processes: Processes) -> None:
        """The launcher said which processes it runs."""
        self._expected = any(
            process.name == "director" and process.state not in ("stopping", "stopped", "failed")
            for process in processes.processes
        )
        self._loading = any(
            process.name in NEEDED and process.state == "starting" for process in processes.processes
        )

    def turned(self, state: TurnState, now: float) -> None:
        """The director said where its turn stands."""
        if state.phase not in ("idle", "done") or state.queued:
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = now

    def lost(self, session: str, now: float) -> bool:
        """A director died; False when its successor has been heard already."""
        if session != self._session:
            return False
        self._ready = False
        self._idle_since = None
        self._away_until = now + ABSENT_S
        return True

    def away(self, now: float) -> bool:
        """A line published now would reach nobody, or only wait for a model or a voice that loads."""
        return self._loading or (not self._ready and (self._expected or now < self._away_until))

    def hopeless(self, last_sent_at: float, now: float) -> str | None:
        """Why lines sent at `last_sent_at` or before will not be answered any more, or None."""
        if now - max(self._heard_at, last_sent_at) >= ABSENT_S:
            return "The director is not running, so nobody answers."
        if self._idle_since is not None and now - max(self._idle_since, last_sent_at) >= IDLE_S:
            return "The director is idle and must have missed the line."
        return None
