"""An adapter beside the weights: in PyTorch against merged weights, in the native engine against PyTorch."""

from __future__ import annotations

import copy

import pytest
import torch
from model_helpers import FAMILIES, random_model, random_tokens
from native_helpers import Type, distance, pair
from test_native import TARGETS as PROCESSORS

from benchmarks.random_adapter import random_adapter
from shared.model.adapter import Adapter
from shared.model.generate import decode, prefill
from shared.model.gpt import GPT
from shared.model.packing import can_pack, pack


def ids(count: int = 40) -> torch.Tensor:
    return torch.tensor([random_tokens(count, seed=0)])


def merged(model: GPT, adapter: Adapter) -> GPT:
    """W + alpha / rank * B A instead of the side path."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        for name, a, b in adapter.pairs():
            other.get_submodule(name).weight += adapter.info.scale * (b.float() @ a.float())
    return other


@pytest.mark.parametrize("family", FAMILIES)
def test_the_side_path_is_what_merged_weights_compute(family: str) -> None:
    model = random_model(family)
    adapter = random_adapter(model.config)
    with torch.inference_mode():
        plain, expected = model(ids()), merged(model, adapter)(ids())
        model.set_adapter(adapter)
        assert distance(model(ids()), expected) < 1e-4
        assert distance(plain, expected) > 0.3
        model.set_adapter(None)
        assert torch.equal(model(ids()), plain)


def test_another_adapter_takes_the_place_of_the_first() -> None:
    model = random_model()
    first = random_adapter(model.config, targets=("attn.c_q", "mlp.c_proj"))
    second = random_adapter(model.config, targets=("attn.c_q", "attn.c_v"), seed=2)
    with torch.inference_mode():
        expected = merged(model, second)(ids())
        model.set_adapter(first)
        model.set_adapter(second)
        assert distance(model(ids()), expected) < 1e-4


@pytest.mark.parametrize("targets", [("attn.c_k",), ("attn.c_q", "attn.c_v", "mlp.w2"), ("mlp.c_proj",)])
def test_joined_layers_are_adapted_where_their_parts_are(targets: tuple[str, ...]) -> None:
    model = random_model().bfloat16()
    if not can_pack(model):
        pytest.skip("this build of torch cannot pack")
    adapter = random_adapter(model.config, targets=targets)
    with torch.inference_mode():
        plain = model(ids()).float()
        model.set_adapter(adapter)
        expected = model(ids()).float()
        model.set_adapter(None)
        pack(model)
        model.set_adapter(adapter)
        apart = distance(model(ids()).float(), expected)
    assert apart < 0.1 < distance(plain, expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_native_side_path_gives_the_logits_of_pytorch(family: str) -> None:
    native, reference = pair(Type.F32, family)
    adapter = random_adapter(native.config)
    plain = native(ids())
    native.set_adapter(adapter)
    reference.set_adapter(adapter)
    with torch.inference_mode():
        expected = reference(ids())
    assert distance(native(ids()), expected) < 3e-3  # keys and values are float16
    assert distance(plain, expected) > 0.3
    native.set_adapter(None)
    assert torch.equal(native(ids()), plain)


@pytest.mark.parametrize("target", PROCESSORS)
@pytest.mark.parametrize("rank", [1, 16, 40, 64])
def test_every_rank_on_every_processor(rank: int, target: str) -> None:
    native, reference = pair(Type.F32, "llama", target=PROCESSORS[target], n_embd=72, n_head=6, n_kv_head=3)
    adapter = random_adapter(native.config, rank=rank)
    native.set_adapter(adapter)
    reference.set_adapter(adapter)
    with torch.inference_mode():
        assert distance(native(ids()), reference(ids())) < 3e-3


@pytest.mark.parametrize(
    "targets", [("attn.c_q",), ("attn.c_k", "mlp.w2"), ("attn.c_proj",), ("mlp.c_proj",)]
)
def test_some_layers_only(targets: tuple[str, ...]) -> None:
    native, reference = pair(Type.F32)
    adapter = random_adapter(native.config, targets=targets, spread=0.2)
    native.set_adapter(random_adapter(native.config, seed=9))  # of which nothing may stay
    native.set_adapter(adapter)
    reference.set_adapter(adapter)
    with torch.inference_mode():
        assert distance(native(ids()), reference(ids())) < 3e-3


def test_an_adapter_of_one_layer() -> None:
    native, reference = pair(Type.F32, n_layer=3)
    whole = random_adapter(native.config, spread=0.2)
    adapter = Adapter(whole.info, {name: one for name, one in whole.tensors.items() if ".h.1." in name})
    native.set_adapter(adapter)
    reference.set_adapter(adapter)
    with torch.inference_mode():
        assert distance(native(ids()), reference(ids())) < 3e-3


def test_four_bits_stay_as_they_are_below_the_adapter() -> None:
    native, reference = pair(Type.Q4_1, intermediate_size=96)
    adapter = random_adapter(native.config)
    with torch.inference_mode():
        cost_of_rounding = distance(native(ids()), reference(ids()))
        native.set_adapter(adapter)
        reference.set_adapter(adapter)
        assert distance(native(ids()), reference(ids())) < 2 * cost_of_rounding + 0.02


def test_neither_threads_nor_company_change_a_bit() -> None:
    results = []
    for threads in (1, 2, 5):
        native, _ = pair(Type.Q4_1, threads=threads, intermediate_size=96, block_size=256)
        native.set_adapter(random_adapter(native.config))
        together, alone = native.new_cache(5), native.new_cache(5)
        for row in range(5):
            prompt = random_tokens(1 + 37 * row, seed=row)
            prefill(native, together, row, prompt)
            prefill(native, alone, row, prompt)
        batch = decode(native, together, (4, 0, 2, 1, 3), (5, 6, 7, 8, 9))
        for index, row in enumerate((4, 0, 2, 1, 3)):
            assert torch.equal(batch[index], decode(native, alone, (row,), (5 + index,))[0])
        results.append(batch)
    assert all(torch.equal(results[0], other) for other in results[1:])


def test_chunks_of_a_prompt_and_single_tokens_give_the_same() -> None:
    native, _ = pair(Type.Q8_0, block_size=512, intermediate_size=96)
    native.set_adapter(random_adapter(native.config))
    tokens = ids(300)
    whole, cache = native(tokens)[0], native.new_cache(1, 512)
    for begin in range(0, 290, 77):
        prefill(native, cache, 0, tokens[0, begin : min(begin + 77, 290)].tolist())
    steps = [decode(native, cache, (0,), (int(token),))[0] for token in tokens[0, 290:]]
    assert distance(torch.stack(steps), whole[290:]) < 1e-4
