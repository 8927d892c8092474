"""Tiny models with quantised blocks, in the native engine and, dequantised, in PyTorch."""

from __future__ import annotations

import platform

import numpy as np
import torch
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize, quantize
from model_helpers import random_model

from shared.model.gpt import GPT
from shared.model.native import NativeModel
from shared.model.native.build import NATIVE
from shared.model.native.model import RawTensor

X86 = platform.machine().lower() in ("x86_64", "amd64")
TARGETS = {"native": NATIVE, "portable": ()} | ({"avx2": ("-march=x86-64-v3",)} if X86 else {})
"""What the library is compiled for."""

Type = GGMLQuantizationType
K_QUANTS = (Type.Q4_K, Type.Q5_K, Type.Q6_K)
QUANTISED = (Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q8_0, *K_QUANTS)


def blocks_of(weights: np.ndarray, kind: Type, seed: int = 0) -> np.ndarray:
    """Rows of `kind`; for K-quants, which nothing here can make from weights, blocks of random bits."""
    if kind not in K_QUANTS:
        return quantize(weights, kind)
    rows, columns = weights.shape
    items, size = GGML_QUANT_SIZES[kind]
    random = np.random.default_rng(seed)
    blocks = random.integers(0, 256, (rows, columns // items, size), np.uint8)
    scale = np.float16(0.2 / (32 * 32)) if kind == Type.Q6_K else np.float16(0.2 / (15 * 32))
    scales = np.frombuffer(scale.tobytes(), np.uint8)
    if kind == Type.Q6_K:
        blocks[:, :, -2:] = scales
    else:
        blocks[:, :, 0:2] = scales
        blocks[:, :, 2:4] = np.frombuffer(np.float16(scale * 8).tobytes(), np.uint8)
    return blocks.reshape(rows, -1)


def pair(
    kind: Type,
    family: str = "llama",
    threads: int = 2,
    target: tuple[str, ...] | None = None,
    **changes: object,
) -> tuple[NativeModel, GPT]:
    """The same random model twice: matrices of `kind` in the native engine, their values in PyTorch."""
    torch.manual_seed(0)
    model = random_model(family, **changes)
    raw, plain = [], []
    for index, (name, parameter) in enumerate(model.named_parameters()):
        values = parameter.detach().numpy()
        if values.ndim == 1:
            raw.append((name, RawTensor(Type.F32, values.shape, values)))
            plain.append((name, torch.from_numpy(values)))
            continue
        blocks = blocks_of(values, kind, index)
        raw.append((name, RawTensor(kind, values.shape, blocks)))
        plain.append((name, torch.from_numpy(np.array(dequantize(blocks, kind)))))
    options = {} if target is None else {"target": target}
    return NativeModel(model.config, raw, threads=threads, **options), GPT.from_state(model.config, plain)


def distance(left: torch.Tensor, right: torch.Tensor) -> float:
    """Of two sets of logits, in units of the spread of the second."""
    return float((left - right).pow(2).mean().sqrt() / right.std())
