"""`--model auto`: the largest model of the table that this machine can hold and speak with, and why.

`python -m shared.model.auto` prints the name on standard output and the reason on standard error.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from shared.model.errors import ModelError
from shared.model.presets import DEFAULT_CACHED_TOKENS, Preset, cache_dir, load_preset, preset_names

AUTO = "auto"
FREE_LICENCES = ("Apache-2.0", "MIT")
"""Nobody is given a model with conditions without having asked for it by name."""
SPOKEN_TOKENS_PER_S = 10.0
"""What fluent speech needs; twice that on a processor, where voice, screen and recording take a share."""
LARGEST_DOWNLOAD_BYTES = 2_600_000_000
"""More is not fetched by `auto`; what is here already may be of any size."""
SHARE_OF_MEMORY = 0.7
"""The rest of what is free stays free."""
BANDWIDTH_GB_PER_S = {"cuda": 250.0, "mps": 60.0}
"""Of the slowest machines of each kind that are still in use."""
CORE_GB_PER_S, CPU_GB_PER_S = 12.5, 40.0
"""What a core was measured to read while decoding, and two channels of memory give to all together."""


@dataclass(frozen=True)
class Machine:
    """What matters for the choice."""

    device: str
    """cpu, mps or cuda."""
    title: str
    """For people: the card's name, or the number of cores."""
    memory_bytes: int
    """Free on the device, before anything is loaded."""
    cores: int
    bytes_per_parameter: float | None
    """Of the number type that weights are converted to; None where they stay as their file has them."""
    disk_bytes: int
    """Free for a download."""


@dataclass(frozen=True)
class Choice:
    """A preset's name and one sentence for people."""

    name: str
    why: str


def choose(
    machine: Machine, presets: Sequence[Preset], present: Collection[str], cached_tokens: int
) -> Choice:
    """The largest preset that fits, is fast enough, freely licensed and cheap to fetch; else the smallest.

    `present` names those that need no download, `cached_tokens` is the KV cache of all slots together.
    """
    table = sorted((one for one in presets if one.licence in FREE_LICENCES), key=lambda one: one.parameters)
    able = [one for one in table if not _obstacle(machine, one, cached_tokens)]
    ready = [one for one in able if one.name in present or _may_fetch(machine, one)]
    chosen = ready[-1] if ready else table[0]
    needed, free = chosen.memory_bytes(machine.bytes_per_parameter, cached_tokens), machine.memory_bytes
    rate = _tokens_per_s(machine, chosen)
    why = (
        f"auto chose {chosen.name} for {machine.title}: it takes about {needed / 1e9:.1f} of the "
        f"{free / 1e9:.1f} GB that are free and should write about {rate:.0f} tokens/s"
    )
    larger = [one for one in table if one.parameters > chosen.parameters]
    if not ready:
        but = "no model is small enough for this machine, and this is the smallest"
    elif able[-1] is not chosen:
        but = (
            f"{able[-1].name} would run too, but is a download of {able[-1].size_bytes / 1e9:.1f} GB: "
            f"--model {able[-1].name} takes it"
        )
    elif larger:
        but = f"{larger[0].name} {_obstacle(machine, larger[0], cached_tokens)}"
    else:
        but = "there is no larger one in configs/models/"
    return Choice(chosen.name, f"{why}; {but}.")


def _obstacle(machine: Machine, preset: Preset, cached_tokens: int) -> str:
    """Why a model cannot be run well, empty when it can."""
    needed = preset.memory_bytes(machine.bytes_per_parameter, cached_tokens)
    if needed > machine.memory_bytes * SHARE_OF_MEMORY:
        return f"would take about {needed / 1e9:.1f} GB, which leaves too little"
    rate = _tokens_per_s(machine, preset)
    if rate < SPOKEN_TOKENS_PER_S * (2 if machine.device == "cpu" else 1):
        return f"would write about {rate:.0f} tokens/s, too few to speak fluently"
    return ""


