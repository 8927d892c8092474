"""The loss of a pre-training pass, what it costs, and when it stops a run."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from shared.model.config import GPTConfig
from shared.model.gpt import GPT
from training.checkpoints import Rule
from training.device_rate import card_peak, flops_per_token, measured_flops, quickest_dtype
from training.forward import DocumentStep, NextToken
from training.loop import RECENT, trouble
from training.loss import summed_cross_entropy
from training.optimiser import scheduled_rate

CONFIG = GPTConfig(
    block_size=24,
    vocab_size=64,
    n_layer=2,
    n_head=2,
    n_kv_head=1,
    n_embd=16,
    token_limit=None,
)
SHAPES = ((2, 4, 24, 8), (2, 2, 24, 8), (2, 2, 24, 8))
"""Of queries, keys and values of two rows."""


def model_and_tokens() -> tuple[GPT, torch.Tensor]:
    torch.manual_seed(0)
    model = GPT(CONFIG)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model, torch.randint(64, (3, 25))


def test_it_is_pytorchs_cross_entropy_with_its_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.loss.CHUNK_LOGITS", 7 * 64)  # chunks that end within a row
    model, ids = model_and_tokens()
    inputs, targets = ids[:, :-1], ids[:, 1:].clone()
    targets[0, :9] = targets[2, 20:] = -100
    loss = NextToken(model, False)(inputs, targets)
    loss.backward()
    found = {name: one.grad for name, one in model.named_parameters()}
    model.zero_grad()
    wanted = F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten(), reduction="sum")
    wanted.backward()
    assert float(loss) == pytest.approx(float(wanted), rel=1e-5)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, atol=1e-4, rtol=1e-4, msg=name)


def test_the_heads_gradient_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def zeros_like(like: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        zeros = torch.zeros(like.shape, dtype=dtype)
        made.append(zeros.data_ptr())
        return zeros

    monkeypatch.setattr("training.loss.torch.zeros_like", zeros_like)
    hidden, head = torch.randn(6, 8, requires_grad=True), torch.nn.Parameter(torch.randn(16, 8))
    summed_cross_entropy(hidden, head, torch.arange(6)).mul(0.5).backward()
    assert head.grad is not None
    assert made == [head.grad.data_ptr()]


def test_documents_of_a_row_do_not_see_each_other() -> None:
    model, ids = model_and_tokens()
    inputs, targets = ids[:1, :-1], ids[:1, 1:].clone()
    targets[0, 9] = -100  # the end of the first
    segments = torch.tensor([[0] * 10 + [1] * 14], dtype=torch.int32)
    together = NextToken(model, False)(inputs, targets, segments)
    apart = NextToken(model, False)
    alone = apart(inputs[:, :10], targets[:, :10]) + apart(inputs[:, 10:], targets[:, 10:])
    assert float(together) == pytest.approx(float(alone), rel=1e-5)
    assert float(together) != pytest.approx(float(apart(inputs, targets)), rel=1e-3)


def test_repeated_key_heads_as_cards_need_them_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    heads: list[int] = []
    attention = F.scaled_dot_product_attention

    def seen(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, **options: object) -> torch.Tensor:
        heads.append(k.shape[1])
        return attention(q, k, v, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(F, "scaled_dot_product_attention", seen)
    model, _ = model_and_tokens()
    step = DocumentStep(model.rotary, torch.tensor([[0] * 10 + [1] * 14] * 2, dtype=torch.int32))
    assert not step.repeats
    shared, repeated = (
        [
            torch.randn(shape, generator=torch.Generator().manual_seed(0), requires_grad=True)
            for shape in SHAPES
        ]
        for _ in range(2)
    )
    one = step.attend(*shared)
    step.repeats = True
    other = step.attend(*repeated)
    assert heads == [2, 4]
    torch.testing.assert_close(one, other)
    for out in (one, other):
        out.square().sum().backward()
    for left, right in zip(shared, repeated, strict=True):
        torch.testing.assert_close(left.grad, right.grad)


def test_a_tokens_cost_is_six_a_weight_and_attention() -> None:
    config = GPTConfig()
    # 12 blocks of 768 x (2 x 768 + 2 x 384 + 3 x 2,048), a head of 50,304 x 768, 1,024 tokens of attention.
    weights = 12 * 768 * 8448 + 50304 * 768
    assert flops_per_token(config, 1024) == 6 * weights + 12 * 12 * 768 * 1024
    ticks = iter(range(100))
    assert measured_flops(torch.device("cpu"), torch.float32, lambda: float(next(ticks))) == 4 * 1024**3


@pytest.mark.parametrize(
    ("rates", "picked", "quickest"),
    [
        ({"bfloat16": 190.0, "float32": 350.0}, torch.bfloat16, "float32"),
        ({"bfloat16": 700.0, "float32": 350.0}, torch.bfloat16, "bfloat16"),
        ({}, torch.float32, "float32"),  # nothing is tried where there are no instructions for it
    ],
)
def test_a_cpu_computes_in_what_it_multiplies_faster(
    rates: dict[str, float], picked: torch.dtype, quickest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(device: torch.device, dtype: torch.dtype) -> float:
        return rates[str(dtype).removeprefix("torch.")]

    monkeypatch.setattr("training.device_rate.pick_dtype", lambda device: picked)
    monkeypatch.setattr("training.device_rate.measured_flops", measured)
    assert quickest_dtype(torch.device("cpu")) == quickest


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA A10G", 70e12),
        ("NVIDIA A40", 150e12),
        ("NVIDIA RTX A4000", 0.0),
        ("NVIDIA RTX A1000", 0.0),
        ("Voodoo 2", 0.0),
    ],
)
def test_a_card_is_known_by_a_word_of_its_name(name: str, peak: float) -> None:
    assert card_peak(name) == peak


def test_trouble_is_no_number_or_a_leap() -> None:
    calm = [2.0] * RECENT
    wrong, advice = trouble(3.1, 1.0, calm, 1.0)
    assert (wrong, "--spike 0" in advice) == ("The loss leaps up", True)
    for loss, recent, spike in ((2.1, calm, 1.0), (3.1, calm[1:], 1.0), (3.1, calm, 0.0)):
        assert trouble(loss, 1.0, recent, spike) == ("", "")
    for loss, norm in ((math.nan, 1.0), (2.0, math.inf)):
        wrong, advice = trouble(loss, norm, calm, 1.0)
        assert (wrong, "--spike" in advice) == ("The loss is no longer a number", False)


def test_the_rate_may_fall_in_a_line() -> None:
    rates = [scheduled_rate(step, 101, 1.0, 1, 0.0, "linear") for step in range(101)]
    assert rates[0] == rates[1] == 1.0
    assert rates[51] == pytest.approx(0.5, abs=0.01)
    assert rates[-1] == 0.0


def test_a_rule_keeps_the_newest_and_each_nth() -> None:
    assert Rule().drops([10, 20, 30]) == [10, 20]
    assert Rule(2, 20).drops([40, 30, 20, 10]) == [10]
    assert Rule(3).drops([10, 20]) == []
