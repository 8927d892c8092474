"""Packed weights give the same answers as plain ones."""

from __future__ import annotations

import pytest
import torch
from model_helpers import FAMILIES, random_model, random_tokens

from shared.model.generate import decode, prefill
from shared.model.packing import PackedLinear, can_pack, pack

needs_packing = pytest.mark.skipif(
    not can_pack(random_model().bfloat16()), reason="this build of torch has no oneDNN with bfloat16"
)


@needs_packing
@pytest.mark.parametrize("family", FAMILIES)
def test_packed_equals_plain(family: str) -> None:
    plain, packed = random_model(family).bfloat16(), random_model(family).bfloat16()
    assert pack(packed)
    tokens = random_tokens(9)
    with torch.inference_mode():
        wanted = plain(torch.tensor([tokens])).float().log_softmax(-1)
        got = packed(torch.tensor([tokens])).float().log_softmax(-1)
    divergence = (wanted.exp() * (wanted - got)).sum(-1).max()
    assert divergence < 0.01
    cache = packed.new_cache()
    prefill(packed, cache, 0, tokens[:-1])
    last = decode(packed, cache, (0,), tokens[-1:])[0].float().log_softmax(-1)
    assert (wanted[0, -1].exp() * (wanted[0, -1] - last)).sum() < 0.01


@needs_packing
def test_no_plain_matrix_is_left_but_the_embedding() -> None:
    model = random_model("qwen2").bfloat16()
    pack(model)
    assert [name for name, one in model.named_parameters() if one.ndim == 2] == ["transformer.wte.weight"]
    assert sum(isinstance(module, PackedLinear) for module in model.modules()) == 2 * 4 + 1


def test_float32_is_left_alone() -> None:
    model = random_model()
    assert not pack(model)
    assert model(torch.tensor([[1, 2]])).shape == (1, 2, 96)


def test_a_build_without_the_operators_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise NotImplementedError("no such operator")

    monkeypatch.setattr(PackedLinear, "__init__", missing)
    model = random_model().bfloat16()
    assert not pack(model)
    assert model(torch.tensor([[1, 2]])).shape == (1, 2, 96)
