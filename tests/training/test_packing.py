"""A packed row gives what each of its conversations gives alone: logits, losses and gradients."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F

from shared.model.config import GPTConfig
from shared.model.gpt import GPT, Step
from training.attention import RowAttention
from training.loss import summed_cross_entropy
from training.mixture import Mixture
from training.packing import Row, RowStep, dense_mask, later, make_row, plan_rows, row_loss
from training.rendering import Sample

CONFIG = GPTConfig(block_size=128, vocab_size=64, n_layer=2, n_head=4, n_kv_head=2, n_embd=32, token_limit=64)


def model(seed: int = 0) -> GPT:
    torch.manual_seed(seed)
    made = GPT(CONFIG)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return made


def samples(heads: Sequence[int], seed: int = 0) -> list[Sample]:
    """Conversations with a head of the given length each, its tokens always the same."""
    draw = random.Random(seed)
    made = []
    for head in heads:
        ids = [i % 64 for i in range(7, 7 + head)] + [draw.randrange(64) for _ in range(draw.randint(6, 20))]
        made.append(Sample(tuple(ids), ((head + 2, head + 4), (len(ids) - 2, len(ids)))))
    return made


def alone(gpt: GPT, sample: Sample) -> torch.Tensor:
    return gpt(torch.tensor([sample.ids]))[0]


def packed_logits(gpt: GPT, row: Row, dense: bool) -> torch.Tensor:
    step = RowStep(gpt.rotary, row)
    if dense:
        step.mask = dense_mask(step.sizes)
    return gpt.head(gpt.hidden(torch.tensor([row.ids]), step))[0]


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("heads", [(10, 10, 10), (0, 0), (9,), (12, 5, 12)])
def test_packed_logits_equal_unpacked_ones(heads: tuple[int, ...], dense: bool) -> None:
    gpt, given = model(), samples(heads)
    row = make_row(given)
    logits = packed_logits(gpt, row, dense)
    start = row.head
    for sample, length in zip(given, row.lengths, strict=True):
        expected = alone(gpt, sample)
        torch.testing.assert_close(logits[start : start + length], expected[row.head :], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(logits[: row.head], expected[: row.head], atol=1e-5, rtol=1e-4)
        start += length


def test_the_head_is_shared_up_to_the_first_place_that_predicts_a_learned_token() -> None:
    given = [Sample((1, 2, 3, 4, 5, 6), ((4, 6),)), Sample((1, 2, 3, 4, 9, 8), ((4, 6),))]
    row = make_row(given)
    assert (row.head, row.lengths, row.ids) == (3, (3, 3), (1, 2, 3, 4, 5, 6, 4, 9, 8))
    assert [row.ids[i] for i in row.predictors] == [4, 5, 4, 9]
    assert row.targets == (5, 6, 9, 8)


def test_gradients_of_a_row_are_the_sum_of_those_alone() -> None:
    gpt, given = model(), samples((10, 10, 10, 3))
    row_loss(gpt, make_row(given)).backward()
    packed = [parameter.grad for parameter in gpt.parameters()]
    gpt.zero_grad()
    gpt.requires_grad_(True)
    for sample in given:
        logits = alone(gpt, sample)
        for start, end in sample.learned:
            target = torch.tensor(sample.ids[start:end])
            F.cross_entropy(logits[start - 1 : end - 1], target, reduction="sum").backward(retain_graph=True)
    for parameter, gradient in zip(gpt.parameters(), packed, strict=True):
        torch.testing.assert_close(gradient, parameter.grad, atol=2e-4, rtol=1e-3)


def test_attention_by_hand_has_the_gradient_of_its_function() -> None:
    torch.manual_seed(0)
    sizes = [3, 2, 4]
    hidden = [later(3, 3), later(2, 5), later(4, 7)]
    q, k, v = (torch.randn(1, heads, 9, 4, requires_grad=True) for heads in (4, 2, 2))
    step = Step.__new__(RowStep)
    step.mask = dense_mask(sizes)
    expected = Step.attend(step, q, k, v)
    torch.testing.assert_close(RowAttention.apply(q, k, v, sizes, hidden), expected)
    direction = torch.randn_like(expected)
    wanted = torch.autograd.grad(expected, (q, k, v), direction)
    got = torch.autograd.grad(RowAttention.apply(q, k, v, sizes, hidden), (q, k, v), direction)
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_cross_entropy_in_chunks_is_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.loss.CHUNK_LOGITS", 3 * 50)
    torch.manual_seed(0)
    hidden, weight = torch.randn(10, 8, requires_grad=True), torch.randn(50, 8, requires_grad=True)
    targets = torch.randint(0, 50, (10,))
    expected = F.cross_entropy(hidden @ weight.T, targets, reduction="sum")
    loss = summed_cross_entropy(hidden, weight, targets)
    torch.testing.assert_close(loss, expected)
    for one, other in zip(
        torch.autograd.grad(loss * 3, (hidden, weight)),
        torch.autograd.grad(expected * 3, (hidden, weight)),
        strict=True,
    ):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_rows_hold_every_sample_once_and_are_not_longer_than_asked() -> None:
    given = samples([10] * 30)
    rows = plan_rows(given, 100)
    assert sum(len(row.lengths) for row in rows) == 30
    assert sum(len(row.targets) for row in rows) == sum(sample.n_learned for sample in given)
    assert all(len(row.ids) <= 100 for row in rows)
    assert len(plan_rows([given[0]], 5)) == 1  # too long for any row: one of its own


def test_an_epoch_meets_every_dialogue_once_and_is_drawn_by_seed_alone() -> None:
    from training_helpers import DIALOGUES

    from training.dialogues import Dialogue, read_dialogues

    met: list[tuple[str, bool, bool]] = []

    def render(dialogue: Dialogue, persona: bool, examples: bool) -> list[Sample]:
        met.append((dialogue.id, persona, examples))
        return samples((4,))

    dialogues = read_dialogues([DIALOGUES])
    mixture = Mixture(dialogues, dialogues[:2], render, 0.3, 0.25, 5, 500, seed=1)
    assert (mixture.n_replayed, mixture.steps) == (4, 4)

    def epoch(number: int) -> list[tuple[str, bool, bool]]:
        met.clear()
        for step in range(4):
            mixture.rows(4 * number + step)
        return list(met)

    first = epoch(0)
    assert sorted(name for name, persona, _ in first if persona) == [dialogue.id for dialogue in dialogues]
    assert sum(not persona for _, persona, _ in first) == 4
    assert any(examples for *_, examples in first)
    assert epoch(0) == first
    assert epoch(1) != first
