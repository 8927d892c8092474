"""Shards of some sentences, and runs of `python -m training.pretrain` on them, for the tests of this folder."""

from __future__ import annotations

import csv
import os
import socket
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from shards_helpers import make_shards

from shared.config import ROOT

SENTENCES = [
    f"{one} and {other} went to the {place}. They saw {n} ships, and {one} was happy."
    for n, place, one, other in product(
        ("two", "ten", "no"), ("sea", "lake"), ("Mia", "Tom", "Ann", "Eve"), ("Kim", "Lou", "Sam", "Ned")
    )
]
BATCH_TOKENS = 128


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


def start(arguments: list[str], ranks: int = 1, **options: Any) -> list[subprocess.Popen[str]]:
    """The program as people run it; of several ranks as torchrun starts them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    world = {
        "WORLD_SIZE": str(ranks),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }
    return [
        subprocess.Popen(
            [sys.executable, "-m", "training.pretrain", *arguments],
            cwd=ROOT,
            env={**os.environ, **(world if ranks > 1 else {}), "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )
        for rank in range(ranks)
    ]


def finish(processes: list[subprocess.Popen[str]], status: int = 0) -> str:
    """What the leading rank said; all of them ended with `status`."""
    said = [process.communicate(timeout=110)[1] for process in processes]
    assert [process.returncode for process in processes] == [status] * len(processes), said
    return said[0]


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
