"""The native engine beside llama.cpp and our PyTorch path: same file and threads, in turns; then exactness.

llama.cpp is built once, in an environment of its own in the cache (minutes), as llama-cpp-python.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path

import torch

from benchmarks.exactness import chat_tokens, exactness, logits_of
from benchmarks.figures import Figure
from benchmarks.peak import peak_bytes
from benchmarks.peers import peer_python
from shared.config import ROOT
from shared.cores import physical_cores
from shared.model.loading import load_model
from shared.model.presets import DEFAULT_PRESET, cache_dir, load_preset

PEER = "llama-cpp-python==0.3.36"
PEER_SCRIPT = str(Path(__file__).with_name("llama_cpp_worker.py"))
ROUNDS = 5
CONTEXT = 8192
"""Tokens a row of ours; the peer shares one budget among its rows and gets some more."""
ROWS = 8
TASKS: dict[str, dict[str, int]] = {
    "decode_60": {"context": 60, "tokens": 60},
    "decode_1000": {"context": 1000, "tokens": 60},
    "prefill_512": {"prompt": 512},
    "batch_8": {"context": 60, "rows": ROWS, "tokens": 30},
}
"""Figures in tokens/s; each is one task of engine_worker.py."""
TARGETS = {
    "decode_60": "at least 2.5 x",
    "decode_1000": "at least 2.5 x",
    "decode_8000": "at least 3 x",
    "prefill_512": "at least 3.5 x",
    "batch_8": "at least 1.6 x its best quantisation",
}
LONG = {"context": 8000, "tokens": 20}
FIRST_TOKEN = {"context": 1000, "prompt": 20}
MEMORY = {"prompt": 512, "tokens": 200}


class Worker:
    """A process that answers tasks with seconds."""

    def __init__(self, command: list[str]) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
        )

    def seconds(self, task: dict[str, int]) -> float:
        """How long the task took, in the worker's own clock."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("a worker of the engine benchmark ended early")
        return float(json.loads(line))

    def peak_mb(self) -> float:
        """Highest resident memory so far; 0 where the system does not tell."""
        try:
            return peak_bytes(self._process.pid) / 1024**2
        except OSError:
            return 0.0

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


def _peer() -> Path:
    return peer_python("llama-cpp", (PEER,), "llama_cpp")


def our_worker(engine: str = "native", context: int = CONTEXT, rows: int = ROWS) -> Worker:
    """Our engine on the default model."""
    numbers = [str(context), str(physical_cores()), str(rows)]
    return Worker([sys.executable, "-m", "benchmarks.engine_worker", engine, DEFAULT_PRESET, *numbers])


def peer_worker(model: Path | None = None, context: int = CONTEXT + 1024, rows: int = ROWS) -> Worker:
    """llama.cpp on a GGUF file, the default model's if none is given."""
    path = model or load_preset(DEFAULT_PRESET).path
    numbers = [str(context), str(physical_cores()), str(rows)]
    return Worker([str(_peer()), PEER_SCRIPT, str(path), *numbers])


def peers_fastest() -> Path:
    """The default model as Q4_0, which the peer makes once."""
    path = load_preset(DEFAULT_PRESET).path
    fast = cache_dir() / "peers" / f"{path.stem}-as-Q4_0.gguf"
    if not fast.exists():
        command = [str(_peer()), PEER_SCRIPT, "quantize", str(path), str(fast)]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return fast


def run() -> list[Figure]:
    """All figures; the peers' numbers come from the same rounds."""
    workers = {
        "native": our_worker(),
        "llama.cpp": peer_worker(),
        "llama.cpp Q4_0": peer_worker(peers_fastest()),
        "PyTorch bf16": our_worker("torch"),
    }
    figures = []
    try:
        for name, task in TASKS.items():
            count = task.get("prompt", 0) + task.get("tokens", 0) * task.get("rows", 1)
            figures += _compared(f"engine.{name}", workers, task, count, ROUNDS, TARGETS[name])
        pair = {name: workers[name] for name in ("native", "llama.cpp")}
        figures += _compared("engine.decode_8000", pair, LONG, LONG["tokens"], 1, TARGETS["decode_8000"])
        first = statistics.median(workers["native"].seconds(FIRST_TOKEN) for _ in range(ROUNDS))
        target = "at most 35 ms beside 1,000 cached"
        figures.append(Figure("engine.first_token_of_20", first * 1000, "ms", target=target))
    finally:
        for worker in workers.values():
            worker.close()
    figures.append(_memory(our_worker(context=2048, rows=1), peer_worker(context=2048, rows=1)))
    return figures + _exactness()


def _compared(
    name: str, workers: dict[str, Worker], task: dict[str, int], count: int, rounds: int, target: str
) -> list[Figure]:
    """Tokens/s of the first worker beside each of the others, all of them in turns."""
    seconds: dict[str, list[float]] = {worker: [] for worker in workers}
    for _ in range(rounds):
        for worker, process in workers.items():
            seconds[worker].append(process.seconds(task))
    rates = {worker: count / statistics.median(times) for worker, times in seconds.items()}
    own, *peers = rates
    return [
        Figure(name, rates[own], "tokens/s", other, rates[other], target if index == 0 else "")
        for index, other in enumerate(peers)
    ]


def _memory(own: Worker, other: Worker) -> Figure:
    try:
        for worker in (own, other):
            worker.seconds(MEMORY)
        peaks = own.peak_mb(), other.peak_mb()
    finally:
        own.close()
        other.close()
    return Figure("engine.memory", peaks[0], "MB", "llama.cpp", peaks[1], "at most 650")


def _exactness() -> list[Figure]:
    """Of the native path, beside bfloat16 PyTorch; the reference is float32 on the dequantised weights."""
    torch.set_num_threads(physical_cores())
    reference = load_model(DEFAULT_PRESET, device="cpu", dtype="float32", offline=True)
    conversations = chat_tokens(reference.template)
    expected = {tuple(tokens): logits_of(reference.model)(tokens) for tokens in conversations}
    del reference
    results = []
    for engine in ("native", "torch"):
        model = load_model(DEFAULT_PRESET, device="cpu", engine=engine, offline=True).model
        results.append(exactness(lambda tokens: expected[tuple(tokens)], logits_of(model), conversations))
    own, other = results
    peer = "PyTorch bf16"
    return [
        Figure("engine.kl", own.kl, "nats", peer, other.kl, "at most 0.005"),
        Figure("engine.top1", 100 * own.top1, "%", peer, 100 * other.top1, "at least 96"),
        Figure("engine.wide_flips", 100 * own.wide_flips, "%", target="at most 0.3"),
    ]
