"""A shuffle that is computed for any place of it alone: no list in memory, the same on every machine."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

ROUNDS = 6


def permuted(places: NDArray[np.uint64], size: int, key: str) -> NDArray[np.uint64]:
    """What stands at `places` of a random order of 0 … size-1 that `key` decides.

    A Feistel network (Luby and Rackoff 1988) over the next power of four; what it throws out of the range is
    sent through again until it is back (cycle walking, Black and Rogaway 2002).
    NumPy's own shuffles may change between its versions, which would break a run that is taken up again.
    """
    half = np.uint64(max(1, ((size - 1).bit_length() + 1) // 2))
    mask = np.uint64((1 << int(half)) - 1)
    digest = hashlib.blake2b(key.encode(), digest_size=8 * ROUNDS).digest()
    keys = np.frombuffer(digest, "<u8")
    result = places.astype(np.uint64)
    outside = np.arange(len(result))
    while len(outside):
        left, right = result[outside] >> half, result[outside] & mask
        for number in range(ROUNDS):
            left, right = right, left ^ (_mixed(right + keys[number : number + 1]) & mask)
        result[outside] = left << half | right
        outside = outside[result[outside] >= size]
    return result


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser (Steele, Lea and Flood 2014): every bit hangs on every bit given."""
    values = (values ^ values >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ values >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return values ^ values >> np.uint64(31)


def drawn(limit: int, key: str) -> int:
    """A number of 0 … limit-1 that `key` decides."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little") % limit
