"""A run on disk: weights, optimiser and state that belong together, complete or not there at all.

FOLDER/checkpoint-00000120/{weights,optimiser}.safetensors, state.json; the best weights lie beside it, under
the name that the state tells. A shard of FSDP is gathered first, so that any number of processes reads it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from shared.model.checkpoint import save_tensors
from shared.model.integrity import synced
from training.distributed import placed_like, whole
from training.errors import TrainingError

_NAME = re.compile(r"checkpoint-(\d{8})")
_BEST = re.compile(r"best-\d{8}\.safetensors")


@dataclass(frozen=True)
class Rule:
    """Which checkpoints stay when a newer one is complete."""

    newest: int = 1
    every: int = 0
    """Those of steps that this divides stay for good; 0: none."""

    def drops(self, steps: Sequence[int]) -> list[int]:
        """Of all steps that have a checkpoint, those that go."""
        older = sorted(steps)[: -self.newest]
        return [step for step in older if not (self.every and step % self.every == 0)]


def save(
    folder: Path,
    step: int,
    parameters: Mapping[str, Tensor],
    optimisers: Sequence[torch.optim.Optimizer],
    state: Mapping[str, Any],
    rule: Rule,
    metadata: Mapping[str, str],
    leads: bool,
) -> None:
    """Write the checkpoint of `step`, with `metadata` in its weights, and drop those that the `rule` drops.

    Every rank calls it, the one that `leads` writes. A crash at any moment leaves the old ones usable. Raises
    OSError, on the rank that writes.
    """
    weights = gathered(parameters, leads)
    moments = gathered(_optimiser_tensors(parameters, optimisers), leads)
    if not leads:
        return
    target = folder / f"checkpoint-{step:08d}"
    part = target.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    save_tensors(part / "weights.safetensors", weights, metadata)
    save_tensors(part / "optimiser.safetensors", moments)
    (part / "state.json").write_bytes(json.dumps(state, indent=1).encode())
    synced(part / "state.json")
    synced(part)
    shutil.rmtree(target, ignore_errors=True)
    os.replace(part, target)
    synced(folder)
    gone = {f"checkpoint-{old:08d}" for old in rule.drops([*_steps(folder)])}
    for path in folder.iterdir():
        old_best = _BEST.fullmatch(path.name) and path.name != state.get("best_file")
        left_over = path.name.startswith("checkpoint-") and path.suffix == ".part"
        if path.name in gone or left_over:
            shutil.rmtree(path, ignore_errors=True)
        elif old_best:
            path.unlink()


def gathered(tensors: Mapping[str, Tensor], leads: bool) -> dict[str, Tensor]:
    """The tensors as a whole, on the CPU of the rank that `leads`; the others help and get nothing."""
    found = {}
    for name, tensor in tensors.items():
        one = whole(tensor.detach())
        if leads:
            found[name] = one.cpu().contiguous()
    return found


def _steps(folder: Path) -> dict[int, Path]:
    """Complete checkpoints by their step."""
    named = ((_NAME.fullmatch(path.name), path) for path in folder.iterdir())
    return {int(match[1]): path for match, path in named if match}


def newest(folder: Path) -> Path | None:
    """The last complete checkpoint of a run, None before the first."""
    if not folder.is_dir():
        return None
    steps = _steps(folder)
    return steps[max(steps)] if steps else None


def read_state(checkpoint: Path) -> dict[str, Any]:
    """What `save` was given as state. Raises TrainingError."""
    try:
        state = json.loads((checkpoint / "state.json").read_bytes())
    except (OSError, ValueError) as error:
        raise _damaged(checkpoint, error) from None
    if not isinstance(state, dict):
        raise _damaged(checkpoint, ValueError("state.json is no object"))
    return state


def restore(
    checkpoint: Path, parameters: Mapping[str, nn.Parameter], optimisers: Sequence[torch.optim.Optimizer]
) -> None:
    """Set weights and optimisers to what they were, bit by bit. Raises TrainingError."""
    try:
        weights = load_file(checkpoint / "weights.safetensors")
        moments: dict[str, dict[str, Tensor]] = {}
        for full, value in load_file(checkpoint / "optimiser.safetensors").items():
            name, _, key = full.rpartition("/")
            moments.setdefault(name, {})[key] = value
        for name, parameter in parameters.items():
            for value in (weights[name], *moments[name].values()):
                if value.ndim and value.shape != parameter.shape:
                    raise ValueError(f"{name} is {tuple(value.shape)}, not {tuple(parameter.shape)}")
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(placed_like(parameter, weights[name]))
                _owner(parameter, optimisers).state[parameter] = {
                    key: placed_like(parameter, value) if value.ndim else value.to(parameter.device)
                    for key, value in moments[name].items()
                }
    except (KeyError, OSError, RuntimeError, SafetensorError, ValueError) as error:
        raise _damaged(checkpoint, error) from None


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The weights that lie beside the checkpoints. Raises TrainingError."""
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise _damaged(path, error) from None


def _optimiser_tensors(
    parameters: Mapping[str, Tensor], optimisers: Sequence[torch.optim.Optimizer]
) -> dict[str, Tensor]:
    return {
        f"{name}/{key}": value
        for name, parameter in parameters.items()
        for key, value in _owner(parameter, optimisers).state[parameter].items()
    }


def _owner(parameter: Tensor, optimisers: Sequence[torch.optim.Optimizer]) -> torch.optim.Optimizer:
    """The optimiser that changes a parameter."""
    return next(
        one
        for one in optimisers
        if any(parameter is member for group in one.param_groups for member in group["params"])
    )


def _damaged(path: Path, error: Exception) -> TrainingError:
    reason = " ".join(str(error).split())[:120]
    older = _NAME.fullmatch(path.name) and len(_steps(path.parent)) > 1
    then = ": --resume then goes on from the one before" if older else " and start the run again"
    return TrainingError(f"{path} cannot be read ({reason}): delete it{then}.")
