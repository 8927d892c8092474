"""The native engine against PyTorch on the same, dequantised weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from model_helpers import FAMILIES, random_model, random_tokens
from native_helpers import K_QUANTS, QUANTISED, TARGETS, Type, distance, pair

from shared.model.generate import decode, prefill
from shared.model.kv_cache import CacheOverflowError
from shared.model.native import NativeModel

"""What each processor would run; AVX2 is a subset of what every machine that runs these tests has."""
WIDE = {"n_embd": 256, "n_head": 4, "n_kv_head": 2, "intermediate_size": 256}
"""K-quants come in blocks of 256."""


def sizes_for(kind: Type) -> dict[str, object]:
    return dict(WIDE) if kind in K_QUANTS else {"intermediate_size": 96}


def ids(count: int = 40, seed: int = 0) -> torch.Tensor:
    return torch.tensor([random_tokens(count, seed=seed)])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_family_gives_the_logits_of_pytorch(family: str, dtype: torch.dtype) -> None:
    model = random_model(family)
    rounded = [
        (name, p.detach().to(dtype) if p.ndim == 2 else p.detach()) for name, p in model.named_parameters()
    ]
    native = NativeModel.from_state(model.config, rounded, threads=2)
    reference = type(model).from_state(model.config, [(name, p.float()) for name, p in rounded])
    with torch.inference_mode():
        expected = reference(ids())
    assert distance(native(ids()), expected) < 3e-3  # keys and values are float16


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kind", QUANTISED, ids=lambda kind: kind.name)
def test_every_quantisation_gives_the_logits_of_its_own_weights(kind: Type, target: str) -> None:
    native, reference = pair(kind, target=TARGETS[target], **sizes_for(kind))
    with torch.inference_mode():
        expected = reference(ids())
    assert (
        distance(native(ids()), expected) < 0.1
    )  # what activations rounded to 8 bits cost; a wrong kernel gives 1


@pytest.mark.parametrize("kind", QUANTISED, ids=lambda kind: kind.name)
def test_packing_loses_nothing_but_the_last_bits_of_the_scales_of_q5_k(kind: Type) -> None:
    native, reference = pair(kind, **sizes_for(kind))
    expected = reference.transformer["wte"].weight.numpy()
    got = np.empty_like(expected)
    for row in range(len(got)):
        native._library.akane_unpacked(native._handle, 0, 0, row, got[row].ctypes.data)
    tolerance = 2e-3 if kind == Type.Q5_K else 1e-6
    assert np.abs(got - expected).max() <= tolerance * np.abs(expected).max()


@pytest.mark.parametrize("kind", [Type.Q4_1, Type.Q8_0, Type.Q4_K, Type.Q5_K, Type.Q6_K])
def test_a_prompt_in_chunks_a_batch_and_single_tokens_give_the_same(kind: Type) -> None:
    native, _ = pair(kind, **sizes_for(kind), block_size=512)
    tokens = ids(300)
    whole = native(tokens)[0]
    cache = native.new_cache(2, 512)
    for begin in range(0, 290, 77):
        prefill(native, cache, 0, tokens[0, begin : min(begin + 77, 290)].tolist())
    steps = [decode(native, cache, (0,), (int(token),))[0] for token in tokens[0, 290:]]
    assert distance(torch.stack(steps), whole[290:]) < 1e-4
    assert cache.lengths == [300, 0]


def test_rows_of_a_batch_do_not_change_each_other() -> None:
    native, _ = pair(Type.Q4_1, **sizes_for(Type.Q4_1), block_size=256)
    prompts = [random_tokens(length, seed=length) for length in (3, 150, 1, 40, 17)]
    together, alone = native.new_cache(5), native.new_cache(5)
    for row, prompt in enumerate(prompts):
        prefill(native, together, row, prompt)
        prefill(native, alone, row, prompt)
    rows = (4, 0, 2, 1, 3)
    batch = decode(native, together, rows, (5, 6, 7, 8, 9))
    for index, row in enumerate(rows):
        single = decode(native, alone, (row,), (5 + index,))[0]
        assert torch.equal(batch[index], single)
    assert together.lengths == alone.lengths == [len(prompt) + 1 for prompt in prompts]


def test_the_number_of_threads_changes_no_bit() -> None:
    tokens = random_tokens(200)
    results = []
    for threads in (1, 2, 3, 7):
        native, _ = pair(Type.Q4_1, threads=threads, **sizes_for(Type.Q4_1), block_size=512)
        cache = native.new_cache()
        first = prefill(native, cache, 0, tokens)
        results.append(torch.stack([first, *(decode(native, cache, (0,), (t,))[0] for t in range(20))]))
    for other in results[1:]:
        assert torch.equal(results[0], other)


def test_a_row_can_be_cut_copied_and_cleared() -> None:
    native, _ = pair(Type.Q8_0, **sizes_for(Type.Q8_0), block_size=400)
    tokens = random_tokens(200)
    cache = native.new_cache(3)
    prefill(native, cache, 0, tokens)
    cache.copy_prefix(0, 2, 140)
    prefill(native, cache, 2, tokens[140:])
    cache.truncate(0, 10)
    again = prefill(native, cache, 0, tokens[10:])
    fresh = prefill(native, native.new_cache(), 0, tokens)
    assert distance(again, fresh) < 1e-4
    assert distance(decode(native, cache, (2,), (1,))[0], decode(native, cache, (0,), (1,))[0]) < 1e-4
    cache.clear()
    assert cache.lengths == [0, 0, 0]
    with pytest.raises(ValueError, match="holds 0 tokens"):
        cache.copy_prefix(0, 1, 1)


def test_a_full_row_refuses_and_stays_as_it_was() -> None:
    native, _ = pair(Type.Q8_0, **sizes_for(Type.Q8_0))
    cache = native.new_cache(1, 20)
    prefill(native, cache, 0, random_tokens(18))
    with pytest.raises(CacheOverflowError, match="holds 20 tokens"):
        prefill(native, cache, 0, random_tokens(3))
    assert cache.lengths == [18]
    with pytest.raises(ValueError, match="vocabulary"):
        decode(native, cache, (0,), (96,))


def test_generates_what_pytorch_generates() -> None:
    native, reference = pair(Type.F32)
    prompt = random_tokens(9)
    assert list(native.generate(prompt, 30, temperature=0)) == list(
        reference.generate(prompt, 30, temperature=0)
    )


def test_wrong_tensors_are_refused_in_a_sentence() -> None:
    model = random_model("llama")
    state = dict(model.named_parameters())
    with pytest.raises(ValueError, match="lacks the tensor"):
        NativeModel.from_state(model.config, [])
    with pytest.raises(ValueError, match="another architecture"):
        NativeModel.from_state(model.config, [("transformer.extra", torch.zeros(2))])
    state["transformer.ln_f.weight"] = torch.zeros(3)
    with pytest.raises(ValueError, match=r"is \(3,\), the config needs \(64,\)"):
        NativeModel.from_state(model.config, [(name, tensor.detach()) for name, tensor in state.items()])
