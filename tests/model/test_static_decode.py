"""The step that a CUDA card would replay, on the processor: it equals ordinary decoding, and it can be recorded."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from model_helpers import FAMILIES, random_model, random_tokens
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from shared.model import static_decode
from shared.model.generate import decode, prefill
from shared.model.gpt import GPT
from shared.model.kv_cache import CacheOverflowError, KVCache
from shared.model.static_decode import StaticDecoder, bucket, decoder_for, static_logits

CUDA = torch.cuda.is_available()


class Tape:
    """A recorder that does what a CUDA graph does: the operators are written down once, with the memory they use.

    What is repeated is that list alone: no Python of ours runs again, and the logits come in the same tensor.
    """

    def __init__(self) -> None:
        self.recorded = 0

    def __call__(self, step: Callable[[], Tensor]) -> Callable[[], Tensor]:
        self.recorded += 1
        trace = make_fx(lambda: step())()
        out: list[Tensor] = []

        def replay() -> Tensor:
            logits = trace()
            if not out:
                out.append(torch.empty_like(logits))
            return out[0].copy_(logits)

        return replay


def filled(model: GPT, lengths: Sequence[int], max_seq_len: int = 64) -> KVCache:
    """A cache whose rows hold so many tokens."""
    cache = model.new_cache(batch=len(lengths), max_seq_len=max_seq_len)
    for row, length in enumerate(lengths):
        if length:
            prefill(model, cache, row, random_tokens(length, seed=row))
    return cache


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("lengths", "steps"),
    [
        ((7,), [(0,), (0,), (0,)]),
        ((5, 5), [(0, 1), (0, 1)]),
        ((3, 20, 11), [(0, 1, 2), (2, 0), (1,), (0, 1, 2), (2,)]),
        ((0, 9), [(0, 1), (0,)]),
    ],
    ids=["alone", "equal", "mixed", "empty"],
)
def test_replayed_steps_equal_ordinary_decoding(
    family: str, lengths: tuple[int, ...], steps: list[tuple[int, ...]]
) -> None:
    model = random_model(family)
    plain, static = filled(model, lengths), filled(model, lengths)
    tape = Tape()
    decoder = StaticDecoder(model, static, tape)
    for number, rows in enumerate(steps):
        tokens = random_tokens(len(rows), seed=100 + number)
        expected = decode(model, plain, rows, tokens)
        found = decoder(rows, tokens)
        assert found.shape == expected.shape == (len(rows), 96)
        assert torch.allclose(found, expected, atol=1e-4)
        assert static.lengths == plain.lengths
    assert tape.recorded == 1
    for row, length in enumerate(plain.lengths):
        for mine, theirs in ((static.keys, plain.keys), (static.values, plain.values)):
            assert torch.allclose(mine[:, row, :, :length], theirs[:, row, :, :length], atol=1e-5)


def test_logits_of_one_step_outlive_the_next() -> None:
    model = random_model()
    cache = filled(model, (4,))
    decoder = StaticDecoder(model, cache, Tape())
    first = decoder((0,), [5])
    kept = first.clone()
    decoder((0,), [6])
    assert torch.equal(first, kept)


def test_rows_that_rest_keep_every_token_even_when_full() -> None:
    model = random_model()
    cache = filled(model, (16, 2, 7), max_seq_len=16)
    before = cache.keys.clone(), cache.values.clone()
    decoder = StaticDecoder(model, cache, Tape())
    for token in range(8):
        decoder((1,), [token])
    for row in (0, 2):
        assert torch.equal(cache.keys[:, row], before[0][:, row])
        assert torch.equal(cache.values[:, row], before[1][:, row])
    assert cache.lengths == [16, 10, 7]


def test_a_full_row_is_an_error_before_anything_is_written() -> None:
    model = random_model()
    cache = filled(model, (16, 3), max_seq_len=16)
    before = cache.keys.clone()
    with pytest.raises(CacheOverflowError):
        StaticDecoder(model, cache, Tape())((1, 0), [1, 2])
    assert torch.equal(cache.keys, before)
    assert cache.lengths == [16, 3]


def test_one_recording_a_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(static_decode, "SHORTEST_BUCKET", 8)
    model = random_model()
    plain, static = filled(model, (5,)), filled(model, (5,))
    tape = Tape()
    decoder = StaticDecoder(model, static, tape)
    for token in range(30):
        expected = decode(model, plain, (0,), [token])
        assert torch.allclose(decoder((0,), [token]), expected, atol=1e-4)
    assert tape.recorded == 4, "8, 16, 32, 64"
    static.truncate(0, 5)
    plain.truncate(0, 5)
    assert torch.allclose(decoder((0,), [9]), decode(model, plain, (0,), [9]), atol=1e-4)
    assert tape.recorded == 4


@pytest.mark.parametrize(
    ("length", "longest", "size"),
    [
        (1, 2048, 256),
        (256, 2048, 256),
        (257, 2048, 512),
        (1025, 2048, 2048),
        (1025, 1500, 1500),
        (40, 64, 64),
    ],
)
def test_buckets(length: int, longest: int, size: int) -> None:
    assert bucket(length, longest) == size


def test_a_prefix_that_other_rows_share_is_read_as_it_was_copied() -> None:
    model = random_model("qwen3")
    plain, static = filled(model, (12, 0)), filled(model, (12, 0))
    decoder = StaticDecoder(model, static, Tape())
    decoder((0,), [3])
    decode(model, plain, (0,), [3])
    for cache in (plain, static):
        cache.copy_prefix(0, 1, 6)
        prefill(model, cache, 1, [1, 2, 3])
    expected = decode(model, plain, (0, 1), [4, 5])
    assert torch.allclose(decoder((0, 1), [4, 5]), expected, atol=1e-4)


def test_shapes_and_types_of_a_bfloat16_step() -> None:
    model = random_model("llama").bfloat16()
    cache = filled(model, (3, 4))
    logits = static_logits(
        model, cache, torch.tensor([[1], [2]]), torch.tensor([3, 4]), torch.tensor([True, True]), 8
    )
    assert logits.shape == (2, 96)
    assert logits.dtype == cache.keys.dtype == torch.bfloat16


def on_cuda(monkeypatch: pytest.MonkeyPatch, model: GPT) -> GPT:
    """A model that says it is on a card; its tensors stay here."""
    monkeypatch.setattr(StaticDecoder, "__init__", _init_here)
    monkeypatch.setattr(GPT, "device", property(lambda self: torch.device("cuda")))
    return model


_init = StaticDecoder.__init__


def _init_here(self: StaticDecoder, model: GPT, cache: KVCache, record: Any) -> None:
    device = GPT.device
    GPT.device = property(lambda self: torch.device("cpu"))  # type: ignore[assignment, method-assign]
    _init(self, model, cache, record)
    GPT.device = device  # type: ignore[method-assign]


def test_graphs_are_for_cuda_alone() -> None:
    model = random_model()
    cache = filled(model, (3,))

    def never(step: Callable[[], Tensor]) -> Callable[[], Tensor]:
        raise AssertionError("recorded on a processor")

    decoder = decoder_for(model, cache, never)
    assert decoder((0,), [1]).shape == (1, 96)
    assert decoder_for(object(), cache, never).func is decode  # type: ignore[attr-defined]


def test_a_card_gets_the_static_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model()
    plain, static = filled(model, (3, 5)), filled(model, (3, 5))
    expected = decode(model, plain, (0, 1), [1, 2])
    tape = Tape()
    decoder = decoder_for(on_cuda(monkeypatch, model), static, tape)
    assert torch.allclose(decoder((0, 1), [1, 2]), expected, atol=1e-4)
    assert tape.recorded == 1


def test_a_card_that_cannot_record_goes_on_without(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = random_model()
    cache = filled(model, (3,))
    tries = 0

    def broken(step: Callable[[], Tensor]) -> Callable[[], Tensor]:
        nonlocal tries
        tries += 1
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore lines")

    decoder = decoder_for(on_cuda(monkeypatch, model), cache, broken)
    monkeypatch.setattr(GPT, "device", property(lambda self: torch.device("cpu")))
    with caplog.at_level(logging.WARNING):
        for token in range(3):
            assert decoder((0,), [token]).shape == (1, 96)
    assert tries == 1
    assert cache.lengths == [6]
    assert "decoding goes on without CUDA graphs: CUDA error" in caplog.text
    assert "more lines" not in caplog.text


@pytest.mark.skipif(not CUDA, reason="needs an NVIDIA card")
@pytest.mark.parametrize("family", FAMILIES)
def test_on_a_real_card_graphs_equal_ordinary_decoding(family: str) -> None:
    model = random_model(family).cuda()
    plain, static = filled(model, (3, 20, 11)), filled(model, (3, 20, 11))
    decoder = decoder_for(model, static)
    for number, rows in enumerate([(0, 1, 2), (2, 0), (1,), (0, 1, 2)]):
        tokens = random_tokens(len(rows), seed=number)
        assert torch.allclose(decoder(rows, tokens), decode(model, plain, rows, tokens), atol=1e-3)
