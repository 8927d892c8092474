"""Gradients against the libraries that everybody uses: peft for LoRA, transformers for all weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from shared.model.adapter import TARGETS
from shared.model.gpt import GPT
from shared.model.hub_folder import hub_tensors, read_hub_config
from training.lora import add_lora, load_values
from training.optimiser import make_optimiser, scheduled_rate, set_rate
from training.packing import make_row, row_loss
from training.rendering import Sample

FOLDER = Path(__file__).parents[1] / "model" / "hub_vectors" / "llama"
THEIRS = {
    "attn.c_q": "self_attn.q_proj",
    "attn.c_k": "self_attn.k_proj",
    "attn.c_v": "self_attn.v_proj",
    "attn.c_proj": "self_attn.o_proj",
    "mlp.w1": "mlp.gate_proj",
    "mlp.w2": "mlp.up_proj",
    "mlp.c_proj": "mlp.down_proj",
}
IDS = tuple(torch.randint(0, 256, (24,), generator=torch.Generator().manual_seed(1)).tolist())
SAMPLE = Sample(IDS, ((10, 24),))


def ours() -> GPT:
    config = read_hub_config(FOLDER)
    return GPT.from_state(config, hub_tensors(FOLDER, config.tied_head), dtype=torch.float32)


def their_loss(model: torch.nn.Module) -> torch.Tensor:
    logits = model(input_ids=torch.tensor([IDS])).logits[0]
    return F.cross_entropy(logits[9:23], torch.tensor(IDS[10:]), reduction="sum")


def test_lora_learns_what_peft_learns() -> None:
    peft = pytest.importorskip("peft", reason="in the dev extra from Python 3.11 on")
    transformers = pytest.importorskip("transformers", reason="in the dev extra from Python 3.11 on")
    base = transformers.LlamaForCausalLM.from_pretrained(FOLDER, dtype=torch.float32)
    options = peft.LoraConfig(
        r=4, lora_alpha=8, target_modules=list({name.split(".")[1] for name in THEIRS.values()})
    )
    theirs = peft.get_peft_model(base, options)
    model = ours()
    parameters = add_lora(model, 4, 8.0, TARGETS, seed=3)
    generator = torch.Generator().manual_seed(0)
    load_values(
        parameters, {name: 0.1 * torch.randn(p.shape, generator=generator) for name, p in parameters.items()}
    )
    pairs = {}
    layers = dict(theirs.named_parameters())
    for name, parameter in parameters.items():
        _, _, number, rest = name.split(".", 3)
        target, _, half = rest.rpartition(".lora_")
        their_name = (
            f"base_model.model.model.layers.{number}.{THEIRS[target]}.lora_{half.upper()}.default.weight"
        )
        pairs[name] = layers[their_name]
        with torch.no_grad():
            layers[their_name].copy_(parameter)
    loss, expected = row_loss(model, make_row([SAMPLE])), their_loss(theirs)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    expected.backward()
    assert len(pairs) == 2 * len(TARGETS) * model.config.n_layer
    for name, other in pairs.items():
        torch.testing.assert_close(parameters[name].grad, other.grad, atol=1e-5, rtol=1e-3, msg=name)


def test_all_weights_learn_what_transformers_learns() -> None:
    transformers = pytest.importorskip("transformers", reason="in the dev extra from Python 3.11 on")
    from shared.model.hub_folder import akane_name

    theirs = transformers.LlamaForCausalLM.from_pretrained(FOLDER, dtype=torch.float32)
    model = ours().requires_grad_(True)
    row_loss(model, make_row([SAMPLE])).backward()
    their_loss(theirs).backward()
    compared = 0
    own = dict(model.named_parameters())
    for name, parameter in theirs.named_parameters():
        torch.testing.assert_close(own[akane_name(name)].grad, parameter.grad, atol=1e-5, rtol=1e-3, msg=name)
        compared += 1
    assert compared == len(own)


def test_lora_starts_as_its_base_and_only_it_learns() -> None:
    model = ours()
    tokens = torch.tensor([IDS])
    before = model(tokens)
    parameters = add_lora(model, 4, 8.0, ("attn.c_q", "mlp.w1"))
    assert torch.equal(model(tokens), before)
    assert {name for name, p in model.named_parameters() if p.requires_grad} == set(parameters)
    assert all(parameter.dtype == torch.float32 for parameter in parameters.values())


def test_dropout_is_of_the_adapter_alone_and_off_when_judging() -> None:
    model = ours()
    parameters = add_lora(model, 4, 8.0, TARGETS, dropout=0.5)
    tokens, row = torch.tensor([IDS]), make_row([SAMPLE])
    base = model.eval()(tokens)
    model.train()
    assert torch.equal(
        model(tokens), base
    )  # B is zero: whatever is dropped of the adapter's input counts nothing
    load_values(parameters, {name: torch.full_like(p, 0.05) for name, p in parameters.items()})
    torch.manual_seed(0)
    one, other = row_loss(model, row), row_loss(model, row)
    assert one != other
    one.backward()
    assert all(parameter.grad is not None for parameter in parameters.values())
    model.eval()
    assert row_loss(model, row) == row_loss(model, row)


def test_the_rate_rises_then_falls() -> None:
    rates = [scheduled_rate(step, 100, 1.0, 10, 0.1) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == pytest.approx(1.0)
    assert max(rates) <= 1.0
    assert rates[-1] == pytest.approx(0.1)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_groups_decay_matrices_and_slow_the_embedding() -> None:
    model = ours().requires_grad_(True)
    optimiser = make_optimiser(dict(model.named_parameters()), 0.1)
    set_rate(optimiser, 1.0)
    facts = {
        id(p): (group["lr"], group["weight_decay"])
        for group in optimiser.param_groups
        for p in group["params"]
    }
    block = model.transformer["h"][0]
    assert facts[id(model.transformer["wte"].weight)] == (0.1, 0.0)
    assert facts[id(block.attn.c_q.weight)] == (1.0, 0.1)
    assert facts[id(block.ln_1.weight)] == (1.0, 0.0)
