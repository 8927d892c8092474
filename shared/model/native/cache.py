"""The KV cache of the native engine: float16, laid out for its kernels, with the row operations of `KVCache`."""

from __future__ import annotations

import ctypes

import numpy as np
import torch

from shared.model.config import GPTConfig
from shared.model.kv_cache import KVCache

LANES = 16


class CacheView(ctypes.Structure):
    """`Cache` of forward.h."""

    _fields_ = (
        ("keys", ctypes.c_void_p),
        ("values", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("key_layer", "key_row", "key_head")),
        *((name, ctypes.c_int64) for name in ("value_layer", "value_row", "value_head")),
    )


class NativeCache(KVCache):
    """`keys` are (n_layer, batch, n_kv_head, blocks, head_size, 16): sixteen positions side by side.

    `values` are (n_layer, batch, n_kv_head, max_seq_len, head_size rounded up to 16).
    """

    __slots__ = ("view",)

    def __init__(self, config: GPTConfig, batch: int = 1, max_seq_len: int | None = None) -> None:
        length = config.block_size if max_seq_len is None else min(max_seq_len, config.block_size)
        head, blocks = (config.n_layer, batch, config.n_kv_head), -(-length // LANES)
        # From numpy, whose zeros are pages that the system gives only when they are written.
        self.keys = torch.from_numpy(np.zeros((*head, blocks, config.head_size, LANES), np.float16))
        padded = -(-config.head_size // LANES) * LANES
        self.values = torch.from_numpy(np.zeros((*head, blocks * LANES, padded), np.float16))
        self.lengths = [0] * batch
        self.max_seq_len = length
        self.view = CacheView(
            self.keys.data_ptr(), self.values.data_ptr(), *self.keys.stride()[:3], *self.values.stride()[:3]
        )

    def copy_prefix(self, source: int, target: int, length: int) -> None:
        """Replace what `target` holds by the first `length` tokens of `source`."""
        if not 0 <= length <= self.lengths[source]:
            raise ValueError(f"row {source} holds {self.lengths[source]} tokens, not {length}")
        if source != target:
            blocks = -(-length // LANES)
            self.keys[:, target, :, :blocks] = self.keys[:, source, :, :blocks]
            self.values[:, target, :, :length] = self.values[:, source, :, :length]
        self.lengths[target] = length
