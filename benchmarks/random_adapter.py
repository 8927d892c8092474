"""Random LoRA adapters, for tests and for figures that do not depend on what an adapter has learned."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from shared.model.adapter import TARGETS, Adapter, AdapterInfo
from shared.model.config import GPTConfig

SOMEBODY = "ab" * 32
"""The hash of a base that does not matter."""


def random_adapter(
    config: GPTConfig,
    *,
    name: str = "tester",
    base_hash: str = SOMEBODY,
    rank: int = 8,
    targets: Sequence[str] = TARGETS,
    seed: int = 1,
    spread: float = 0.1,
    dtype: torch.dtype = torch.bfloat16,
) -> Adapter:
    """Large enough to change what a tiny model says."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for layer in range(config.n_layer):
        for target in targets:
            out, width = config.linear_shapes[target]
            for half, shape in (("a", (rank, width)), ("b", (out, rank))):
                values = spread * torch.randn(shape, generator=generator)
                tensors[f"transformer.h.{layer}.{target}.lora_{half}"] = values.to(dtype)
    info = AdapterInfo(name, "base", base_hash, rank, 2.0 * rank, tuple(targets), {"heldout_loss": 1.5})
    return Adapter(info, tensors)
