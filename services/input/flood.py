"""How much of a stream chat gets through: a few lines per viewer, and no more in all than anyone can read."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass


@dataclass
class TokenBucket:
    """Lets `burst` through at once and `per_s` a second after that."""

    burst: float
    per_s: float
    level: float
    at: float

    def refill(self, now: float) -> None:
        """Add what has trickled in since the last look; `now` in seconds."""
        self.level = min(self.burst, self.level + (now - self.at) * self.per_s)
        self.at = now


class FloodGate:
    """One bucket per author and one for all of them; remembers the latest `max_authors` only."""

    def __init__(
        self,
        author_burst: float = 4.0,
        author_per_s: float = 0.5,
        total_burst: float = 60.0,
        total_per_s: float = 20.0,
        max_authors: int = 4_096,
    ) -> None:
        self._author = (author_burst, author_per_s)
        self._max_authors = max_authors
        self._authors: OrderedDict[str, TokenBucket] = OrderedDict()
        self._total = TokenBucket(total_burst, total_per_s, total_burst, 0.0)
        self.dropped = 0

    def passes(self, author_id: str, now: float) -> bool:
        """Whether a line of this author may go on; a flooder does not use up what is left for the others."""
        burst, per_s = self._author
        bucket = self._authors.pop(author_id, None) or TokenBucket(burst, per_s, burst, now)
        self._authors[author_id] = bucket
        if len(self._authors) > self._max_authors:
            self._authors.popitem(last=False)
        for each in (bucket, self._total):
            each.refill(now)
        if bucket.level < 1 or self._total.level < 1:
            self.dropped += 1
            return False
        bucket.level -= 1
        self._total.level -= 1
        return True
