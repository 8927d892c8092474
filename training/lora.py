"""LoRA (https://arxiv.org/abs/2106.09685): small float32 matrices learned beside frozen weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shared.model.adapter import Adapter, require_fits
from shared.model.gpt import GPT
from shared.model.loading import LoadedModel


class _LowRankLinear(torch.autograd.Function):
    """y = x W^T + bias + scale (z A^T) B^T, with z = x unless dropout made it another; W is never learned.

    Written by hand because autograd would keep and add one more tensor of y's size for every layer.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        z: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        a: Tensor,
        b: Tensor,
        scale: float,
    ) -> Tensor:
        a, b = a.to(x.dtype), b.to(x.dtype)
        inner = F.linear(z, a)
        y = F.linear(x, weight, bias)
        y.view(-1, y.shape[-1]).addmm_(inner.view(-1, inner.shape[-1]), b.T, alpha=scale)
        ctx.save_for_backward(x, z, weight, a, b, inner)
        ctx.scale = scale
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, z, weight, a, b, inner = ctx.saved_tensors
        dy = grads[0].reshape(-1, grads[0].shape[-1])
        d_inner = torch.mm(dy, b) * ctx.scale
        d_a = torch.mm(d_inner.T, z.view(-1, z.shape[-1])).float()
        d_b = torch.mm(dy.T, inner.view(-1, inner.shape[-1])).float() * ctx.scale
        dx = dz = None
        if ctx.needs_input_grad[0]:
            dx = torch.mm(dy, weight)
            if z is x:
                dx.addmm_(d_inner, a)
            dx = dx.view(x.shape)
        if ctx.needs_input_grad[1] and z is not x:
            dz = torch.mm(d_inner, a).view(z.shape)
        return dx, dz, None, None, d_a, d_b, None


class LoraLinear(nn.Module):
    """A frozen linear layer with `lora_a` (rank, in) and `lora_b` (out, rank) in float32 beside it."""

    def __init__(
        self, base: nn.Linear, rank: int, alpha: float, dropout: float, generator: torch.Generator
    ) -> None:
        """A starts as in Kaiming's uniform, B as zero: the layer starts as its base."""
        super().__init__()
        self.base, self.scale, self.dropout = base, alpha / rank, dropout
        bound = 1 / math.sqrt(base.in_features)
        a = torch.empty(rank, base.in_features).uniform_(-bound, bound, generator=generator)
        device = base.weight.device
        self.lora_a = nn.Parameter(a.to(device))
        self.lora_b = nn.Parameter(torch.zeros(base.out_features, rank, device=device))

    def forward(self, x: Tensor) -> Tensor:
        """x is (…, in); returns (…, out)."""
        z = F.dropout(x, self.dropout) if self.dropout and self.training else x
        weight, bias = self.base.weight, self.base.bias
        return _LowRankLinear.apply(x, z, weight, bias, self.lora_a, self.lora_b, self.scale)


def add_lora(
    model: GPT, rank: int, alpha: float, targets: Sequence[str], dropout: float = 0.0, seed: int = 0
) -> dict[str, nn.Parameter]:
    """Put LoRA beside the named linear layers of every block (`attn.c_q`) and freeze all else.

    Returns the new parameters by their names in an adapter file, `transformer.h.0.attn.c_q.lora_a` and so on.
    """
    model.requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    parameters: dict[str, nn.Parameter] = {}
    for number, block in enumerate(model.transformer["h"]):
        for target in targets:
            parent_name, _, leaf = target.rpartition(".")
            parent = block.get_submodule(parent_name)
            layer = LoraLinear(getattr(parent, leaf), rank, alpha, dropout, generator)
            setattr(parent, leaf, layer)
            name = f"transformer.h.{number}.{target}"
            parameters[f"{name}.lora_a"], parameters[f"{name}.lora_b"] = layer.lora_a, layer.lora_b
    return parameters


def add_adapter(loaded: LoadedModel, adapter: Adapter, dropout: float = 0.0) -> dict[str, nn.Parameter]:
    """`add_lora` in the shape of an adapter and with its values. Raises ModelError for another base."""
    model, info = loaded.model, adapter.info
    assert isinstance(model, GPT)
    require_fits(adapter, model.config, loaded.sha256)
    parameters = add_lora(model, info.rank, info.alpha, info.targets, dropout)
    load_values({name: parameters[name] for name in adapter.tensors}, adapter.tensors)
    return parameters


@torch.no_grad()
def load_values(parameters: Mapping[str, nn.Parameter], values: Mapping[str, Tensor]) -> None:
    """Set parameters by name; both mappings have the same names and shapes."""
    for name, parameter in parameters.items():
        parameter.copy_(values[name])
