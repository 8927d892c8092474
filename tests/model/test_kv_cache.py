"""The cache never changes an answer: cached, chunked, batched, cut and copied equal one plain pass."""

from __future__ import annotations

import pytest
import torch
from model_helpers import FAMILIES, random_model, random_tokens
from torch import Tensor

from shared.model.generate import decode, prefill
from shared.model.gpt import GPT
from shared.model.kv_cache import CacheOverflowError

TOLERANCE = 1e-4


@torch.inference_mode()
def uncached(model: GPT, tokens: list[int]) -> Tensor:
    return model(torch.tensor([tokens]))[0, -1]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("cuts", [(12,), (1, 2, 3, 6), (5, 7), (1,) * 12])
def test_chunked_prefill_equals_one_pass(family: str, cuts: tuple[int, ...]) -> None:
    model, tokens = random_model(family), random_tokens(12)
    cache = model.new_cache()
    done = 0
    for size in cuts:
        logits = prefill(model, cache, 0, tokens[done : done + size])
        done += size
        torch.testing.assert_close(logits, uncached(model, tokens[:done]), atol=TOLERANCE, rtol=0)
    assert cache.lengths == [12]


def test_every_position_of_a_chunk_is_causal() -> None:
    model, tokens = random_model(), random_tokens(12)
    cache = model.new_cache()
    prefill(model, cache, 0, tokens[:5])
    with torch.inference_mode():
        chunk = model(torch.tensor([tokens[5:]]), cache)[0]
        whole = model(torch.tensor([tokens]))[0]
    torch.testing.assert_close(chunk, whole[5:], atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("rows", [(0, 1, 2), (2, 0), (1, 2), (0, 2)])
def test_batched_rows_of_different_lengths_equal_unbatched(family: str, rows: tuple[int, ...]) -> None:
    model = random_model(family)
    texts = [random_tokens(length, seed=length) for length in (3, 9, 6)]
    cache = model.new_cache(batch=3)
    for row, tokens in enumerate(texts):
        prefill(model, cache, row, tokens)
    for step in range(3):
        new = [10 + step + row for row in rows]
        logits = decode(model, cache, rows, new)
        for index, row in enumerate(rows):
            texts[row].append(new[index])
            torch.testing.assert_close(logits[index], uncached(model, texts[row]), atol=TOLERANCE, rtol=0)
    assert cache.lengths == [len(tokens) for tokens in texts]


def test_batched_chunks_behind_different_lengths_equal_unbatched() -> None:
    model = random_model()
    texts = [random_tokens(4, seed=1), random_tokens(9, seed=2)]
    cache = model.new_cache(batch=2)
    for row, tokens in enumerate(texts):
        prefill(model, cache, row, tokens)
    more = [random_tokens(5, seed=3), random_tokens(5, seed=4)]
    with torch.inference_mode():
        logits = model(torch.tensor(more), cache)
    for row in (0, 1):
        expected = uncached(model, texts[row] + more[row])
        torch.testing.assert_close(logits[row, -1], expected, atol=TOLERANCE, rtol=0)


def test_truncated_row_continues_as_if_the_rest_had_never_been() -> None:
    model, tokens = random_model(), random_tokens(20)
    cache = model.new_cache()
    prefill(model, cache, 0, tokens)
    cache.truncate(0, 7)
    other = random_tokens(6, seed=9)
    logits = prefill(model, cache, 0, other)
    torch.testing.assert_close(logits, uncached(model, tokens[:7] + other), atol=TOLERANCE, rtol=0)


def test_copied_prefix_serves_another_row_and_leaves_its_source() -> None:
    model, tokens = random_model(), random_tokens(10)
    cache = model.new_cache(batch=2)
    prefill(model, cache, 0, tokens)
    prefill(model, cache, 1, random_tokens(15, seed=5))
    cache.copy_prefix(0, 1, 8)
    mine, other = random_tokens(3, seed=6), random_tokens(4, seed=7)
    left = prefill(model, cache, 0, mine)
    right = prefill(model, cache, 1, other)
    torch.testing.assert_close(left, uncached(model, tokens + mine), atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(right, uncached(model, tokens[:8] + other), atol=TOLERANCE, rtol=0)


def test_overflow_is_an_error_before_anything_is_written() -> None:
    model = random_model()
    cache = model.new_cache(max_seq_len=10)
    prefill(model, cache, 0, random_tokens(8))
    keys = cache.keys.clone()
    with pytest.raises(CacheOverflowError, match="holds 10 tokens a row: row 0 has 8 and cannot take 3 more"):
        prefill(model, cache, 0, random_tokens(3))
    assert cache.lengths == [8]
    assert cache.keys.equal(keys)
    prefill(model, cache, 0, random_tokens(2))


def test_lengths_stay_when_a_layer_fails() -> None:
    model = random_model()
    cache = model.new_cache()
    prefill(model, cache, 0, random_tokens(4))

    def fail(*_: object) -> None:
        raise RuntimeError("out of memory")

    model.transformer["h"][1].register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        prefill(model, cache, 0, random_tokens(4))
    assert cache.lengths == [4]


def test_shape_clear_and_wrong_use() -> None:
    model = random_model()
    cache = model.new_cache(batch=2, max_seq_len=16)
    assert cache.keys.shape == cache.values.shape == (2, 2, 2, 16, 16)
    assert not hasattr(cache, "__dict__")
    prefill(model, cache, 1, random_tokens(3))
    with pytest.raises(ValueError, match="cannot be cut to 4"):
        cache.truncate(1, 4)
    with pytest.raises(ValueError, match="holds 3 tokens, not 4"):
        cache.copy_prefix(1, 0, 4)
    with pytest.raises(ValueError, match="different cache rows"):
        decode(model, cache, (1, 1), (5, 5))
    cache.clear()
    assert cache.lengths == [0, 0]


def test_a_cache_is_never_longer_than_the_context() -> None:
    assert random_model().new_cache(max_seq_len=1000).max_seq_len == 64
