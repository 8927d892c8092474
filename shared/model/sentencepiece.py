"""SentencePiece vocabularies of the BPE kind (Llama 2, Mistral): characters merged by score, else bytes.

The algorithm is that of https://github.com/google/sentencepiece (bpe_model.cc): of all neighbours that make a
token, the best-scored pair is merged first, the leftmost of equals.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Iterable, Mapping

from shared.model.config import MAX_SIZES
from shared.model.errors import ModelError
from shared.model.tokenizer import END_NAMES, START_NAMES, Tokenizer

SPACE = "\u2581"
"""Stands for a space inside tokens."""
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")

Rank = Callable[[str, str], float | None]
"""How early two neighbours are merged, lowest first; None when they make no token."""


class SentencePieceTokenizer(Tokenizer):
    """A `Tokenizer` whose tokens are characters; text begins with a space, added where it has none."""

    def __init__(
        self,
        tokens: Mapping[str, int],
        specials: Mapping[str, int],
        rank: Rank,
        *,
        space_prefix: bool = True,
        visible: Iterable[str] = (),
        ends: Iterable[int] = (),
    ) -> None:
        """`tokens` has one `<0x00>` to `<0xFF>` for each byte. Raises ModelError."""
        ids = [*tokens.values(), *specials.values()]
        if not ids or len(set(ids)) != len(ids) or min(ids) < 0:
            raise ModelError("The model's vocabulary gives one id to two tokens: take another file.")
        self.vocab_size = max(ids) + 1
        if self.vocab_size > MAX_SIZES["vocab_size"]:
            raise ModelError(f"The model's vocabulary has the id {max(ids)}: take another file.")
        self.specials = dict(specials)
        self._bytes = [b""] * self.vocab_size
        self._byte_ids = [-1] * 256
        self._pieces_of: dict[str, int] = {}
        for token, number in tokens.items():
            if byte := _BYTE.fullmatch(token):
                self._byte_ids[int(byte[1], 16)] = number
                self._bytes[number] = bytes([int(byte[1], 16)])
            else:
                self._pieces_of[token] = number
                self._bytes[number] = token.replace(SPACE, " ").encode("utf-8", "replace")
        if min(self._byte_ids) < 0:
            raise ModelError("The model's vocabulary lacks tokens for single bytes: take another file.")
        for name in visible:
            self._bytes[specials[name]] = name.encode("utf-8", "replace")
        known = [specials[name] for name in END_NAMES + START_NAMES if name in specials]
        self.end_ids = frozenset([*known, *ends])
        self._rank, self._space_prefix = rank, space_prefix

    def encode(self, text: str) -> list[int]:
        """Ids of `text`, in which a special token's name is text like any other."""
        text = text.encode("utf-8", "replace").decode("utf-8").replace(" ", SPACE)
        if text and self._space_prefix and not text.startswith(SPACE):
            text = SPACE + text
        ids: list[int] = []
        for piece in merged(text, self._rank):
            number = self._pieces_of.get(piece)
            ids += [self._byte_ids[byte] for byte in piece.encode()] if number is None else [number]
        return ids


def merged(text: str, rank: Rank) -> list[str]:
    """Characters of `text`, joined as long as some neighbours can be; O(n log n)."""
    parts = list(text)
    after, before = list(range(1, len(parts) + 1)), list(range(-1, len(parts) - 1))
    queue: list[tuple[float, int, str, str]] = []

    def offer(left: int) -> None:
        right = after[left]
        if right < len(parts) and (priority := rank(parts[left], parts[right])) is not None:
            heapq.heappush(queue, (priority, left, parts[left], parts[right]))

    for at in range(len(parts) - 1):
        offer(at)
    while queue:
        _, left, first, second = heapq.heappop(queue)
        right = after[left]
        # An entry is stale once one of its neighbours has become part of something else.
        if parts[left] != first or right >= len(parts) or parts[right] != second:
            continue
        parts[left], parts[right] = first + second, ""
        after[left] = after[right]
        if after[left] < len(parts):
            before[after[left]] = left
        offer(left)
        if before[left] >= 0:
            offer(before[left])
    return [part for part in parts if part]


def by_score(scores: Mapping[str, float]) -> Rank:
    """A pair ranks as the token that it makes: highest score first."""
    lowest_first = {token: -score for token, score in scores.items()}
    return lambda left, right: lowest_first.get(left + right)


def by_merges(merges: Iterable[tuple[str, str]]) -> Rank:
    """A pair ranks by its place in a list, best first, as the hub's files have it."""
    places = {pair: float(place) for place, pair in reversed(list(enumerate(merges)))}
    return lambda left, right: places.get((left, right))
