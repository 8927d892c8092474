"""LoRA adapters (https://arxiv.org/abs/2106.09685) as files: one small safetensors file that knows its base.

A linear layer NAME of `GPT` (`transformer.h.0.attn.c_q`) gets `NAME.lora_a` (rank, in) and `NAME.lora_b`
(out, rank), bfloat16 or float32, and computes y = W x + alpha / rank * B (A x). Rows and columns are those of
the model after loading, so an adapter belongs to one weights file: its hash stands inside.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shared.model.checkpoint import open_tensors, save_tensors
from shared.model.config import GPTConfig
from shared.model.errors import ModelError

FORMAT, VERSION = "akane-adapter", "1"
MAX_RANK = 64
MAX_BYTES = 1 << 29
TARGETS = ("attn.c_q", "attn.c_k", "attn.c_v", "attn.c_proj", "mlp.w1", "mlp.w2", "mlp.c_proj")
"""The linear layers of a block that can be adapted; embedding and head cannot."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_TENSOR = re.compile(r"transformer\.h\.(0|[1-9]\d{0,3})\.([a-z]+\.[a-z_0-9]+)\.lora_([ab])")
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class AdapterInfo:
    """What an adapter says of itself."""

    name: str
    base_name: str
    """For people: what the base was called."""
    base_hash: str
    """`LoadedModel.sha256` of the base: of its weights file, or of a folder's hashes."""
    rank: int
    alpha: float
    """The layers' outputs are scaled by alpha / rank."""
    targets: tuple[str, ...] = TARGETS
    """Which of TARGETS have matrices."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Whatever training measured, by name."""
    dataset_hash: str = ""
    """SHA-256 of the data that it was trained on."""

    @property
    def scale(self) -> float:
        """What B (A x) is multiplied by."""
        return self.alpha / self.rank

    @property
    def problem(self) -> str:
        """Why this describes no adapter, or nothing."""
        if not NAME.fullmatch(self.name):
            return f"its name {self.name[:64]!r} is not of letters, digits, dots, dashes and underscores"
        if not self.base_name.isprintable() or len(self.base_name) > 200:
            return "the name of its base is no name"
        if not _HASH.fullmatch(self.base_hash):
            return "the hash of its base is no SHA-256"
        if not 1 <= self.rank <= MAX_RANK:
            return f"its rank is {self.rank}, not 1 to {MAX_RANK}"
        if not (math.isfinite(self.alpha) and 0 < self.alpha <= 1e6):
            return f"its alpha is {self.alpha}, not a positive number"
        unknown = sorted(set(self.targets) - set(TARGETS))
        if unknown or not self.targets or len(set(self.targets)) != len(self.targets):
            return f"its targets must be some of {', '.join(TARGETS)}"
        if self.dataset_hash and not _HASH.fullmatch(self.dataset_hash):
            return "the hash of its data is no SHA-256"
        return ""


@dataclass(frozen=True)
class Adapter:
    """Its description and `NAME.lora_a`, `NAME.lora_b` for every adapted layer, on the CPU."""

    info: AdapterInfo
    tensors: Mapping[str, Tensor]

    def pairs(self) -> Iterator[tuple[str, Tensor, Tensor]]:
        """Name of each adapted layer, its A (rank, in) and B (out, rank)."""
        for name, a in self.tensors.items():
            if name.endswith(".lora_a"):
                layer = name.removesuffix(".lora_a")
                yield layer, a, self.tensors[f"{layer}.lora_b"]

    def fingerprint(self) -> str:
        """SHA-256 of what it computes: two that differ in it give different keys and values."""
        digest = hashlib.sha256(repr(self.info.scale).encode())
        for name in sorted(self.tensors):
            digest.update(name.encode())
            digest.update(self.tensors[name].contiguous().view(torch.uint8).numpy())
        return digest.hexdigest()


def save_adapter(path: Path, adapter: Adapter) -> None:
    """Write it in one step: a crash leaves the old file or none. Raises ValueError for what is no adapter."""
    problem = adapter.info.problem or _problem_of_tensors(adapter)
    if problem:
        raise ValueError(f"this adapter cannot be saved: {problem}")
    info = adapter.info
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "name": info.name,
        "base_name": info.base_name,
        "base_hash": info.base_hash,
        "rank": str(info.rank),
        "alpha": repr(float(info.alpha)),
        "targets": json.dumps(list(info.targets)),
        "metrics": json.dumps(dict(info.metrics), allow_nan=False),
        "dataset_hash": info.dataset_hash,
    }
    save_tensors(path, adapter.tensors, metadata)


