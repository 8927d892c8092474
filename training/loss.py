"""Cross-entropy over a large vocabulary that keeps no logits: a chunk at a time, gradients made at once."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK_LOGITS = 1 << 23
"""Logits held at once, in float32 32 MB: few enough for a processor's cache, enough for its cores."""
CHUNK_LOGITS_ON_CARDS = 1 << 27
"""512 MB: few launches, each large enough for a card."""
LEARNED_CHUNKS = 2
"""So many at once where the head learns: each chunk adds to a gradient that is larger than itself."""


def chunk_logits(device_type: str, head_learns: bool) -> int:
    """Logits held at once."""
    if device_type != "cpu":
        return CHUNK_LOGITS_ON_CARDS
    return CHUNK_LOGITS * (LEARNED_CHUNKS if head_learns else 1)


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        wants_hidden, wants_weight = ctx.needs_input_grad[0], ctx.needs_input_grad[1]
        compute = hidden.dtype
        matrix = weight.to(compute)
        d_hidden = torch.empty_like(hidden) if wants_hidden else None
        d_weight = torch.zeros_like(weight, dtype=torch.float32) if wants_weight else None
        losses = torch.empty(hidden.shape[0], dtype=torch.float32, device=hidden.device)
        step = max(1, chunk_logits(hidden.device.type, wants_weight) // weight.shape[0])
        for start in range(0, hidden.shape[0], step):
            x, goal = hidden[start : start + step], targets[start : start + step, None]
            learned = goal >= 0
            goal = goal.clamp_min(0)
            log_p = torch.log_softmax(F.linear(x, matrix), -1, dtype=torch.float32)
            losses[start : start + step] = (-log_p.gather(1, goal) * learned)[:, 0]
            if not (wants_hidden or wants_weight):
                continue
            d_logits = log_p.exp_()
            d_logits.scatter_add_(1, goal, d_logits.new_full(goal.shape, -1.0))
            d_logits = d_logits.to(compute)
            if d_hidden is not None:
                torch.mm(d_logits, matrix, out=d_hidden[start : start + step])
                d_hidden[start : start + step] *= learned
            if d_weight is not None and compute == d_weight.dtype:
                d_weight.addmm_(d_logits.T, x * learned)  # no second matrix of that size
            elif d_weight is not None:
                d_weight += d_logits.T @ (x * learned)
        ctx.gradients = (d_hidden, d_weight)
        ctx.weight_dtype = weight.dtype
        return losses

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        d_hidden, d_weight = ctx.gradients
        ctx.gradients = None  # nobody else holds the head's gradient, so it is not copied into the parameter
        return (
            None if d_hidden is None else d_hidden * grads[0][:, None].to(d_hidden.dtype),
            # Summed in the forward pass: right where all losses count alike, as they do in a sum.
            None if d_weight is None else d_weight.mul_(grads[0][0]).to(ctx.weight_dtype),
            None,
        )


def summed_cross_entropy(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Sum over positions of -log p(target), in nats.

    `hidden` is (N, n_embd) after the last norm, `weight` (vocab_size, n_embd), `targets` (N,), below 0 where
    nothing is learned. Logits are computed in hidden's dtype, the rest in float32. The forward pass makes the
    gradient, softmax - onehot.
    """
    # A function of its own is not told that nobody wants gradients.
    learned = weight if torch.is_grad_enabled() else weight.detach()
    return _CrossEntropy.apply(hidden, learned, targets).sum()


def token_losses(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """What `summed_cross_entropy` sums, (N,), each free to count differently; `weight` learns nothing."""
    return _CrossEntropy.apply(hidden, weight.detach(), targets)
