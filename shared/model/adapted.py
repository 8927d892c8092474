"""A LoRA adapter in PyTorch: beside the weights, never merged into them, so that taking it off is exact."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shared.model.adapter import Adapter
from shared.model.gpt import GPT

JOINED = {"c_qkv": ("c_q", "c_k", "c_v"), "w12": ("w1", "w2")}
"""Layers that `shared.model.packing` makes of several: their outputs lie one after the other."""


class AdaptedLinear(nn.Module):
    """A linear layer, plain or packed, plus scale * B (A x) on some of its outputs; for inference."""

    def __init__(self, base: nn.Module, parts: Iterable[tuple[int, Tensor, Tensor]], scale: float) -> None:
        """`parts` are first output, A (rank, in) and B (out, rank)."""
        super().__init__()
        self.base, self.parts, self.scale = base, tuple(parts), scale

    def forward(self, x: Tensor) -> Tensor:
        """x is (…, in); returns (…, out)."""
        y = self.base(x)
        for first, a, b in self.parts:
            y[..., first : first + len(b)] += self.scale * F.linear(F.linear(x, a), b)
        return y


@torch.no_grad()
def attach(model: GPT, adapter: Adapter | None) -> None:
    """Put an adapter in the place of the one before, or take that off (None)."""
    pairs = {} if adapter is None else {name: (a, b) for name, a, b in adapter.pairs()}
    shapes = model.config.linear_shapes
    for number, block in enumerate(model.transformer["h"]):
        for side, owner in (("attn", block.attn), ("mlp", block.mlp)):
            for name, child in list(owner.named_children()):
                base = child.base if isinstance(child, AdaptedLinear) else child
                parts, first = [], 0
                for member in JOINED.get(name, (name,)):
                    leaf = f"{side}.{member}"
                    if pair := pairs.get(f"transformer.h.{number}.{leaf}"):
                        parts.append((first, *(one.to(model.device, model.dtype) for one in pair)))
                    first += shapes.get(leaf, (0, 0))[0]
                if adapter is not None and parts:
                    setattr(owner, name, AdaptedLinear(base, parts, adapter.info.scale))
                elif base is not child:
                    setattr(owner, name, base)
