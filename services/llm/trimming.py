"""When a conversation outgrows the context: which old messages are left out, whole turns at a time."""

from __future__ import annotations

from collections.abc import Sequence


def first_kept(counts: Sequence[int], roles: Sequence[str], pinned: int, budget: int) -> int:
    """Index of the first message kept after the `pinned` leading ones, given each message's token count.

    Whenever the conversation has outgrown `budget` it is cut, from a user's message on, to half of what the
    pinned messages leave. The whole history is played through from its start, so that the cut stays where it
    is until the next overflow: the tokens before it stay the same and stay in the cache. The last message is
    always kept, even when it alone is too long.
    """
    fixed = sum(counts[:pinned])
    half = fixed + max(0, budget - fixed) // 2
    start = pinned
    for end in range(pinned + 1, len(counts) + 1):
        if roles[end - 1] == "assistant" and end < len(counts):
            continue
        if fixed + sum(counts[start:end]) <= budget:
            continue
        while start < end - 1 and (fixed + sum(counts[start:end]) > half or roles[start] == "assistant"):
            start += 1
    return start
