"""What a LoRA adapter of rank 16 on every linear layer costs the native engine, and how exact it is there.

The adapter is random: time does not depend on what it has learned. Without and with it in turns, in one
process.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import torch

from benchmarks.engine_worker import answer
from benchmarks.exactness import LogitsOf, chat_tokens, logits_of
from benchmarks.figures import Figure
from benchmarks.random_adapter import random_adapter
from shared.model.adapter import Adapter
from shared.model.device import physical_cores
from shared.model.loading import load_model
from shared.model.presets import DEFAULT_PRESET

RANK = 16
SPREAD = 0.03
"""Of both matrices: changes a reply about as much as training does, without destroying it."""
ROUNDS = 9
CONTEXT = 1024
ROWS = 8
TASKS: dict[str, dict[str, int]] = {
    "decode_60": {"context": 60, "tokens": 60},
    "batch_8": {"context": 60, "rows": ROWS, "tokens": 30},
    "prefill_512": {"prompt": 512},
}
TARGETS = {"decode_60": "at least 0.8 x"}


def run() -> list[Figure]:
    """All figures."""
    torch.set_num_threads(1)
    native = load_model(DEFAULT_PRESET, device="cpu", engine="native", offline=True)
    adapter = random_adapter(native.model.config, base_hash=native.sha256, rank=RANK, spread=SPREAD)
    cache, held = native.model.new_cache(ROWS, CONTEXT), [0] * ROWS
    figures = []
    for name, task in TASKS.items():
        seconds: tuple[list[float], list[float]] = ([], [])
        for _ in range(ROUNDS):
            for one, times in zip((None, adapter), seconds, strict=True):
                native.model.set_adapter(one)
                times.append(answer(native.model, cache, held, task))
        count = task.get("prompt", 0) + task.get("tokens", 0) * task.get("rows", 1)
        without, with_it = (count / statistics.median(times) for times in seconds)
        target = TARGETS.get(name, "")
        figures.append(Figure(f"adapter.{name}", with_it, "tokens/s", "without", without, target))
    native.model.set_adapter(adapter)
    conversations = chat_tokens(native.template)
    own = mean_loss(logits_of(native.model), conversations)
    return [*figures, _loss(own, adapter, conversations)]


def mean_loss(logits: LogitsOf, conversations: Sequence[Sequence[int]]) -> float:
    """Nats a token, teacher-forced, over all of them."""
    total, count = 0.0, 0
    for tokens in conversations:
        scores = logits(tokens)[:-1].log_softmax(-1)
        total -= float(scores.gather(-1, torch.tensor(tokens[1:])[:, None]).sum())
        count += len(tokens) - 1
    return total / count


def _loss(own: float, adapter: Adapter, conversations: Sequence[Sequence[int]]) -> Figure:
    """The reference is float32 on the dequantised weights with the adapter beside them, never merged."""
    torch.set_num_threads(physical_cores())
    reference = load_model(DEFAULT_PRESET, device="cpu", dtype="float32", offline=True)
    reference.model.set_adapter(adapter)
    expected = mean_loss(logits_of(reference.model), conversations)
    return Figure("adapter.heldout_loss", own, "nats", "float32 unmerged", expected, "within 1 %")
