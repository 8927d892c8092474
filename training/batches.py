"""A step's batches of tokens: on their way to the device, and onto the disk when they broke a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from shared.model.checkpoint import save_tensors
from training.distributed import World
from training.shards.loader import Batch


def moved(batch: Batch, device: torch.device) -> Batch:
    """The batch on the device; a card's copy goes on while it computes."""
    inputs, targets, segments = batch
    if device.type == "cuda":  # pinned memory is copied while the card computes
        inputs, targets = inputs.pin_memory(), targets.pin_memory()
    return (
        inputs.to(device, non_blocking=True),
        targets.to(device, non_blocking=True),
        None if segments is None else segments.to(device),
    )


def keep_batches(world: World, batches: Sequence[Batch], folder: Path) -> None:
    """Write this rank's batches of a step that broke, `rank-0.safetensors` the first's. Raises OSError."""
    tensors: dict[str, Tensor] = {}
    for number, batch in enumerate(batches):
        named: Mapping[str, Tensor | None] = dict(zip(("inputs", "targets", "segments"), batch, strict=True))
        tensors |= {f"{number}/{name}": one for name, one in named.items() if one is not None}
    with world.agreed():
        folder.mkdir(parents=True, exist_ok=True)
        save_tensors(folder / f"rank-{world.rank}.safetensors", tensors)
