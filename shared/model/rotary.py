"""Rotary position embedding (https://arxiv.org/abs/2104.09864): one table for all positions and layers."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from shared.model.config import GPTConfig, RopeScaling


class RotaryEmbedding(nn.Module):
    """Tables of cosines and signed sines, float32, (block_size, head_size); rounded to bfloat16 where asked.

    The tables are no parameters: they are made from the config on whatever device `build` names.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        if torch.get_default_device().type == "meta":
            # Built later; arithmetic on the meta device would import all of torch._dynamo (1 s).
            self.register_buffer("cos", torch.empty(0), persistent=False)
            self.register_buffer("sin", torch.empty(0), persistent=False)
        else:
            self.build(torch.get_default_device())

    def build(self, device: torch.device) -> None:
        """Make the tables; called again when a model that was laid out on the meta device becomes real."""
        cos, sin = _tables(self.config, device)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def _apply(self, fn, recurse: bool = True):  # type: ignore[no-untyped-def]
        """Move with the model but stay float32: `model.bfloat16()` must not round Llama-family tables."""
        cos, sin = self.cos, self.sin
        super()._apply(fn, recurse)
        self.cos, self.sin = cos.to(self.cos.device), sin.to(self.sin.device)
        return self

    def rows(self, starts: list[int], length: int) -> tuple[Tensor, Tensor]:
        """Cosines and sines of positions start .. start+length of each row, (1 or B, 1, length, size)."""
        if len(set(starts)) == 1:
            at = slice(starts[0], starts[0] + length)
            return self.cos[at][None, None], self.sin[at][None, None]
        positions = torch.tensor(starts, device=self.cos.device)[:, None]
        positions = positions + torch.arange(length, device=self.cos.device)
        return self.cos[positions][:, None], self.sin[positions][:, None]

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Rotate x (B, heads, T, head_size); computed in float32, returned in x's dtype."""
        x32 = x.float()
        if self.config.rope_interleaved:
            partner = x32.unflatten(-1, (-1, 2)).flip(-1).flatten(-2)
        else:
            partner = x32.roll(x.shape[-1] // 2, -1)
        return torch.addcmul(x32 * cos, partner, sin).to(x.dtype)


def _tables(config: GPTConfig, device: torch.device) -> tuple[Tensor, Tensor]:
    half = torch.arange(0, config.head_size, 2, dtype=torch.float32, device=device) / config.head_size
    frequencies = 1.0 / config.rope_theta**half
    if config.rope_scaling is not None:
        frequencies = _scaled(frequencies, config.rope_scaling)
    positions = torch.arange(config.block_size, dtype=torch.float32, device=device)
    angles = torch.outer(positions, frequencies)
    cos, sin = angles.cos(), angles.sin()
    if config.rope_dtype == "bfloat16":
        cos, sin = cos.bfloat16().float(), sin.bfloat16().float()
    if config.rope_interleaved:
        return cos.repeat_interleave(2, -1), torch.stack((-sin, sin), -1).flatten(-2)
    return torch.cat((cos, cos), -1), torch.cat((-sin, sin), -1)


def _scaled(frequencies: Tensor, scaling: RopeScaling) -> Tensor:
    """Llama 3: slow frequencies divided by `factor`, fast ones kept, those between interpolated."""
    turns = scaling.original_context * frequencies / (2 * math.pi)
    span = scaling.high_freq_factor - scaling.low_freq_factor
    keep = ((turns - scaling.low_freq_factor) / span).clamp(0, 1)
    return frequencies * keep + frequencies / scaling.factor * (1 - keep)
