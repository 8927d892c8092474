"""Which tokens each row of the KV cache holds, and how much of a new prompt they already cover."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, takewhile

from shared.model.kv_cache import KVCache

SMALL_LOSS = 64
"""A row may lose this many tokens and still count as the same conversation going on."""


def common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """Length of the longest common beginning."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(left, right, strict=False)))


class Rows:
    """The cache rows as conversations: claimed for one generation at a time, then kept for the next.

    All rows share `budget` tokens of memory. What runs has room reserved up to its longest end; the rest
    keeps past conversations, of which the oldest lose their tails first.
    """

    def __init__(self, cache: KVCache, budget: int | None = None) -> None:
        self.cache = cache
        self.budget = cache.batch * cache.max_seq_len if budget is None else budget
        self._reserved: dict[int, int] = {}
        self.adapter = ""
        """Fingerprint of what computes beside the model: a row is of use only under that which filled it."""
        self._adapters = [""] * cache.batch
        self.held: list[list[int]] = [[] for _ in range(cache.batch)]
        self.free = set(range(cache.batch))
        self._released: list[int] = [0] * cache.batch
        self._releases = 0

    def startable(self, sizes: Sequence[int]) -> int:
        """How many conversations that may grow to `sizes` tokens could begin now, in this order."""
        room = self.budget - sum(self._reserved.values())
        fits = takewhile(lambda total: total <= room, accumulate(sizes))
        return min(len(self.free), sum(1 for _ in fits))

    def claim(self, prompt: Sequence[int], size: int) -> tuple[int, int]:
        """Take a free row for `prompt`; returns it and how many of its first tokens are there already.

        `size` is what the conversation may grow to, and is reserved.

        The longest beginning that any row holds is used, copied from a busy one if need be. Never the whole
        prompt: its last token must be computed to know what follows. A conversation that goes on keeps its
        row; otherwise the row unused for longest is overwritten. Raises IndexError when no row is free.
        """
        limit = len(prompt) - 1
        shared = [
            min(limit, common_prefix(held, prompt)) if adapter == self.adapter else 0
            for held, adapter in zip(self.held, self._adapters, strict=True)
        ]
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
        self._adapters[row] = self.adapter
        self.free.discard(row)
        self._reserved[row] = size
        self._make_room()
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
        del self._reserved[row]

    def forget(self) -> None:
        """Drop what free rows hold."""
        for row in self.free:
            self._cut(row, 0)

    def _make_room(self) -> None:
        """Shorten free rows, the one unused for longest first, until all fits the budget."""
        kept = sum(len(self.held[row]) for row in self.free)
        over = sum(self._reserved.values()) + kept - self.budget
        for row in sorted(self.free, key=lambda row: self._released[row]):
            if over <= 0:
                return
            lost = min(over, len(self.held[row]))
            self._cut(row, len(self.held[row]) - lost)
            over -= lost

    def _cut(self, row: int, length: int) -> None:
        del self.held[row][length:]
        self.cache.truncate(row, length)
        self.cache.give_back(row)

    @property
    def used(self) -> int:
        """Tokens held by all rows together."""
        return sum(len(held) for held in self.held)
