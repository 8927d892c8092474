"""Akane's architecture against its committed vector, and every family against a slow reference."""

from __future__ import annotations

import pytest
import torch
from model_helpers import FAMILIES, random_model, random_tokens, vector
from torch import Tensor

from shared.model.config import GPTConfig
from shared.model.gpt import GPT

TOLERANCE = 1e-4


def test_logits_match_the_vector() -> None:
    model, expected = vector()
    with torch.inference_mode():
        logits = model(expected["input_ids"])
    assert (logits - expected["logits"]).abs().max() < TOLERANCE


@pytest.mark.parametrize(("name", "penalty"), [("greedy", 1.0), ("greedy_penalty_1.3", 1.3)])
def test_greedy_continuations_match_the_vector(name: str, penalty: float) -> None:
    model, expected = vector()
    prompt = expected["input_ids"][0].tolist()
    made = model.generate(prompt, 24, temperature=0.0, repetition_penalty=penalty)
    assert list(made) == expected[name].tolist()


def test_projections_are_zero_after_initialisation_and_nothing_else_is() -> None:
    model = GPT(GPTConfig(block_size=32, vocab_size=64, n_layer=2, n_head=2, n_kv_head=1, n_embd=32))
    matrices = {name: parameter for name, parameter in model.named_parameters() if parameter.ndim == 2}
    zero = {name for name, matrix in matrices.items() if not matrix.any()}
    assert zero == {
        f"transformer.h.{layer}.{part}.c_proj.weight" for layer in (0, 1) for part in ("attn", "mlp")
    }
    for name in set(matrices) - zero:
        assert matrices[name].std().item() == pytest.approx(0.02, rel=0.2)


def test_own_sizes_are_the_defaults() -> None:
    config = GPTConfig()
    assert (config.head_size, config.hidden_size, config.n_tokens) == (64, 2048, 50257)
    with torch.device("meta"):
        model = GPT(config)
    assert sum(parameter.numel() for parameter in model.parameters()) == config.parameter_count


@pytest.mark.parametrize("family", FAMILIES)
def test_parameter_count_of_a_family(family: str) -> None:
    model = random_model(family)
    assert sum(parameter.numel() for parameter in model.parameters()) == model.config.parameter_count


