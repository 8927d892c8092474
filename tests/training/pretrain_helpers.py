"""Shards of a few hundred sentences, and runs of `python -m training.pretrain` on them, for the tests of this folder."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import socket
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file

from shared.config import ROOT
from shared.model.saved_tokenizer import describe_tokenizer
from shared.model.tokenizer import byte_tokenizer
from training.shards.manifest import TOKENIZER_FILE, VERSION, Manifest, Shard, write_manifest

SENTENCES = [
    f"{one} and {other} went to the {place}. They saw {n} ships, and {one} was happy."
    for n, place, one, other in product(
        ("two", "ten", "no"), ("sea", "lake"), ("Mia", "Tom", "Ann", "Eve"), ("Kim", "Lou", "Sam", "Ned")
    )
]
EOT = 256
BATCH_TOKENS = 128


def make_shards(folder: Path) -> Path:
    """One token is one byte; a shard of each split."""
    folder.mkdir(parents=True)
    tokenizer = json.dumps(describe_tokenizer(byte_tokenizer(["<|endoftext|>"]))).encode()
    (folder / TOKENIZER_FILE).write_bytes(tokenizer)
    splits = {"train": SENTENCES[8:], "validation": SENTENCES[:8]}
    shards, tokens = [], {}
    for split, texts in splits.items():
        ids = [number for text in texts for number in (*text.encode(), EOT)]
        data = np.array(ids, dtype="<u2").tobytes()
        name = f"{split}-00000.bin"
        (folder / name).write_bytes(data)
        tokens[split] = len(ids)
        shards.append(Shard(name, split, len(ids), hashlib.sha256(data).hexdigest()))
    manifest = Manifest(
        version=VERSION,
        tokenizer="bytes",
        tokenizer_sha256=hashlib.sha256(tokenizer).hexdigest(),
        vocab_size=257,
        eot=EOT,
        dtype="uint16",
        source="tests",
        source_sha256="0" * 64,
        tokens=tokens,
        bytes={split: sum(map(len, texts)) for split, texts in splits.items()},
        documents={split: len(texts) for split, texts in splits.items()},
        shards=tuple(shards),
    )
    write_manifest(folder, manifest)
    return folder


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
    said = [process.communicate(timeout=1500)[1] for process in processes]
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
