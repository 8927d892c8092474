"""Decoding in shapes that never change, so that a CUDA card replays one recorded graph a token.

The static cache is the method of https://github.com/pytorch-labs/gpt-fast, without its compiler.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from shared.model.generate import decode
from shared.model.gpt import GPT, Step
from shared.model.kv_cache import KVCache
from shared.model.native import NativeModel

Decoder = Callable[[Sequence[int], Sequence[int]], Tensor]
"""Adds one token to each of some cache rows; returns the logits (B, V) that follow."""
Recorder = Callable[[Callable[[], Tensor]], Callable[[], Tensor]]
"""Runs a step and returns what repeats it: same tensors in, same tensor out, whatever they hold by then."""
SHORTEST_BUCKET = 256

log = logging.getLogger(__name__)


class StaticRows:
    """All rows of a cache, written at `positions` (B,) where `active` (B,) is true, read up to `length`."""

    def __init__(self, cache: KVCache, positions: Tensor, active: Tensor, length: int) -> None:
        heads, size = cache.keys.shape[2], cache.keys.shape[4]
        self.cache, self.length = cache, length
        self.at = positions.view(-1, 1, 1, 1).expand(-1, heads, 1, size)
        self.active = active.view(-1, 1, 1, 1)

    def write(self, layer: int, rows: Sequence[int], keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """As `KVCache.write` for one token of every row; rows that are not active keep what they hold."""
        return self._put(self.cache.keys[layer], keys), self._put(self.cache.values[layer], values)

    def _put(self, held: Tensor, new: Tensor) -> Tensor:
        held.scatter_(2, self.at, torch.where(self.active, new, held.gather(2, self.at)))
        return held[:, :, : self.length]


class StaticStep(Step):
    """A `Step` of one token a row whose shapes and memory depend on `length` alone."""

    __slots__ = ()

    def __init__(self, model: GPT, cache: KVCache, positions: Tensor, active: Tensor, length: int) -> None:
        self.cache, self.rows = StaticRows(cache, positions, active, length), ()
        self.cos = model.rotary.cos[positions][:, None, None]
        self.sin = model.rotary.sin[positions][:, None, None]
        seen = torch.arange(length, device=positions.device) <= positions[:, None]
        self.mask = seen[:, None, None]


def static_logits(
    model: GPT, cache: KVCache, tokens: Tensor, positions: Tensor, active: Tensor, length: int
) -> Tensor:
    """Logits (B, V) of one token (B, 1) for every cache row, at `positions` below `length`.

    Nothing of it depends on what the tensors hold: it can be recorded. `cache.lengths` do not change.
    """
    step = StaticStep(model, cache, positions, active, length)
    return model.head(model.hidden(tokens, step))[:, 0]


class StaticDecoder:
    """A `Decoder` that records a step once for every bucket of context lengths, then repeats it."""

    def __init__(self, model: GPT, cache: KVCache, record: Recorder) -> None:
        self.model, self.cache, self._record = model, cache, record
        self._repeat: dict[int, Callable[[], Tensor]] = {}
        batch, device = cache.batch, model.device
        self._tokens = torch.zeros((batch, 1), dtype=torch.long, device=device)
        self._positions = torch.zeros(batch, dtype=torch.long, device=device)
        self._active = torch.zeros(batch, dtype=torch.bool, device=device)

    @torch.inference_mode()
    def __call__(self, rows: Sequence[int], tokens: Sequence[int]) -> Tensor:
        """Raises CacheOverflowError when a row is full; then nothing was written."""
        cache = self.cache
        cache.require_room(rows, 1)
        given = dict(zip(rows, tokens, strict=True))
        last = cache.max_seq_len - 1
        self._tokens.copy_(torch.tensor([[given.get(row, 0)] for row in range(cache.batch)]))
        self._positions.copy_(torch.tensor([min(length, last) for length in cache.lengths]))
        self._active.copy_(torch.tensor([row in given for row in range(cache.batch)]))
        length = bucket(max(cache.lengths[row] for row in rows) + 1, cache.max_seq_len)
        if length not in self._repeat:
            step = partial(
                static_logits, self.model, cache, self._tokens, self._positions, self._active, length
            )
            self._repeat[length] = self._record(step)
        logits = self._repeat[length]()[list(rows)]
        cache.advance(rows, 1)
        return logits


def bucket(length: int, longest: int) -> int:
    """The power of two that holds `length` tokens, at least SHORTEST_BUCKET and at most `longest`."""
    return min(longest, max(SHORTEST_BUCKET, 1 << (length - 1).bit_length()))


def record_cuda_graph(step: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """Record a step as https://pytorch.org/docs/stable/notes/cuda.html#cuda-graphs has it.

    It runs a few times first, on a stream of its own, so that libraries have set themselves up; what it
    writes to the cache is the same each time.
    """
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        logits = step()

    def replay() -> Tensor:
        graph.replay()
        return logits

    return replay


def decoder_for(model: Any, cache: KVCache, record: Recorder = record_cuda_graph) -> Decoder:
    """The native engine's one call; graphs on a CUDA card, operator after operator elsewhere: MPS and
    processors have nothing to replay.

    A card or a build of torch that cannot record goes on without, and a warning says so.
    """
    if isinstance(model, NativeModel):
        return partial(model.decode, cache)
    plain = partial(decode, model, cache)
    if not isinstance(model, GPT) or model.device.type != "cuda":
        return plain
    static = StaticDecoder(model, cache, record)
    usable = True

    def decode_or_fall_back(rows: Sequence[int], tokens: Sequence[int]) -> Tensor:
        nonlocal usable
        if usable:
            try:
                return static(rows, tokens)
            except RuntimeError as error:
                usable = False
                log.warning("decoding goes on without CUDA graphs: %s", str(error).splitlines()[0][:200])
        return plain(rows, tokens)

    return decode_or_fall_back
