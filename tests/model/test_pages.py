"""Memory that is given back: what a row still holds stays, what is behind it is free and reads as zeros."""

from __future__ import annotations

import sys

import pytest
import torch

from shared.model.config import GPTConfig
from shared.model.kv_cache import KVCache
from shared.model.native.cache import CHUNK, NativeCache
from shared.model.pages import give_back, zero_pages

CONFIG = GPTConfig(
    block_size=1024, vocab_size=64, n_layer=2, n_head=4, n_kv_head=2, n_embd=256, token_limit=None
)
linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux gives pages back")


def resident_kb() -> int:
    with open("/proc/self/smaps_rollup") as rollup:
        return next(int(line.split()[1]) for line in rollup if line.startswith("Anonymous:"))


@linux_only
def test_whole_pages_between_are_freed() -> None:
    pages = zero_pages(1 << 24)
    pages[:] = b"\1" * len(pages)
    before = resident_kb()
    give_back(pages, 5000, len(pages) - 5000)
    assert before - resident_kb() > 16_000
    assert pages[4999] == pages[8191] == 1
    assert pages[8192] == pages[len(pages) // 2] == 0
    assert pages[len(pages) - 5000] == 1


@linux_only
def test_a_plain_cache_frees_what_is_behind_a_row() -> None:
    cache = KVCache.from_config(CONFIG, batch=2, dtype=torch.float32)
    cache.keys.fill_(1.0)
    cache.values.fill_(1.0)
    cache.lengths = [100, 1024]
    before = resident_kb()
    cache.give_back(0)
    assert before - resident_kb() > 0.8 * cache.n_bytes / 2 / 1024
    for part in (cache.keys, cache.values):
        assert bool((part[:, 0, :, :100] == 1).all())
        assert bool((part[:, 0, :, 200:-100] == 0).all())
        assert bool((part[:, 1] == 1).all())


@linux_only
def test_a_native_cache_frees_whole_chunks() -> None:
    cache = NativeCache(CONFIG, batch=2)
    cache.chunks.fill_(1.0)
    cache.lengths = [CHUNK + 1, 1024]
    cache.give_back(0)
    assert bool((cache.chunks[0, :2] == 1).all())
    assert bool((cache.chunks[0, 2:] == 0).all())
    assert bool((cache.chunks[1] == 1).all())
