"""How much a token costs, how much a device could do, and hence the share of it that a run uses (MFU)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import torch

from shared.model.config import GPTConfig
from shared.model.device import DTYPES, pick_dtype

PEAK_FLOPS = {
    "B200": 2250e12,
    "H200": 989e12,
    "GH200": 989e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "A100": 312e12,
    "A10G": 70e12,
    "A10": 125e12,
    "A40": 150e12,
    "L40S": 362e12,
    "L40": 181e12,
    "L4": 121e12,
    "RTX 5090": 210e12,
    "RTX 4090": 165e12,
    "RTX 4080": 97e12,
    "RTX 3090": 71e12,
    "MI300X": 1307e12,
    "MI250X": 383e12,
}
"""Dense bfloat16 operations a second with float32 sums, by the makers' data sheets; the first name that the
card's holds as a word of its own counts."""
SIDE = 1024
"""Of the matrices whose product measures a device that is not in the table."""
TRIES = 10
"""The best counts: other programs slow the rest down."""


def flops_per_token(config: GPTConfig, context: int) -> float:
    """Of a training step: 6 a weight that multiplies, and attention's 12 * layers * width * context.

    https://arxiv.org/abs/2204.02311, appendix B: the causal half is not left out, so that figures compare.
    """
    head = config.vocab_size * config.n_embd
    blocks = config.n_layer * sum(out * into for out, into in config.linear_shapes.values())
    attention = 12 * config.n_layer * config.n_head * config.head_size * context
    return 6 * (head + blocks) + attention


def peak_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Of one device, operations a second: by the table for a known card in bfloat16, else measured."""
    if device.type == "cuda" and dtype == torch.bfloat16:
        known = card_peak(torch.cuda.get_device_name(device))
        if known:
            return known
    return measured_flops(device, dtype)


def card_peak(name: str) -> float:
    """By the name that the driver gives, 0 if it is not in the table."""
    return next((rate for card, rate in PEAK_FLOPS.items() if re.search(rf"\b{card}\b", name)), 0.0)


def quickest_dtype(device: torch.device) -> str:
    """`bfloat16` or `float32`: what the device multiplies faster. Only a CPU has to be tried.

    Some with instructions for bfloat16 take twice as long by them. Ask for it behind `set_threads`.
    """
    if pick_dtype(device) != torch.bfloat16:
        return "float32"
    if device.type != "cpu":
        return "bfloat16"
    return max(("bfloat16", "float32"), key=lambda name: measured_flops(device, DTYPES[name]))


def measured_flops(
    device: torch.device, dtype: torch.dtype, clock: Callable[[], float] = time.perf_counter
) -> float:
    """The best of some products of square matrices."""
    one = torch.ones(SIDE, SIDE, device=device, dtype=dtype)
    best = 0.0
    for _ in range(TRIES):
        began = clock()
        for _ in range(2):
            product = one @ one
        float(product[0, 0])  # waits for the device
        best = max(best, 2 * 2 * SIDE**3 / max(clock() - began, 1e-9))
    return best
