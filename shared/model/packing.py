"""Linear layers in oneDNN's own memory layout: twice as fast for one token on a CPU. For inference only."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor, nn

from shared.model.gpt import GPT

log = logging.getLogger(__name__)


class PackedLinear(nn.Module):
    """A linear layer whose weight only oneDNN can read: it can't be trained, saved or moved."""

    packed: Tensor

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        """`weight` is (out, in), bfloat16 on the CPU; the caller should drop it afterwards."""
        super().__init__()
        self.packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), 1)
        self.bias = bias.detach() if bias is not None else None

    def forward(self, x: Tensor) -> Tensor:
        """x is (…, in); returns (…, out)."""
        return torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, "none", [], "")


def can_pack(model: GPT) -> bool:
    """Whether this model on this build of torch gains from packing; the operators are not public: tried."""
    if model.device.type != "cpu" or model.dtype != torch.bfloat16:
        return False
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(64, 32, generator=generator).bfloat16()
    x = torch.randn(1, 3, 32, generator=generator).bfloat16()
    try:
        packed = PackedLinear(weight)(x)
    except (AttributeError, RuntimeError) as error:
        log.info("weights are not packed: %s", str(error).splitlines()[0])
        return False
    return bool(torch.allclose(packed.float(), nn.functional.linear(x, weight).float(), atol=0.25, rtol=0.02))


@torch.no_grad()
def pack(model: GPT) -> bool:
    """Replace the model's linear layers by packed ones; False if it can't."""
    if not can_pack(model):
        return False
    replace_linears(model, PackedLinear, PackedLinear)
    return True


LinearMaker = Callable[[Tensor, "Tensor | None"], nn.Module]
"""From weight (out, in) and bias to a layer of another kind."""


def replace_linears(model: GPT, make: LinearMaker, make_head: LinearMaker) -> None:
    """Replace every linear layer, joining those whose inputs are the same.

    Each plain matrix is dropped as soon as its new form exists. A tied head gets a form of its own of the
    embedding, which itself must stay as it is.
    """
    for block in model.transformer["h"]:
        attention, mlp = block.attn, block.mlp
        attention.c_qkv = _joined(make, attention.c_q, attention.c_k, attention.c_v)
        attention.c_proj = _joined(make, attention.c_proj)
        mlp.w12 = _joined(make, mlp.w1, mlp.w2)
        mlp.c_proj = _joined(make, mlp.c_proj)
        del attention.c_q, attention.c_k, attention.c_v, mlp.w1, mlp.w2
    head = model.transformer["wte"] if model.lm_head is None else model.lm_head
    model.lm_head = make_head(head.weight, None)


def _joined(make: LinearMaker, *linears: nn.Linear) -> nn.Module:
    biases = [linear.bias for linear in linears if linear.bias is not None]
    return make(torch.cat([linear.weight for linear in linears]), torch.cat(biases) if biases else None)