def load_adapter(path: Path) -> Adapter:
    """Read and check a file that may come from anywhere. Raises ModelError: one sentence."""
    try:
        if not path.is_file():
            raise ModelError(f"There is no adapter file {path}: check the path.")
        size = path.stat().st_size
    except (OSError, ValueError) as error:
        raise ModelError(f"{str(path)[:200]!r} cannot be read: {error}.") from None
    if size > MAX_BYTES:
        raise ModelError(
            f"{path} has {size:,} bytes, more than any adapter ({MAX_BYTES:,}): take another file."
        )
    with open_tensors(path) as (metadata, tensors):
        try:
            adapter = Adapter(_info_of(metadata), {})
            problem = adapter.info.problem
            if not problem:
                adapter = Adapter(adapter.info, dict(tensors))
                problem = _problem_of_tensors(adapter)
        except ValueError as error:
            problem = str(error)
    if problem:
        raise ModelError(f"{path} is no adapter that can be used: {problem}.")
    return adapter


def require_fits(adapter: Adapter, config: GPTConfig, base_hash: str) -> None:
    """Raise ModelError unless the adapter was made for the model of this shape and `LoadedModel.sha256`."""
    info = adapter.info
    if info.base_hash != base_hash:
        raise ModelError(
            f"The adapter {info.name} was made for {info.base_name} ({info.base_hash[:12]}…), but the model "
            f"that runs is another ({base_hash[:12]}…): load that model, or an adapter of this one."
        )
    shapes = config.linear_shapes
    for name, a, b in adapter.pairs():
        _, _, number, leaf = name.split(".", 3)
        wanted = shapes[leaf]
        if int(number) >= config.n_layer or (b.shape[0], a.shape[1]) != wanted:
            raise ModelError(
                f"The adapter {info.name} does not fit the model: its {name} is {b.shape[0]} x {a.shape[1]}."
            )


def _info_of(metadata: Mapping[str, str]) -> AdapterInfo:
    """Raises ValueError with the reason."""
    if metadata.get("format") != FORMAT:
        raise ValueError(f"its format is {metadata.get('format', 'not given')[:40]!r}, not {FORMAT!r}")
    if metadata.get("version") != VERSION:
        raise ValueError(f"its version is {metadata.get('version', 'not given')[:40]!r}, not {VERSION!r}")
    wanted = ("name", "base_name", "base_hash", "rank", "alpha", "targets")
    if missing := [key for key in wanted if key not in metadata]:
        raise ValueError(f"it does not tell its {missing[0]}")
    rank, alpha = metadata["rank"], metadata["alpha"]
    if not re.fullmatch(r"\d{1,4}", rank, re.ASCII) or not re.fullmatch(r"[0-9.e+-]{1,32}", alpha):
        raise ValueError("its rank and alpha are no numbers")
    targets, metrics = _json(metadata, "targets", "[]"), _json(metadata, "metrics", "{}")
    if not isinstance(targets, list) or not all(isinstance(one, str) for one in targets):
        raise ValueError("its targets are no list of names")
    if not isinstance(metrics, dict) or not all(type(value) in (int, float) for value in metrics.values()):
        raise ValueError("its metrics are no numbers by name")
    return AdapterInfo(
        name=metadata["name"],
        base_name=metadata["base_name"],
        base_hash=metadata["base_hash"],
        rank=int(rank),
        alpha=_number(alpha),
        targets=tuple(targets),
        metrics=metrics,
        dataset_hash=metadata.get("dataset_hash", ""),
    )


def _json(metadata: Mapping[str, str], key: str, default: str) -> Any:
    try:
        return json.loads(metadata.get(key, default))
    except (ValueError, RecursionError):
        raise ValueError(f"its {key} are no JSON") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("its alpha is no number") from None


def _problem_of_tensors(adapter: Adapter) -> str:
    """Why the tensors are not those that the description promises, or nothing."""
    info, tensors = adapter.info, adapter.tensors
    if not tensors:
        return "it holds no tensors"
    found = set()
    for name, tensor in tensors.items():
        match = _TENSOR.fullmatch(name)
        if match is None or match[2] not in info.targets:
            return f"its tensor {name[:80]!r} belongs to no layer of its targets"
        found.add(match[2])
        if f"{name[:-1]}{'b' if match[3] == 'a' else 'a'}" not in tensors:
            return f"the other half of {name!r} is missing"
        if tensor.dtype not in (torch.bfloat16, torch.float32):
            return f"{name!r} is {str(tensor.dtype).removeprefix('torch.')}, not bfloat16 or float32"
        if tensor.ndim != 2 or tensor.shape[0 if match[3] == "a" else 1] != info.rank or not tensor.numel():
            return f"{name!r} is {tuple(tensor.shape)}, which is not of rank {info.rank}"
        if not bool(torch.isfinite(tensor).all()):
            return f"{name!r} holds numbers that are not finite"
    if lacking := [target for target in info.targets if target not in found]:
        return f"it promises {lacking[0]} and has no tensor of it"
    return ""
