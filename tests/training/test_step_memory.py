"""The memory that a pre-training step is said to take: beside what steps take, and against what is free."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from shared.config import ROOT
from shared.model.config import GPTConfig
from training.errors import TrainingError
from training.memory import PROCESS_BYTES, groups_free, require_memory, step_needs
from training.running import guarded

MEASURE = """
import json, os, sys, torch
from benchmarks import pretrain_worker as worker
from shared.model.config import GPTConfig
torch.set_num_threads(1)
config, rows, passes, autocast = json.loads(sys.argv[1])
worker.CONFIG = GPTConfig(**config)
step = worker.ours(rows, worker.CONFIG.block_size, autocast, torch.device("cpu"), True, passes)
step(), step()
print(worker.peak_bytes(os.getpid()))
"""
WIDE = {"n_layer": 2, "n_head": 8, "n_kv_head": 4, "n_embd": 512, "block_size": 32, "vocab_size": 16384}
DEEP = {"n_layer": 6, "n_head": 4, "n_kv_head": 2, "n_embd": 64, "block_size": 128, "vocab_size": 512}
STEPS = [(WIDE, 1, 2, False), (DEEP, 80, 1, False), (DEEP, 80, 1, True)]
"""Of the first the weights take most, of the others what a pass keeps."""


@pytest.mark.skipif(sys.platform != "linux", reason="the allocator is set up for glibc")
@pytest.mark.slow
def test_it_is_within_a_fifth_of_what_a_step_takes() -> None:
    commands = [[sys.executable, "-c", MEASURE, json.dumps(one)] for one in STEPS]
    running = [subprocess.Popen(one, cwd=ROOT, stdout=subprocess.PIPE, text=True) for one in commands]
    told = [one.communicate()[0] for one in running]
    for (config, rows, passes, autocast), line in zip(STEPS, told, strict=True):
        shape = GPTConfig(**config)  # type: ignore[arg-type]
        needs = step_needs(shape, shape.block_size, True, autocast, False, "cpu", passes=passes)
        measured = int(line)
        assert measured > 1.7 * PROCESS_BYTES
        assert needs.total(rows) == pytest.approx(measured, rel=0.2), (config, passes, autocast)


def test_what_does_not_fit_says_what_would() -> None:
    needs = step_needs(GPTConfig(), 1024, True, True, False, "cpu")
    require_memory(needs, 4, needs.total(4), 1)
    with pytest.raises(TrainingError, match=r"^A pass of 4 rows takes about .* --batch 3 fits\.$"):
        require_memory(needs, 4, needs.total(4) - 1, 1)
    with pytest.raises(TrainingError, match="--batch 1 fits"):
        require_memory(needs, 4, 2 * needs.total(1), 2)
    with pytest.raises(TrainingError, match="take a smaller model"):
        require_memory(needs, 1, needs.fixed, 1)


def test_what_makes_a_step_take_more_or_less() -> None:
    def gigabytes(rows: int, muon: bool = True, checkpointing: bool = False, **more: object) -> float:
        config = GPTConfig(n_layer=24, n_head=16, n_kv_head=4, n_embd=1344)
        needs = step_needs(config, 1024, muon, True, checkpointing, "cuda", **more)  # type: ignore[arg-type]
        return needs.total(rows) / 1e9

    assert gigabytes(1, muon=False) > gigabytes(1) + 1
    recomputed = gigabytes(16, checkpointing=True) - gigabytes(8, checkpointing=True)
    assert recomputed < (gigabytes(16) - gigabytes(8)) / 3
    assert gigabytes(4, documents=True) > gigabytes(4) + 4 * 24 * 2 * 1024**2 / 1e9
    # A gradient of everything stays while the next pass goes on.
    assert gigabytes(16, passes=2) > gigabytes(16) + 2
    # Weights, moments and gradients on eight cards; activations stay whole.
    assert gigabytes(1, shares=8) < gigabytes(1) - 3
    assert gigabytes(16, shares=8) > gigabytes(16) - gigabytes(1)


def test_the_limits_of_control_groups_count(tmp_path: Path) -> None:
    described, mounted = tmp_path / "cgroup", tmp_path / "fs"

    def group(folder: Path, names: tuple[str, str], most: str, used: int, stat: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in zip((*names, "memory.stat"), (most, str(used), stat), strict=True):
            (folder / name).write_text(f"{text}\n")

    assert list(groups_free(tmp_path / "none", mounted)) == []
    two, one = ("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")
    described.write_text("9:cpu,cpuacct:/a\n4:memory:/a\n0::/b/c\n")
    group(mounted / "memory" / "a", one, "1000", 400, "cache 9\ntotal_inactive_file 50\nactive_file 7")
    group(mounted / "b" / "c", two, "max", 300, "active_file 1")
    group(mounted / "b", two, "800", 300, "anon 9\nactive_file 20\ninactive_file 100")
    assert list(groups_free(described, mounted)) == [650, 620]
    (mounted / "b" / "memory.current").write_text("2000")
    assert list(groups_free(described, mounted)) == [650, 0]


def test_a_processor_without_memory_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    def greedy() -> int:
        torch.empty(1 << 56, dtype=torch.uint8)
        return 0

    def broken() -> int:
        raise RuntimeError("something else")

    assert guarded(greedy, "stopped", "lower --batch") == 1
    assert capsys.readouterr().err == "The device has too little memory: lower --batch.\n"
    with pytest.raises(RuntimeError, match="something else"):
        guarded(broken, "stopped")
