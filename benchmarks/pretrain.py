"""A step of pre-training beside nanoGPT's, and the memory it takes: akane-124m, 4 rows of 256 tokens."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator

import torch

from benchmarks.figures import Figure
from shared.config import ROOT
from shared.model.device import pick_device, pick_dtype

ROWS, CONTEXT = 4, 256
ROUNDS = 5


class Worker:
    """A process that holds one model and steps when told to."""

    def __init__(self, who: str, dtype: str, *more: str) -> None:
        command = [
            sys.executable,
            "-m",
            "benchmarks.pretrain_worker",
            who,
            dtype,
            str(ROWS),
            str(CONTEXT),
            *more,
        ]
        self._process = subprocess.Popen(
            command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.peak_bytes = 0

    def seconds(self) -> float:
        """Of one step."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print("step", file=self._process.stdin, flush=True)
        told = json.loads(self._process.stdout.readline())
        self.peak_bytes = told["peak_bytes"]
        return float(told["seconds"])

    def close(self) -> None:
        """End it."""
        self._process.communicate()


def run() -> Iterator[Figure]:
    """As shipped (nanoGPT computes in float32 on a CPU), then in the same number type and optimiser."""
    device = pick_device()
    half = pick_dtype(device) == torch.bfloat16
    quick = "bfloat16" if half else "float32"
    published = "bfloat16" if device.type == "cuda" else "float32"
    pairs = [("as_shipped", quick, (), published)]
    if quick != published:
        pairs.append(("bfloat16", quick, (), quick))
    pairs += [("float32", "float32", (), "float32"), ("float32_adamw", "float32", ("adamw",), "float32")]
    for name, dtype, more, peer_dtype in pairs:
        one, other = Worker("ours", dtype, *more), Worker("nanogpt", peer_dtype)
        try:
            seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
            for _ in range(ROUNDS + 1):  # the first of each sets up its optimiser
                seconds["ours"].append(one.seconds())
                seconds["theirs"].append(other.seconds())
        finally:
            one.close()
            other.close()
        rates = {who: ROWS * CONTEXT / statistics.median(took[1:]) for who, took in seconds.items()}
        yield Figure(
            f"pretrain.step_{name}",
            rates["ours"],
            "tokens/s",
            "nanoGPT",
            rates["theirs"],
            "at least 1.0, aim 1.2",
        )
        if name == "as_shipped":
            peaks = (one.peak_bytes / 1e9, other.peak_bytes / 1e9)
            yield Figure("pretrain.step_memory", peaks[0], "GB", "nanoGPT", peaks[1], "at most 4 GB")
