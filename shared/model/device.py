"""Where the model runs: device, number type and threads, chosen by the machine unless told otherwise."""

from __future__ import annotations

from pathlib import Path

import torch

from shared.cores import physical_cores

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def pick_device(name: str = "auto") -> torch.device:
    """`auto` prefers cuda, then mps, then cpu; a name is checked. Raises ValueError in one sentence."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"unknown device {name!r}: use auto, cuda, mps or cpu") from None
    usable = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available, "cpu": lambda: True}
    if device.type not in usable:
        raise ValueError(f"unknown device {name!r}: use auto, cuda, mps or cpu")
    if not usable[device.type]() or (
        device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()
    ):
        raise ValueError(f"this machine or this build of torch has no {name}: use device auto or cpu")
    return device


def pick_dtype(device: torch.device, name: str = "auto") -> torch.dtype:
    """`auto` is bfloat16 where the hardware is fast at it, else float16 on a GPU and float32 on a CPU."""
    if name != "auto":
        if name not in DTYPES:
            raise ValueError(f"unknown dtype {name!r}: use auto, {', '.join(DTYPES)}")
        return DTYPES[name]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if device.type == "mps":
        return torch.float16
    return torch.bfloat16 if cpu_has_fast_bfloat16() else torch.float32


def cpu_has_fast_bfloat16() -> bool:
    """AVX512-BF16 or AMX; elsewhere bfloat16 on a CPU is emulated and slower than float32."""
    for probe in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        check = getattr(torch.cpu, probe, None)
        if check is not None and check():
            return True
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return " avx512_bf16" in flags or " amx_bf16" in flags


def set_threads(threads: int | None = None) -> int:
    """Give torch this many threads (the physical cores by default); returns the number."""
    count = threads if threads else physical_cores()
    torch.set_num_threads(count)
    return count


def describe(device: torch.device) -> str:
    """A name for people: `cuda (NVIDIA H100)`, `mps`, `cpu`."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return str(device)