def _tokens_per_s(machine: Machine, preset: Preset) -> float:
    """Every token reads all weights once: memory bandwidth bounds the rate."""
    of_cores = min(CPU_GB_PER_S, CORE_GB_PER_S * machine.cores)
    bandwidth = BANDWIDTH_GB_PER_S.get(machine.device, of_cores) * 1e9
    weights = preset.size_bytes
    if machine.bytes_per_parameter is not None:
        weights = int(preset.parameters * machine.bytes_per_parameter)
    return bandwidth / weights


def _may_fetch(machine: Machine, preset: Preset) -> bool:
    return preset.size_bytes <= min(LARGEST_DOWNLOAD_BYTES, machine.disk_bytes * SHARE_OF_MEMORY)


def this_machine(device: str = "auto", dtype: str = "auto", engine: str = "torch") -> Machine:
    """Look at the machine. Raises ModelError for a device that is not there."""
    import psutil
    import torch

    from shared.cores import physical_cores
    from shared.model.device import describe, pick_device, pick_dtype

    try:
        where = pick_device(device)
        number = pick_dtype(where, dtype)
    except ValueError as error:
        raise ModelError(f"The model cannot run here: {error}.") from None
    memory_bytes = psutil.virtual_memory().available
    if where.type == "cuda":
        memory_bytes = torch.cuda.mem_get_info(where)[0]
    elif where.type == "mps":
        # Half of the memory that the system shares with the card: it refuses more than two thirds.
        memory_bytes = min(memory_bytes, psutil.virtual_memory().total // 2)
    cores = physical_cores()
    folder = next(path for path in (cache_dir(), *cache_dir().absolute().parents) if path.exists())
    return Machine(
        device=where.type,
        title=describe(where) if where.type != "cpu" else f"{cores} core{'s' if cores > 1 else ''}",
        memory_bytes=memory_bytes,
        cores=cores,
        bytes_per_parameter=None if _keeps_files(where.type, dtype, engine) else float(number.itemsize),
        disk_bytes=shutil.disk_usage(folder).free,
    )


def _keeps_files(device: str, dtype: str, engine: str) -> bool:
    """Whether the native engine will run, which leaves weights as their file has them."""
    if device != "cpu" or engine == "torch" or (engine == "auto" and dtype != "auto"):
        return False
    from shared.model.native.build import NativeUnavailableError, load_library

    try:
        load_library()
    except NativeUnavailableError:
        return False
    return True


def choose_here(
    device: str = "auto",
    dtype: str = "auto",
    engine: str = "torch",
    cached_tokens: int = DEFAULT_CACHED_TOKENS,
) -> Choice:
    """`choose` for this machine, from `configs/models/`. Raises ModelError."""
    from shared.model.fetch import is_present

    presets = [load_preset(name) for name in preset_names()]
    present = {preset.name for preset in presets if is_present(preset.name)}
    return choose(this_machine(device, dtype, engine), presets, present, cached_tokens)


def main(arguments: list[str] | None = None) -> int:
    """Exit status 2 and one sentence when nothing can be chosen."""
    parser = argparse.ArgumentParser(prog="python -m shared.model.auto", description=__doc__)
    parser.add_argument("--device", default="auto", help="auto, cuda, mps, cpu")
    parser.add_argument("--dtype", default="auto", help="auto, float32, bfloat16, float16")
    parser.add_argument("--engine", default="auto", help="auto, native, torch")
    parser.add_argument(
        "--cached-tokens", type=int, default=DEFAULT_CACHED_TOKENS, help="slots times context"
    )
    asked = parser.parse_args(arguments)
    try:
        choice = choose_here(asked.device, asked.dtype, asked.engine, asked.cached_tokens)
    except ModelError as error:
        print(error, file=sys.stderr)
        return 2
    print(choice.why, file=sys.stderr)
    print(choice.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
