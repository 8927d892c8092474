"""A step of pre-training beside nanoGPT's, and the memory it takes: akane-124m, 4 rows of 256 tokens."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator

from benchmarks.figures import Figure
from shared.config import ROOT
from shared.model.device import pick_device
from training.device_rate import quickest_dtype

ROWS, CONTEXT = 4, 256
ROUNDS = 5
STEP_TOKENS = 524_288
"""Of the preset."""


class Worker:
    """A process that holds one model, that of a preset, and steps when told to."""

    def __init__(
        self, who: str, dtype: str, rows: int = ROWS, context: int = CONTEXT, preset: str = "akane-124m"
    ) -> None:
        shape = (str(rows), str(context), preset)
        command = [sys.executable, "-m", "benchmarks.pretrain_worker", who, dtype, *shape]
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
    """The loops by the same optimiser; then what Muon and the whole of a step take."""
    device = pick_device()
    quick = quickest_dtype(device)
    published = "bfloat16" if device.type == "cuda" else "float32"
    rates: dict[str, float] = {}
    pairs = {("float32", "float32"): "in_float32", (quick, quick): f"in_{quick}"}
    pairs[quick, published] = "as_shipped"
    for (dtype, peer_dtype), name in reversed(pairs.items()):
        one, other = Worker("adamw", dtype), Worker("nanogpt", peer_dtype)
        try:
            seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
            for _ in range(ROUNDS + 1):  # the first of each sets up its optimiser
                seconds["ours"].append(one.seconds())
                seconds["theirs"].append(other.seconds())
        finally:
            one.close()
            other.close()
        ours, theirs = (ROWS * CONTEXT / statistics.median(took[1:]) for took in seconds.values())
        rates[name] = ours
        target = "at least 1.0 x, aim 1.2 x"
        yield Figure(f"pretrain.step_{name}", ours, "tokens/s", f"nanoGPT in {peer_dtype}", theirs, target)
    worker = Worker("muon", quick)
    try:
        for _ in range(2):
            worker.seconds()
    finally:
        worker.close()
    yield Figure("pretrain.step_memory", worker.peak_bytes / 1e9, "GB", target="at most 4 GB")
    worker = Worker("update", quick)
    try:
        update_s = statistics.median([worker.seconds() for _ in range(3)])
    finally:
        worker.close()
    # One update is for all tokens of a step, however many passes they take.
    step_s = STEP_TOKENS / rates["as_shipped"]
    yield Figure("pretrain.muon_share", 100 * update_s / (update_s + step_s), "%", target="of a step's time")
