"""Which tokens each row of the KV cache holds, and how much of a new prompt they already cover."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

from shared.model.kv_cache import KVCache

SMALL_LOSS = 64
"""A row may lose this many tokens and still count as the same conversation going on."""


def common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """Length of the longest common beginning."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(left, right, strict=False)))


class Rows:
    """The cache rows as conversations: claimed for one generation at a time, kept after it for the next."""

    def __init__(self, cache: KVCache) -> None:
        self.cache = cache
        self.held: list[list[int]] = [[] for _ in range(cache.batch)]
        self.free = set(range(cache.batch))
        self._released: list[int] = [0] * cache.batch
        self._releases = 0

    def claim(self, prompt: Sequence[int]) -> tuple[int, int]:
        """Take a free row for `prompt`; returns it and how many of its first tokens are there already.

        The longest beginning that any row holds is used, copied from a busy one if need be. Never the whole
        prompt: its last token must be computed to know what follows. A conversation that goes on keeps its
        row; otherwise the row unused for longest is overwritten. Raises IndexError when no row is free.
        """
        limit = len(prompt) - 1
        shared = [min(limit, common_prefix(held, prompt)) for held in self.held]
        lost = [len(held) - kept for held, kept in zip(self.held, shared, strict=True)]
        same = [row for row in self.free if lost[row] <= SMALL_LOSS]
        if same:
            row = max(same, key=lambda row: (shared[row] - lost[row], -row))
        elif self.free:
            row = min(self.free, key=lambda row: (self._released[row], row))
        else:
            raise IndexError("no cache row is free")
        source = max(range(self.cache.batch), key=lambda other: (shared[other], other == row))
        self.cache.copy_prefix(source, row, shared[source])
        self.held[row] = list(prompt[: shared[source]])
        self.free.discard(row)
        return row, shared[source]

    def extend(self, row: int, tokens: Sequence[int]) -> None:
        """Note that the model has added `tokens` to a row."""
        self.held[row].extend(tokens)

    def release(self, row: int) -> None:
        """Free a row at once; what it holds stays of use until somebody needs the space."""
        length = min(len(self.held[row]), self.cache.lengths[row])
        del self.held[row][length:]
        self.cache.truncate(row, length)
        self._releases += 1
        self._released[row] = self._releases
        self.free.add(row)

    def forget(self) -> None:
        """Drop what free rows hold."""
        for row in self.free:
            self.held[row].clear()
            self.cache.truncate(row, 0)

    @property
    def used(self) -> int:
        """Tokens held by all rows together."""
        return sum(len(held) for held in self.held)