def slow_logits(model: GPT, tokens: list[int]) -> Tensor:
    """The same function written position by position in float64, without any module of the model."""
    config, weights = model.config, {name: p.detach().double() for name, p in model.named_parameters()}
    size, group = config.head_size, config.n_head // config.n_kv_head

    def norm(x: Tensor, name: str) -> Tensor:
        return x / (x.square().mean(-1, keepdim=True) + config.eps).sqrt() * weights[name]

    def rotate(x: Tensor, position: int) -> Tensor:
        out = x.clone()
        for pair in range(size // 2):
            a, b = (2 * pair, 2 * pair + 1) if config.rope_interleaved else (pair, pair + size // 2)
            angle = torch.tensor(position * config.rope_theta ** (-2 * pair / size), dtype=torch.float32)
            cos, sin = angle.cos(), angle.sin()
            if config.rope_dtype == "bfloat16":
                cos, sin = cos.bfloat16(), sin.bfloat16()
            out[..., a] = x[..., a] * cos.double() - x[..., b] * sin.double()
            out[..., b] = x[..., a] * sin.double() + x[..., b] * cos.double()
        return out

    def project(x: Tensor, name: str, heads: int) -> Tensor:
        y = weights[f"{name}.weight"] @ x
        if config.qkv_bias:
            y = y + weights[f"{name}.bias"]
        return y.view(heads, size)

    stream = [weights["transformer.wte.weight"][token] for token in tokens]
    if config.emb_norm:
        stream = [norm(x, "emb_norm.weight") for x in stream]
    for layer in range(config.n_layer):
        at = f"transformer.h.{layer}"
        keys: list[Tensor] = []
        values: list[Tensor] = []
        for position, x in enumerate(stream):
            inner = norm(x, f"{at}.ln_1.weight")
            q, k = (
                project(inner, f"{at}.attn.c_q", config.n_head),
                project(inner, f"{at}.attn.c_k", config.n_kv_head),
            )
            if config.qk_norm == "before_rope":
                q, k = norm(q, f"{at}.attn.q_norm.weight"), norm(k, f"{at}.attn.k_norm.weight")
            q, k = rotate(q, position), rotate(k, position)
            if config.qk_norm == "after_rope":
                q, k = norm(q, f"{at}.attn.q_norm.weight"), norm(k, f"{at}.attn.k_norm.weight")
            keys.append(k)
            values.append(project(inner, f"{at}.attn.c_v", config.n_kv_head))
            heads = []
            for head in range(config.n_head):
                scores = torch.stack([q[head] @ key[head // group] for key in keys]) / size**0.5
                shares = scores.softmax(0)
                heads.append(
                    sum(share * value[head // group] for share, value in zip(shares, values, strict=True))
                )
            stream[position] = x + weights[f"{at}.attn.c_proj.weight"] @ torch.cat(heads)
        for position, x in enumerate(stream):
            inner = norm(x, f"{at}.ln_2.weight")
            gate = weights[f"{at}.mlp.w1.weight"] @ inner
            hidden = gate * gate.sigmoid() * (weights[f"{at}.mlp.w2.weight"] @ inner)
            stream[position] = x + weights[f"{at}.mlp.c_proj.weight"] @ hidden
    head = weights["transformer.wte.weight" if config.tied_head else "lm_head.weight"]
    return torch.stack([head @ norm(x, "transformer.ln_f.weight") for x in stream])


@pytest.mark.parametrize("family", FAMILIES)
def test_family_equals_the_slow_reference(family: str) -> None:
    model, tokens = random_model(family), random_tokens(9)
    with torch.inference_mode():
        logits = model(torch.tensor([tokens]))[0]
    expected = slow_logits(model, tokens)
    assert (logits.double() - expected).abs().max() < TOLERANCE
    assert expected.std() > 0.1


def test_scaled_rope_keeps_fast_frequencies_and_slows_the_slowest() -> None:
    scaling = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_context": 32}
    plain, scaled = random_model("llama"), random_model("llama", rope_scaling=scaling)
    angle_plain = torch.atan2(plain.rotary.sin[1, 1::2], plain.rotary.cos[1, 1::2])
    angle_scaled = torch.atan2(scaled.rotary.sin[1, 1::2], scaled.rotary.cos[1, 1::2])
    ratio = angle_scaled / angle_plain
    assert ratio[0] == pytest.approx(1.0, abs=1e-5)
    assert ratio[-1] == pytest.approx(1 / 8, rel=1e-3)
    assert (ratio.diff() <= 1e-5).all()


def test_converting_the_model_keeps_rotary_tables_exact() -> None:
    model = random_model("llama")
    before = model.rotary.cos.clone()
    assert model.bfloat16().rotary.cos.equal(before)
    assert model(torch.tensor([[1, 2]])).dtype == torch.bfloat16


def test_bfloat16_model_is_close_to_float32() -> None:
    model, expected = vector()
    state = dict(model.named_parameters())
    half = GPT.from_state(model.config, state.items(), dtype=torch.bfloat16)
    with torch.inference_mode():
        logits = half(expected["input_ids"]).float()
    assert (logits.softmax(-1) - expected["logits"].softmax(-1)).abs().max() < 0.1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("emb_norm.weight"), "lacks the tensor 'emb_norm.weight'"),
        (lambda state: state.update({"evil.weight": torch.ones(1)}), "does not belong"),
        (
            lambda state: state.update({"emb_norm.weight": torch.ones(3)}),
            r"is \(3,\), the config needs \(64,\)",
        ),
    ],
)
def test_wrong_tensors_give_one_sentence(change, message: str) -> None:  # type: ignore[no-untyped-def]
    model, _ = vector()
    state = dict(model.named_parameters())
    change(state)
    with pytest.raises(ValueError, match=message):
        GPT.from_state(model.config, state)


def test_a_tensor_that_comes_twice_is_refused() -> None:
    model, _ = vector()
    pairs = [*model.named_parameters(), ("emb_norm.weight", torch.ones(64))]
    with pytest.raises(ValueError, match="comes twice"):
        GPT.from_state(model.config, pairs)


def test_more_tokens_than_the_context_are_refused() -> None:
    with pytest.raises(ValueError, match="65 tokens do not fit the context of 64"):
        random_model()(torch.zeros((1, 65), dtype=torch.long))
