"""Which texts say nearly the same, by the runs of three words that they share."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations

RUN = 3
ALIKE = 0.5
"""Texts that share this part of their runs are near-duplicates."""
COMMON = 60
"""A run that so many texts have says nothing about two of them."""


def words(text: str) -> list[str]:
    """Words in lower case, without punctuation."""
    return re.findall(r"[\w']+", text.lower().replace("’", "'"))


def runs(text: str, length: int = RUN) -> frozenset[tuple[str, ...]]:
    """Runs of `length` words; a shorter text is one run by itself."""
    all_words = words(text)
    if len(all_words) < length:
        return frozenset([tuple(all_words)])
    return frozenset(tuple(all_words[at : at + length]) for at in range(len(all_words) - length + 1))


def near_duplicates(texts: Sequence[str]) -> list[tuple[int, int, float]]:
    """Pairs of numbers of texts that are alike, and their Jaccard similarity, the most alike first."""
    sets = [runs(text) for text in texts]
    holders: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, found in enumerate(sets):
        for run in found:
            holders[run].append(number)
    shared: dict[tuple[int, int], int] = defaultdict(int)
    for numbers in holders.values():
        if len(numbers) <= COMMON:
            for pair in combinations(numbers, 2):
                shared[pair] += 1
    pairs = [
        (first, second, count / len(sets[first] | sets[second])) for (first, second), count in shared.items()
    ]
    return sorted((pair for pair in pairs if pair[2] >= ALIKE), key=lambda pair: -pair[2])


def groups(count: int, pairs: Sequence[tuple[int, int]]) -> list[int]:
    """For each of `count` numbers the smallest one that it is joined with, over any chain of `pairs`."""
    parent = list(range(count))

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    for first, second in pairs:
        low, high = sorted((root(first), root(second)))
        parent[high] = low
    return [root(number) for number in range(count)]


def distinct(texts: Sequence[str], length: int) -> float:
    """Distinct-n (https://arxiv.org/abs/1510.03055): the share of runs of `length` words that differ."""
    all_runs = [
        tuple(found[at : at + length])
        for found in map(words, texts)
        for at in range(max(0, len(found) - length + 1))
    ]
    return len(set(all_runs)) / len(all_runs) if all_runs else 0.0
