"""Weights in 8 and 4 bits: the layers compute what their rounded weights say, and the card's shapes are legal."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from model_helpers import FAMILIES, random_model, random_tokens
from test_static_decode import Tape
from tiny_model import make_tiny_model
from torch import Tensor

from services.llm.inference import Inference
from services.llm.outputs import Ended
from shared.commands import ChatTurn, Generate
from shared.config import LlmSettings
from shared.model.errors import ModelError
from shared.model.generate import decode, prefill
from shared.model.gpt import GPT
from shared.model.static_decode import StaticDecoder
from shared.model.weight_only import (
    FEW_ROWS,
    GROUP,
    Bits,
    Int4Linear,
    Int8Linear,
    byte_pairs,
    fits_4_bits,
    inner_tiles,
    quantise,
    rounded_to_4_bits,
    rounded_to_8_bits,
)


def weights(out: int, size: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(out, size, generator=generator).bfloat16()


def said_by_8_bits(weight: Tensor) -> Tensor:
    codes, scales = rounded_to_8_bits(weight)
    return codes.float() * scales.float()[:, None]


def said_by_4_bits(weight: Tensor) -> Tensor:
    codes, both = rounded_to_4_bits(weight)
    out, size = weight.shape
    scales, zeros = (part.transpose(0, 1).float()[..., None] for part in both.unbind(-1))
    return ((codes.view(out, size // GROUP, GROUP).float() - 8) * scales + zeros).view(out, size)


@pytest.mark.parametrize("rows", [1, FEW_ROWS, FEW_ROWS + 1, 40])
@pytest.mark.parametrize("has_bias", [False, True])
def test_layers_compute_what_their_weights_say(rows: int, has_bias: bool) -> None:
    weight, x = weights(64, 96), weights(rows, 96, seed=1).view(1, rows, 96)
    bias = weights(1, 64, seed=2)[0] if has_bias else None
    for kind, said in ((Int8Linear, said_by_8_bits), (Int4Linear, said_by_4_bits)):
        wanted = x.float() @ said(weight).T + (bias.float() if bias is not None else 0.0)
        got = kind(weight, bias)(x)
        assert got.shape == (1, rows, 64)
        assert got.dtype == torch.bfloat16
        torch.testing.assert_close(got.float(), wanted, atol=0.3, rtol=0.01)


@given(st.integers(0, 2**31), st.sampled_from([0.001, 1.0, 300.0]))
@settings(max_examples=25, deadline=None)
def test_rounding_is_off_by_half_a_step_at_most(seed: int, spread: float) -> None:
    weight = (weights(16, 64, seed).float() * spread).bfloat16()
    step_8 = weight.float().abs().amax(1, keepdim=True) / 127
    assert bool(((said_by_8_bits(weight) - weight.float()).abs() <= 0.9 * step_8).all())
    groups = weight.float().view(16, 2, GROUP)
    step_4 = (groups.amax(-1) - groups.amin(-1))[..., None] / 15
    error = (said_by_4_bits(weight) - weight.float()).abs().view(16, 2, GROUP)
    assert bool((error <= 0.75 * step_4).all())


def test_a_group_on_a_grid_of_16_steps_is_kept() -> None:
    """GGUF's own 4-bit blocks lose nothing but their scale's last bits."""
    grid = torch.arange(16).repeat(16, 4).float() * 0.25 - 1.5
    assert torch.equal(said_by_4_bits(grid.bfloat16()), grid)


def test_zero_weights_stay_zero() -> None:
    nothing = torch.zeros(16, 64).bfloat16()
    assert said_by_8_bits(nothing).abs().max() == 0
    assert said_by_4_bits(nothing).abs().max() < 1e-6


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_quantised_model_is_the_model_of_its_rounded_weights(family: str, bits: Bits) -> None:
    model, reference = random_model(family).bfloat16(), random_model(family).bfloat16()
    quantise(model, bits)
    for name, parameter in reference.named_parameters():
        if ".h." in name and parameter.ndim == 2:
            said = said_by_4_bits if bits == 4 and fits_4_bits(parameter) else said_by_8_bits
            parameter.data = said(parameter.data)
    head = reference.transformer["wte"] if reference.lm_head is None else reference.lm_head
    reference.lm_head = torch.nn.Linear(64, 96, bias=False)
    reference.lm_head.weight.data = said_by_8_bits(head.weight.data)
    tokens = random_tokens(9)
    with torch.inference_mode():
        wanted = reference.float()(torch.tensor([tokens])).log_softmax(-1)
        got = model(torch.tensor([tokens])).float().log_softmax(-1)
    assert (wanted.exp() * (wanted - got)).sum(-1).mean() < 0.02  # bfloat16's own noise
    assert not [name for name, one in model.named_parameters() if one.ndim == 2 and "wte" not in name]


@pytest.mark.parametrize("bits", [8, 4])
def test_recorded_steps_run_on_them(bits: Bits) -> None:
    model = random_model().bfloat16()
    quantise(model, bits)
    plain, static = model.new_cache(batch=2), model.new_cache(batch=2)
    for cache in (plain, static):
        prefill(model, cache, 1, random_tokens(9))
    decoder = StaticDecoder(model, static, Tape())
    for token in (3, 4, 5):
        wanted, got = decode(model, plain, (1,), [token]), decoder((1,), [token])
        assert torch.allclose(got.float(), wanted.float(), atol=0.1)


@pytest.mark.parametrize("size", [576, 1536, 896, 1024, 2048, 4096, 4864, 8960, 14336])
def test_a_card_can_pack_the_sizes_of_our_presets(size: int) -> None:
    """The operator's own shape check, which runs without a card."""
    tiles = inner_tiles(size)
    codes = torch.zeros(64, size, dtype=torch.int32)
    packed = torch.ops.aten._convert_weight_to_int4pack(byte_pairs(codes).to("meta"), tiles)
    assert packed.shape == (8, size // (16 * tiles), 32, tiles // 2)


def test_bytes_hold_the_earlier_input_above() -> None:
    assert byte_pairs(torch.tensor([[1, 2, 15, 0]])).tolist() == [[0x12, 0xF0]]


def test_what_4_bits_cannot_take_has_8() -> None:
    assert inner_tiles(80) == 0
    assert not fits_4_bits(weights(64, 80))
    model = random_model("qwen3", n_embd=64).bfloat16()
    quantise(model, 4)
    kinds = {type(module) for module in model.modules() if isinstance(module, (Int4Linear, Int8Linear))}
    assert kinds == {Int4Linear, Int8Linear}


def test_float32_is_refused() -> None:
    with pytest.raises(ValueError, match="bfloat16 on cuda or cpu, not float32 on cpu"):
        quantise(random_model(), 8)


@pytest.mark.parametrize("bits", ["int8", "int4"])
def test_the_llm_speaks_with_them(tmp_path: Path, bits: str) -> None:
    path = make_tiny_model(tmp_path)
    settings_ = {"model": str(path), "device": "cpu", "threads": 1, "context": 256, "dtype": "bfloat16"}
    asked = LlmSettings.model_validate({**settings_, "quantise": bits})
    inference = Inference.load(asked)
    assert isinstance(inference.loaded.model, GPT)
    assert inference.stats().dtype == bits
    inference.submit(Generate(generation="a", messages=[ChatTurn(role="user", content="Hi")], max_tokens=20))
    outputs = []
    while inference.busy:
        outputs += inference.step()
    assert [one.reason for one in outputs if isinstance(one, Ended)] in (["stop"], ["length"])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"engine": "native"}, "native engine keeps the file's own bits"),
        ({"dtype": "float32"}, "needs bfloat16"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(
    tmp_path: Path, changes: dict[str, str], sentence: str
) -> None:
    path = make_tiny_model(tmp_path)
    settings_ = {"model": str(path), "device": "cpu", "threads": 1, "context": 256, "quantise": "int4"}
    with pytest.raises(ModelError, match=sentence):
        Inference.load(LlmSettings.model_validate({**settings_, **changes}))
