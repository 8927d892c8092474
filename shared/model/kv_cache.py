"""Keys and values of past tokens: one tensor each for all, written in place, never shifted."""

from __future__ import annotations

import math
import mmap
from collections.abc import Sequence

import torch
from torch import Tensor

from shared.model.config import GPTConfig
from shared.model.pages import give_back, zero_pages


class CacheOverflowError(ValueError):
    """More tokens than a row can hold; nothing was written."""


class KVCache:
    """`keys` and `values` are (n_layer, batch, n_kv_head, max_seq_len, head_size); `lengths` counts per row.

    A length grows only when the last layer has written (`advance`), so an exception in the middle of a
    forward pass leaves every row as it was. Positions never written are never touched, so that on most
    systems they use no memory.
    """

    __slots__ = ("_pages", "keys", "lengths", "max_seq_len", "values")

    def __init__(
        self,
        n_layer: int,
        batch: int,
        n_kv_head: int,
        max_seq_len: int,
        head_size: int,
        *,
        dtype: torch.dtype,
        device: torch.device | str = "cpu",
    ) -> None:
        shape = (n_layer, batch, n_kv_head, max_seq_len, head_size)
        self.keys, key_pages = _zeros(shape, dtype, torch.device(device))
        self.values, value_pages = _zeros(shape, dtype, torch.device(device))
        self._pages = [pages for pages in (key_pages, value_pages) if pages is not None]
        self.lengths = [0] * batch
        self.max_seq_len = max_seq_len

    @classmethod
    def from_config(
        cls,
        config: GPTConfig,
        batch: int = 1,
        max_seq_len: int | None = None,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> KVCache:
        """A cache for `batch` sequences of at most `max_seq_len` (the model's whole context by default)."""
        length = config.block_size if max_seq_len is None else min(max_seq_len, config.block_size)
        return cls(
            config.n_layer, batch, config.n_kv_head, length, config.head_size, dtype=dtype, device=device
        )

    @property
    def batch(self) -> int:
        """Number of rows."""
        return len(self.lengths)

    @property
    def n_bytes(self) -> int:
        """Bytes reserved for keys and values."""
        return self.keys.nbytes + self.values.nbytes

    def require_room(self, rows: Sequence[int], n_tokens: int) -> None:
        """Raise CacheOverflowError unless each of `rows` can take `n_tokens` more."""
        for row in rows:
            if self.lengths[row] + n_tokens > self.max_seq_len:
                raise CacheOverflowError(
                    f"the KV cache holds {self.max_seq_len} tokens a row: row {row} has {self.lengths[row]} "
                    f"and cannot take {n_tokens} more; shorten the prompt or ask for fewer tokens"
                )

    def write(self, layer: int, rows: Sequence[int], keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Put one layer's new keys and values (B, n_kv_head, T, head_size) behind what each row holds.

        Returns all keys and values of these rows up to the longest, (B, n_kv_head, longest, head_size): views
        where the rows are neighbours. `lengths` do not change: see `advance`.
        """
        n_new = keys.shape[2]
        for index, row in enumerate(rows):
            at = slice(self.lengths[row], self.lengths[row] + n_new)
            self.keys[layer, row, :, at] = keys[index]
            self.values[layer, row, :, at] = values[index]
        longest = max(self.lengths[row] for row in rows) + n_new
        neighbours = all(row == rows[0] + index for index, row in enumerate(rows))
        which = slice(rows[0], rows[0] + len(rows)) if neighbours else list(rows)
        return self.keys[layer, which, :, :longest], self.values[layer, which, :, :longest]

    def advance(self, rows: Sequence[int], n_tokens: int) -> None:
        """Count `n_tokens` more in each of `rows`, once every layer has written them."""
        for row in rows:
            self.lengths[row] += n_tokens

    def truncate(self, row: int, length: int) -> None:
        """Forget all but the first `length` tokens of a row; keys are never shifted."""
        if not 0 <= length <= self.lengths[row]:
            raise ValueError(f"row {row} holds {self.lengths[row]} tokens: it cannot be cut to {length}")
        self.lengths[row] = length

    def give_back(self, row: int) -> None:
        """Free the memory behind what a row holds, where it is the CPU's; never needed for correctness."""
        if not self._pages:
            return
        layers, _, heads, _, size = self.keys.shape
        position = size * self.keys.itemsize
        for layer in range(layers):
            for head in range(heads):
                start = self.keys[layer, row, head].storage_offset() * self.keys.itemsize
                for pages in self._pages:
                    give_back(
                        pages, start + self.lengths[row] * position, start + self.max_seq_len * position
                    )

    def copy_prefix(self, source: int, target: int, length: int) -> None:
        """Replace what `target` holds by the first `length` tokens of `source`."""
        if not 0 <= length <= self.lengths[source]:
            raise ValueError(f"row {source} holds {self.lengths[source]} tokens, not {length}")
        if source != target:
            self.keys[:, target, :, :length] = self.keys[:, source, :, :length]
            self.values[:, target, :, :length] = self.values[:, source, :, :length]
        self.lengths[target] = length

    def clear(self) -> None:
        """Forget everything."""
        self.lengths = [0] * self.batch


def _zeros(
    shape: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, mmap.mmap | None]:
    """Zeros, not whatever lies in memory: a masked NaN would still poison the weighted sum.

    On the CPU they are pages of the system's own, given beside: torch.zeros writes them all.
    """
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device), None
    pages = zero_pages(math.prod(shape) * dtype.itemsize)
    return torch.frombuffer(pages, dtype=dtype).view(shape), pages
