"""The KV cache of the native engine: float16 as its kernels read it, with the row operations of `KVCache`."""

from __future__ import annotations

import ctypes
import math

import numpy as np
import torch

from shared.model.config import GPTConfig
from shared.model.kv_cache import KVCache
from shared.model.pages import give_back, zero_pages

CHUNK = 128
LANES = 16


class CacheView(ctypes.Structure):
    """`Cache` of forward.h."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("row", "chunk", "layer", "head")),
    )


class NativeCache(KVCache):
    """`chunks` is (batch, chunk of 128 positions, n_layer, n_kv_head, keys then values).

    Keys of a chunk are (8, head_size, 16), sixteen positions side by side; values (128, head_size rounded up
    to 16). Positions come before layers, so that memory is used as a conversation grows.
    """

    __slots__ = ("chunks", "view")

    def __init__(self, config: GPTConfig, batch: int = 1, max_seq_len: int | None = None) -> None:
        length = config.block_size if max_seq_len is None else min(max_seq_len, config.block_size)
        padded = -(-config.head_size // LANES) * LANES
        shape = (
            batch,
            -(-length // CHUNK),
            config.n_layer,
            config.n_kv_head,
            CHUNK * (config.head_size + padded),
        )
        pages = zero_pages(2 * math.prod(shape), huge=True)  # small ones double the time of long contexts
        self.chunks = torch.from_numpy(np.frombuffer(pages, np.float16).reshape(shape))
        self._pages = [pages]
        self.lengths = [0] * batch
        self.max_seq_len = length
        self.view = CacheView(self.chunks.data_ptr(), *self.chunks.stride()[:4])

    @property
    def n_bytes(self) -> int:
        """Bytes reserved for keys and values."""
        return self.chunks.nbytes

    def give_back(self, row: int) -> None:
        """Free the chunks behind what a row holds."""
        size = self.chunks.itemsize * self.chunks.stride(1)
        start = self.chunks.itemsize * self.chunks.stride(0) * row
        give_back(
            self._pages[0],
            start + size * -(-self.lengths[row] // CHUNK),
            start + size * self.chunks.shape[1],
        )

    def copy_prefix(self, source: int, target: int, length: int) -> None:
        """Replace what `target` holds by the first `length` tokens of `source`."""
        if not 0 <= length <= self.lengths[source]:
            raise ValueError(f"row {source} holds {self.lengths[source]} tokens, not {length}")
        if source != target:
            whole = -(-length // CHUNK)
            self.chunks[target, :whole] = self.chunks[source, :whole]
        self.lengths[target] = length
