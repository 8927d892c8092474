"""AdamW with Akane's parameter groups, and the learning rate over a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import nn

SLOW = ("transformer.wte.", "lm_head.")
SLOW_SHARE = 0.1
"""Embedding and head learn at a tenth of the rate: their rows are seen rarely, and then pushed hard."""


def make_optimiser(
    parameters: Mapping[str, nn.Parameter],
    weight_decay: float,
    betas: tuple[float, float] = (0.9, 0.95),
    slow_share: float = SLOW_SHARE,
) -> torch.optim.AdamW:
    """AdamW (https://arxiv.org/abs/1711.05101) over named parameters; `set_rate` gives it a learning rate.

    Matrices are decayed; norms, biases, embedding and head are not. Each group's `share` multiplies the rate.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in parameters.items():
        is_slow = name.startswith(SLOW)
        share = slow_share if is_slow else 1.0
        decay = weight_decay if parameter.ndim >= 2 and not is_slow else 0.0
        groups.setdefault((share, decay), []).append(parameter)
    described = [
        {"params": members, "share": share, "weight_decay": decay}
        for (share, decay), members in groups.items()
    ]
    return torch.optim.AdamW(described, lr=0.0, betas=betas, eps=1e-8, fused=True)


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """The learning rate of the next step, each group at its share of it."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["share"]


DECAYS: dict[str, Callable[[float], float]] = {
    "cosine": lambda progress: 0.5 * (1 + math.cos(math.pi * progress)),
    "linear": lambda progress: 1 - progress,
}
"""How much of the way from floor to peak is left, by the share of the decay that is done."""


def scheduled_rate(
    step: int, total: int, peak: float, warmup: int, floor: float, decay: str = "cosine"
) -> float:
    """Rate of step 0 … total-1: linear up to `peak` in `warmup` steps, then down to floor * peak."""
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / max(1, total - 1 - warmup)
    return peak * (floor + (1 - floor) * DECAYS[decay](min(1.0, progress)))
