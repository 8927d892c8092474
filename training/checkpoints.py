"""A run on disk: weights, optimiser and state that belong together, complete or not there at all.

FOLDER/checkpoint-00000120/{weights,optimiser}.safetensors, state.json; the best weights lie beside it, under
the name that the state tells. Only the newest checkpoint is kept.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from training.errors import TrainingError

_NAME = re.compile(r"checkpoint-(\d{8})")
_BEST = re.compile(r"best-\d{8}\.safetensors")


def save(
    folder: Path,
    step: int,
    parameters: Mapping[str, nn.Parameter],
    optimiser: torch.optim.Optimizer,
    state: Mapping[str, Any],
) -> None:
    """Write the checkpoint of `step` and drop older ones. A crash at any moment leaves the old one usable."""
    target = folder / f"checkpoint-{step:08d}"
    part = target.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    write_tensors(part / "weights.safetensors", parameters)
    write_tensors(part / "optimiser.safetensors", _optimiser_tensors(parameters, optimiser))
    _write(part / "state.json", json.dumps(state, indent=1).encode())
    _sync(part)
    shutil.rmtree(target, ignore_errors=True)
    os.replace(part, target)
    _sync(folder)
    for path in folder.iterdir():
        old_best = _BEST.fullmatch(path.name) and path.name != state.get("best_file")
        if path.name.startswith("checkpoint-") and path != target:
            shutil.rmtree(path, ignore_errors=True)
        elif old_best:
            path.unlink()


def newest(folder: Path) -> Path | None:
    """The last complete checkpoint of a run, None before the first."""
    if not folder.is_dir():
        return None
    return max((path for path in folder.iterdir() if _NAME.fullmatch(path.name)), default=None)


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
    checkpoint: Path, parameters: Mapping[str, nn.Parameter], optimiser: torch.optim.Optimizer
) -> None:
    """Set weights and optimiser to what they were, bit by bit. Raises TrainingError."""
    try:
        weights = read_tensors(checkpoint / "weights.safetensors")
        moments = read_tensors(checkpoint / "optimiser.safetensors")
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(weights[name])
                optimiser.state[parameter] = {
                    key: moments[f"{name}/{key}"].to("cpu" if key == "step" else parameter.device)
                    for key in ("step", "exp_avg", "exp_avg_sq")
                }
    except (KeyError, RuntimeError) as error:
        raise _damaged(checkpoint, error) from None


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """A safetensors file that is on the disk when this returns, whole or under no such name."""
    part = path.with_suffix(".part")
    own = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
    save_file(own, part)
    _sync(part)
    os.replace(part, path)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """What `write_tensors` wrote. Raises TrainingError."""
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise _damaged(path, error) from None


def _optimiser_tensors(
    parameters: Mapping[str, nn.Parameter], optimiser: torch.optim.Optimizer
) -> dict[str, Tensor]:
    return {
        f"{name}/{key}": value
        for name, parameter in parameters.items()
        for key, value in optimiser.state[parameter].items()
    }


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    _sync(path)


def _sync(path: Path) -> None:
    """Rename is atomic for readers, but only synced data survives a power cut; Windows syncs no folders."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _damaged(checkpoint: Path, error: Exception) -> TrainingError:
    reason = " ".join(str(error).split())[:120]
    return TrainingError(f"{checkpoint} cannot be read ({reason}): delete it and start the run again.")
