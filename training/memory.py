"""What a pre-training step takes, before it is taken: a run that cannot fit says so, and what would."""

from __future__ import annotations

from dataclasses import dataclass

import psutil
import torch

from shared.model.config import GPTConfig
from training.errors import TrainingError
from training.loss import chunk_logits

PROCESS_BYTES = 350_000_000
"""Python, torch and what it keeps for itself."""


@dataclass(frozen=True)
class Needs:
    """Of one step, in bytes."""

    fixed: int
    """Weights, gradients, optimiser, a chunk of logits."""
    row: int
    """Kept for the backward pass, for each row of a pass."""

    def total(self, rows: int) -> int:
        """Of passes of so many rows."""
        return self.fixed + rows * self.row


def step_needs(
    config: GPTConfig, context: int, muon: bool, autocast: bool, checkpointing: bool, device_type: str
) -> Needs:
    """Estimated from the tensors that a pass keeps; measured steps lie within a fifth of it."""
    count = config.parameter_count
    matrices = config.n_layer * sum(out * into for out, into in config.linear_shapes.values())
    moments = 4 * (count - matrices) * 2 + 4 * matrices * (1 if muon else 2)
    halves = 2 * count if autocast else 0  # autocast keeps its bfloat16 copies until the pass is over
    logits = 6 * chunk_logits(device_type, True)
    fixed = PROCESS_BYTES + 8 * count + moments + halves + logits
    heads = config.head_size * (config.n_head + config.n_kv_head)
    kept = 2 if autocast else 4
    # Float32: the residual stream before each norm, rotary's inputs. Compute type: every other product.
    layer = 4 * (2 * config.n_embd + 2 * heads)
    layer += kept * (3 * config.n_embd + 4 * heads + 5 * config.hidden_size)
    whole_model = 4 * config.n_embd * config.n_layer + layer if checkpointing else config.n_layer * layer
    return Needs(fixed, context * (whole_model + 4 * 4 * config.n_embd))


def free_bytes(device: torch.device) -> int:
    """Memory that a run could still take there."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def require_memory(needs: Needs, rows: int, free: int, shares: int) -> None:
    """Raise TrainingError, with what would fit, when passes of so many rows do not.

    `shares` are the processes that divide the memory among them.
    """
    mine = free // shares
    if needs.total(rows) <= mine:
        return
    fitting = (mine - needs.fixed) // needs.row
    advice = f"--batch {fitting} fits"
    if fitting < 1:
        advice = "take a smaller model or --context, --checkpointing, or --parallel fsdp on more processes"
    takes, free_gb = needs.total(rows) / 1e9, mine / 1e9
    raise TrainingError(
        f"A pass of {rows} rows takes about {takes:.1f} GB and {free_gb:.1f} GB are free: {advice}."
    )
