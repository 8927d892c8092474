"""One model that takes a training step for every line it reads: ours, or nanoGPT's of the same size.

python -m benchmarks.pretrain_worker muon|adamw|update|nanogpt float32|bfloat16 ROWS CONTEXT PRESET

`update` is what Muon does between two passes, without them.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks import nanogpt
from benchmarks.peak import peak_bytes
from shared.model.config import GPTConfig
from shared.model.device import pick_device, set_threads
from shared.model.gpt import GPT
from training.allocator import keep_freed_memory
from training.arguments import PRESETS, parse
from training.distributed import World
from training.forward import NextToken
from training.loop import Run, State, one_step
from training.muon import muon_and_adamw
from training.optimiser import make_optimiser
from training.parallel import mean_gradients
from training.pretrain import Arguments, model_config

CONFIG = GPTConfig()
VOCABULARIES = {"nano": 4096}
"""Tokens of a preset's own vocabulary, as the documentation advises; else GPT-2's."""


def preset(name: str) -> tuple[Arguments, GPTConfig]:
    """What a run with a preset is asked, and its model."""
    asked = parse(Arguments, "", "", ["--preset", name], PRESETS / "pretrain")
    return asked, model_config(asked, VOCABULARIES.get(name, 50257))


def ours(
    rows: int, context: int, autocast: bool, device: torch.device, muon: bool, passes: int = 1
) -> Callable[[], object]:
    """The step of `training.pretrain`."""
    keep_freed_memory()
    world = World(device=str(device))
    model = GPT(CONFIG).to(device)
    parameters = dict(model.named_parameters())
    module = NextToken(model, autocast)
    run = Run(
        folder=Path(),
        world=world,
        parameters=parameters,
        optimisers=muon_and_adamw(parameters, 0.1, world) if muon else [make_optimiser(parameters, 0.1)],
        steps=1,
        rate_at=lambda _: 1e-4,
        batches_at=lambda _: (
            [(*_ids(rows, context, device), None) for _ in range(passes)],
            passes * rows * context,
            passes * rows * context,
        ),
        gradients_of=lambda batches, n_learned: mean_gradients(module, world, batches, n_learned),
        evaluate=dict,
        tell=lambda _: None,
        described={},
        seed=0,
        clip=1.0,
        evaluate_every=1,
    )
    return lambda: one_step(run, State(), 1e-4)


def update(device: torch.device) -> Callable[[], object]:
    """What Muon does in a step."""
    parameters = dict(GPT(CONFIG).to(device).named_parameters())
    muon = muon_and_adamw(parameters, 0.1, World(device=str(device)))[0]
    for parameter in parameters.values():
        parameter.grad = torch.randn_like(parameter)
    return muon.step


def theirs(rows: int, context: int, autocast: bool, device: torch.device) -> Callable[[], object]:
    """The step of nanoGPT's train.py."""
    model = nanogpt.NanoGPT(
        CONFIG.n_layer, CONFIG.n_head, CONFIG.n_embd, CONFIG.vocab_size, CONFIG.block_size
    )
    model = model.to(device)
    optimiser = nanogpt.optimiser_of(model)
    return lambda: nanogpt.step(model, optimiser, *_ids(rows, context, device), autocast)


def _ids(rows: int, context: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.randint(CONFIG.n_tokens, (rows, context + 1), device=device)
    return ids[:, :-1], ids[:, 1:]


def main() -> None:
    """Seconds of each step and the peak of this process's memory, a JSON object a line."""
    global CONFIG
    who, dtype, rows, context, name = sys.argv[1:]
    CONFIG = preset(name)[1]
    set_threads()
    device = pick_device()
    shape = (int(rows), int(context), dtype == "bfloat16", device)
    if who == "nanogpt":
        step = theirs(*shape)
    else:
        step = update(device) if who == "update" else ours(*shape, muon=who == "muon")
    for _ in sys.stdin:
        began = time.perf_counter()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize()
            peak = torch.cuda.max_memory_allocated()
        else:
            peak = peak_bytes(os.getpid())
        print(json.dumps({"seconds": time.perf_counter() - began, "peak_bytes": peak}), flush=True)


if __name__ == "__main__":
    main()
