"""Weights in 8 or 4 bits on PyTorch's path, for inference: a token reads fewer bytes of memory.

The method is that of https://github.com/pytorch-labs/gpt-fast: activations stay in bfloat16, products are
made by torch's own weight-only operators, which a CUDA graph can record.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shared.model.gpt import GPT
from shared.model.packing import replace_linears

GROUP = 32
"""Inputs that share a scale and a zero in 4 bits: those of GGUF's 4-bit blocks."""
FEW_ROWS = 16
"""Up to here reading weights costs most; above, arithmetic does, and a plain product is faster."""

Bits = Literal[4, 8]


def rounded_to_8_bits(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Codes (out, in) int8 and one scale an output (out,) in the weight's dtype: weight ≈ codes * scale."""
    scales = (weight.float().abs().amax(1) / 127).clamp(min=1e-8).to(weight.dtype)
    codes = (weight.float() / scales.float()[:, None]).round().clamp(-127, 127)
    return codes.to(torch.int8), scales


def rounded_to_4_bits(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Codes (out, in) 0 to 15 as int32, and (in / GROUP, out, 2) scales and zeros in the weight's dtype.

    weight ≈ (code - 8) * scale + zero, the convention of torch's operators.
    """
    out, size = weight.shape
    groups = weight.float().view(out, size // GROUP, GROUP)
    low, high = groups.amin(-1), groups.amax(-1)
    scales = ((high - low) / 15).clamp(min=1e-8).to(weight.dtype)
    codes = ((groups - low[..., None]) / scales.float()[..., None]).round().clamp(0, 15)
    zeros = (low + 8 * scales.float()).to(weight.dtype)
    return codes.to(torch.int32).view(out, size), torch.stack((scales, zeros), -1).transpose(
        0, 1
    ).contiguous()


class Int8Linear(nn.Module):
    """A linear layer with 8-bit weights and one scale an output."""

    codes: Tensor
    scales: Tensor

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        """`weight` is (out, in) in bfloat16; the caller should drop it afterwards."""
        super().__init__()
        codes, scales = rounded_to_8_bits(weight.detach())
        self.register_buffer("codes", codes)
        self.register_buffer("scales", scales)
        self.bias = bias.detach() if bias is not None else None

    def forward(self, x: Tensor) -> Tensor:
        """x is (…, in); returns (…, out)."""
        rows = x.reshape(-1, x.shape[-1])
        if len(rows) <= FEW_ROWS:
            y = torch.ops.aten._weight_int8pack_mm(rows, self.codes, self.scales)
        else:
            y = F.linear(rows, self.codes.to(x.dtype)) * self.scales
        y = y.view(*x.shape[:-1], -1)
        return y if self.bias is None else y + self.bias


class Int4Linear(nn.Module):
    """A linear layer with 4-bit weights, a scale and a zero for 32 inputs each."""

    packed: Tensor
    scales_and_zeros: Tensor

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        """`weight` is (out, in) in bfloat16, `fits_4_bits`; the caller should drop it afterwards."""
        super().__init__()
        codes, scales_and_zeros = rounded_to_4_bits(weight.detach())
        self.register_buffer("packed", _packed(codes))
        self.register_buffer("scales_and_zeros", scales_and_zeros)
        self.bias = bias.detach() if bias is not None else None

    def forward(self, x: Tensor) -> Tensor:
        """x is (…, in); returns (…, out)."""
        rows = x.reshape(-1, x.shape[-1])
        on_cpu = x.device.type == "cpu"
        multiply = (
            torch.ops.aten._weight_int4pack_mm_for_cpu if on_cpu else torch.ops.aten._weight_int4pack_mm
        )
        y = multiply(rows, self.packed, GROUP, self.scales_and_zeros).view(*x.shape[:-1], -1)
        return y if self.bias is None else y + self.bias


def inner_tiles(size: int) -> int:
    """How many tiles of 16 inputs a CUDA card reads together: the most that divide `size`; 0 if none do."""
    return next((tiles for tiles in (8, 4, 2) if size % (16 * tiles) == 0), 0)


def byte_pairs(codes: Tensor) -> Tensor:
    """Two codes a byte (out, in / 2), the first in the upper half, as a card's packing wants them."""
    pairs = codes.to(torch.uint8)
    return pairs[:, ::2] << 4 | pairs[:, 1::2]


def _packed(codes: Tensor) -> Tensor:
    if codes.device.type == "cpu":
        return torch.ops.aten._convert_weight_to_int4pack_for_cpu(codes, 1)
    return torch.ops.aten._convert_weight_to_int4pack(byte_pairs(codes), inner_tiles(codes.shape[1]))


def fits_4_bits(weight: Tensor) -> bool:
    """Whether torch's 4-bit operators take a matrix of this shape."""
    out, size = weight.shape
    return (
        size % GROUP == 0 and inner_tiles(size) > 0 and out % (16 if weight.device.type == "cpu" else 8) == 0
    )


@torch.no_grad()
def quantise(model: GPT, bits: Bits) -> None:
    """Replace the model's linear layers by ones of so many bits. Raises ValueError in one sentence.

    The head keeps 8 bits, and so does what 4-bit operators cannot take; the embedding stays as it is.
    """
    if model.dtype != torch.bfloat16 or model.device.type not in ("cpu", "cuda"):
        raise ValueError(
            f"llm.quantise needs bfloat16 on cuda or cpu, not {str(model.dtype)[6:]} on {model.device}: "
            "leave llm.dtype at auto, or set llm.quantise to none"
        )

    def make(weight: Tensor, bias: Tensor | None) -> nn.Module:
        return Int4Linear(weight, bias) if bits == 4 and fits_4_bits(weight) else Int8Linear(weight, bias)

    replace_linears(model, make, Int8Linear)
