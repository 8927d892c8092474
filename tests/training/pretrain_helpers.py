"""Shards of some sentences, and runs of `python -m training.pretrain` on them, for the tests of this folder."""

from __future__ import annotations

import csv
import multiprocessing
import os
import signal
import socket
import sys
import threading
from itertools import product
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from shards_helpers import make_shards

from training import loop, pretrain
from training.guard import leave

SENTENCES = [
    f"{one} and {other} went to the {place}. They saw {n} ships, and {one} was happy."
    for n, place, one, other in product(
        ("two", "ten", "no"), ("sea", "lake"), ("Mia", "Tom", "Ann", "Eve"), ("Kim", "Lou", "Sam", "Ned")
    )
]
BATCH_TOKENS = 128
KILL = signal.SIGKILL if sys.platform != "win32" else signal.SIGTERM
Limits = tuple[int | None, int | None, int]
_PROCESSES = multiprocessing.get_context("spawn" if sys.platform == "win32" else "forkserver")
if sys.platform != "win32":  # what every rank would spend five seconds on, loaded once
    _PROCESSES.set_forkserver_preload(
        ["training.pretrain", "torch._dynamo", "torch.distributed.fsdp", "torch.distributed.device_mesh"]
    )


def make_data(folder: Path) -> Path:
    """The sentences as shards of one token a byte; some of them are to validate by."""
    folder.mkdir()
    return make_shards(folder, SENTENCES, "--validation", "0.2")


def command(data: Path, out: Path, *more: str) -> list[str]:
    """Arguments of a small run: two passes of two rows a step on one process."""
    arguments = {
        "--data": data, "--out": out, "--n-layer": 2, "--n-head": 2, "--n-kv-head": 1, "--n-embd": 32,
        "--context": 32, "--batch": 2, "--step-tokens": BATCH_TOKENS, "--steps": 8, "--evaluate-every": 4,
        "--evaluate-tokens": 256, "--save-every": 2, "--samples": 0, "--device": "cpu", "--threads": 1,
        "--dtype": "float32", "--lr": 0.05,
    }  # fmt: skip
    return [*(str(part) for pair in arguments.items() for part in pair), *more]


def run(*arguments: str) -> int:
    """Its exit status, in this process."""
    threads = torch.get_num_threads()
    try:
        return pretrain.main(arguments)
    finally:
        torch.set_num_threads(threads)


class Rank:
    """A process of a run."""

    def __init__(self, arguments: list[str], env: dict[str, str], limits: Limits) -> None:
        self._heard, told = _PROCESSES.Pipe(duplex=False)
        self._process = _PROCESSES.Process(target=_rank, args=(arguments, env, told, limits))
        self._process.start()
        told.close()

    def kill(self) -> None:
        self._process.kill()

    def finish(self) -> tuple[int | None, str]:
        """Its exit status, and what it said on standard error, which is less than fills a pipe."""
        self._process.join(110)
        if self._process.exitcode is None:
            self._process.kill()
        with os.fdopen(os.dup(self._heard.fileno()), encoding="utf-8") as file:
            return self._process.exitcode, file.read()


def start(
    arguments: list[str],
    ranks: int = 1,
    *,
    stop_at: int | None = None,
    file_bytes: int | None = None,
    file_bytes_at: int = 0,
) -> list[Rank]:
    """The program in its own processes, of several ranks with torchrun's environment.

    In the step after `stop_at` they wait to be killed; on the first no file grows beyond `file_bytes` from the
    step after `file_bytes_at` on.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    world = {"WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    found = []
    for rank in range(ranks):
        env = {**(world if ranks > 1 else {}), "RANK": str(rank), "LOCAL_RANK": str(rank)}
        limits = (stop_at, None if rank else file_bytes, file_bytes_at)
        found.append(Rank(arguments, env, limits))
    return found


def _rank(arguments: list[str], env: dict[str, str], told: Connection, limits: Limits) -> None:
    """What runs in a rank's process."""
    os.environ.update(env)
    os.dup2(told.fileno(), 2)
    one_step = loop.one_step

    def step(run: loop.Run[Any], state: loop.State, rate: float) -> tuple[float, float, int]:
        stop_at, file_bytes, file_bytes_at = limits
        if state.step == stop_at:
            threading.Event().wait()
        if file_bytes is not None and state.step == file_bytes_at:
            import resource

            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
        return one_step(run, state, rate)

    loop.one_step = step
    leave(pretrain.main(arguments))


def finish(ranks: list[Rank], *status: int) -> list[str]:
    """What each rank said; they ended with these statuses, all with 0 if none are given."""
    ended, said = zip(*[rank.finish() for rank in ranks], strict=True)
    assert ended == (status or (0,) * len(ranks)), said
    assert "Traceback" not in "".join(said)
    return list(said)


def rows(folder: Path) -> list[dict[str, str]]:
    """The log without what depends on the clock."""
    with (folder / "log.csv").open(encoding="utf-8", newline="") as file:
        return [
            {k: v for k, v in row.items() if k not in ("tokens_per_s", "mfu")} for row in csv.DictReader(file)
        ]


def same_bits(one: Path, other: Path) -> bool:
    """Whether two safetensors files hold equal tensors."""
    left, right = load_file(one), load_file(other)
    return left.keys() == right.keys() and all(left[name].equal(right[name]) for name in left)
