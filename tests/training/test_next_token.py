"""The loss of a pre-training pass, what it costs, and when it stops a run."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from shared.model.config import GPTConfig
from shared.model.gpt import GPT
from training.checkpoints import Rule
from training.device_rate import card_peak, flops_per_token, measured_flops
from training.errors import TrainingError
from training.forward import NextToken
from training.loop import RECENT, trouble
from training.memory import require_memory, step_needs
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


def test_a_tokens_cost_is_six_a_weight_and_attention() -> None:
    config = GPTConfig()
    # 12 blocks of 768 x (2 x 768 + 2 x 384 + 3 x 2,048), a head of 50,304 x 768, 1,024 tokens of attention.
    weights = 12 * 768 * 8448 + 50304 * 768
    assert flops_per_token(config, 1024) == 6 * weights + 12 * 12 * 768 * 1024
    assert card_peak("NVIDIA H100 80GB HBM3") == 989e12
    assert card_peak("NVIDIA H100 PCIe") == 756e12
    assert card_peak("Voodoo 2") == 0.0
    ticks = iter(range(100))
    assert measured_flops(torch.device("cpu"), torch.float32, lambda: float(next(ticks))) == 4 * 1024**3


def test_what_does_not_fit_says_what_would() -> None:
    needs = step_needs(GPTConfig(), 1024, True, True, False, "cpu")
    assert needs.total(4) - needs.total(3) == needs.row
    require_memory(needs, 4, needs.total(4), 1)
    with pytest.raises(TrainingError, match=r"^A pass of 4 rows takes about .* --batch 3 fits\.$"):
        require_memory(needs, 4, needs.total(4) - 1, 1)
    with pytest.raises(TrainingError, match="--batch 1 fits"):
        require_memory(needs, 4, 2 * needs.total(1), 2)
    with pytest.raises(TrainingError, match="take a smaller model"):
        require_memory(needs, 1, needs.fixed, 1)
    less = step_needs(GPTConfig(), 1024, True, True, True, "cpu")
    assert less.row < needs.row / 3
    assert step_needs(GPTConfig(), 1024, False, True, False, "cpu").fixed > needs.fixed


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
