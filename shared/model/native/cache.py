"""The KV cache of the native engine: float16 as its kernels read it, with the row operations of `KVCache`."""

from __future__ import annotations

import ctypes
import math
import mmap
import sys

import numpy as np
import torch

from shared.model.config import GPTConfig
from shared.model.kv_cache import KVCache

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
        self.chunks = _zeros(shape)
        self.lengths = [0] * batch
        self.max_seq_len = length
        self.view = CacheView(self.chunks.data_ptr(), *self.chunks.stride()[:4])

    @property
    def n_bytes(self) -> int:
        """Bytes reserved for keys and values."""
        return self.chunks.nbytes

    def copy_prefix(self, source: int, target: int, length: int) -> None:
        """Replace what `target` holds by the first `length` tokens of `source`."""
        if not 0 <= length <= self.lengths[source]:
            raise ValueError(f"row {source} holds {self.lengths[source]} tokens, not {length}")
        if source != target:
            whole = -(-length // CHUNK)
            self.chunks[target, :whole] = self.chunks[source, :whole]
        self.lengths[target] = length


def _zeros(shape: tuple[int, ...]) -> torch.Tensor:
    """Float16 zeros whose pages the system gives when they are written, huge ones where it has them."""
    size = 2 * math.prod(shape)
    if sys.platform == "win32":
        memory = mmap.mmap(-1, size)
    else:  # private: shared memory gets no huge pages, and long contexts then take twice the time
        memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    return torch.from_numpy(np.frombuffer(memory, np.float16).reshape(shape))
