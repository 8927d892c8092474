"""`--model auto` is a table: machine in, name and reason out. And the table it chooses from is right."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
import torch

from shared.config import LlmSettings
from shared.model import auto
from shared.model.auto import FREE_LICENCES, LARGEST_DOWNLOAD_BYTES, Machine, choose, this_machine
from shared.model.config import GPTConfig
from shared.model.errors import ModelError
from shared.model.fetch import is_present
from shared.model.presets import DEFAULT_CACHED_TOKENS, DEFAULT_PRESET, load_preset, preset_names

GB = 10**9
ALL = [load_preset(name) for name in preset_names()]
LAPTOP = Machine("cpu", "4 cores", 12 * GB, 4, None, 100 * GB)
H100 = Machine("cuda", "cuda (H100)", 80 * GB, 16, 2.0, 500 * GB)


@pytest.mark.parametrize(
    ("machine", "present", "name", "because"),
    [
        (LAPTOP, (), "qwen3-1.7b", "qwen3-4b would write about 16 tokens/s, too few"),
        (replace(LAPTOP, memory_bytes=3 * GB), (), "qwen2.5-1.5b", "smollm2-1.7b would take about 2.4 GB"),
        (replace(LAPTOP, memory_bytes=1_500_000_000), (), "qwen2.5-0.5b", "qwen3-0.6b would take"),
        (replace(LAPTOP, cores=2, title="2 cores"), (), "smollm2-1.7b", "qwen3-1.7b would write about 14 tokens/s"),
        (replace(LAPTOP, cores=1), (), "qwen2.5-0.5b", "qwen3-0.6b would write"),
        (replace(LAPTOP, bytes_per_parameter=4.0), (), "qwen2.5-0.5b", "qwen3-0.6b would write about 17"),
        (replace(LAPTOP, bytes_per_parameter=4.0, cores=1), (), "smollm2-135m", "smollm2-360m would write"),
        (replace(LAPTOP, disk_bytes=GB), (), "qwen3-0.6b", "qwen3-1.7b would run too, but is a download of 1.8 GB"),
        (replace(LAPTOP, disk_bytes=GB), ("qwen3-1.7b",), "qwen3-1.7b", "qwen3-4b would write"),
        (replace(LAPTOP, memory_bytes=10**8), (), "smollm2-135m", "no model is small enough"),
        (H100, (), "qwen3-4b", "qwen3-8b would run too, but is a download of 5.0 GB: --model qwen3-8b"),
        (H100, ("qwen2.5-7b",), "qwen2.5-7b", "qwen3-8b would run too"),
                (H100, ("qwen3-8b",), "qwen3-8b", "there is no larger one"),
        (replace(H100, memory_bytes=6 * GB), (), "qwen2.5-1.5b", "smollm2-1.7b would take about 5.0 GB, which leaves too little"),
        (Machine("mps", "mps", 4 * GB, 8, 2.0, 50 * GB), (), "qwen3-0.6b", "qwen2.5-1.5b would take about 3.9 GB"),
    ],
)  # fmt: skip
def test_the_largest_that_fits_is_fast_and_needs_no_asking(
    machine: Machine, present: tuple[str, ...], name: str, because: str
) -> None:
    choice = choose(machine, ALL, present, DEFAULT_CACHED_TOKENS)
    assert choice.name == name
    assert choice.why.startswith(f"auto chose {name} for {machine.title}: ")
    assert because in choice.why
    assert choice.why.endswith(".")
    assert "\n" not in choice.why


def test_more_conversations_leave_room_for_less_model() -> None:
    tight = replace(LAPTOP, memory_bytes=4 * GB)
    names = [choose(tight, ALL, (), slots * 8192).name for slots in (1, 2, 8)]
    sizes = [load_preset(name).parameters for name in names]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) > 1


def test_nothing_conditional_and_nothing_huge_is_chosen_unasked() -> None:
    for memory in range(1, 100, 3):
        for cores in (1, 2, 4, 8):
            machine = Machine("cpu", "", memory * GB, cores, None, 1000 * GB)
            chosen = load_preset(choose(machine, ALL, (), DEFAULT_CACHED_TOKENS).name)
            assert chosen.licence in FREE_LICENCES
            assert chosen.size_bytes <= LARGEST_DOWNLOAD_BYTES


def test_this_machine_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = this_machine("cpu", "float32")
    assert machine.device == "cpu"
    assert 0 < machine.memory_bytes <= psutil.virtual_memory().total
    assert machine.bytes_per_parameter == 4.0
    assert machine.cores >= 1
    assert machine.disk_bytes > 0
    with pytest.raises(ModelError, match="The model cannot run here: unknown device 'toaster'"):
        this_machine("toaster")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert this_machine("mps").memory_bytes <= psutil.virtual_memory().total // 2


def test_a_card_is_asked_for_its_own_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (7 * GB, 8 * GB))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tiny 3000")
    machine = this_machine("auto")
    assert (machine.device, machine.title) == ("cuda", "cuda (Tiny 3000)")
    assert (machine.memory_bytes, machine.bytes_per_parameter) == (7 * GB, 2.0)


def test_the_command_prints_the_name_alone_on_standard_output() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "shared.model.auto", "--device", "cpu"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0
    assert done.stdout.strip() in preset_names()
    assert done.stderr.startswith("auto chose ")
    assert done.stderr.count("\n") == 1
    wrong = subprocess.run(
        [sys.executable, "-m", "shared.model.auto", "--device", "no"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.count("\n") == 1


# -- the table --------------------------------------------------------------------------------------------

SHAPES = {
    # layers, width, heads, KV heads, head size, MLP, vocabulary, tied, QKV bias, QK norm: from the models' config.json
    "smollm2-135m": (30, 576, 9, 3, 64, 1536, 49152, True, False, False),
    "smollm2-360m": (32, 960, 15, 5, 64, 2560, 49152, True, False, False),
    "smollm2-1.7b": (24, 2048, 32, 32, 64, 8192, 49152, True, False, False),
    "qwen2.5-0.5b": (24, 896, 14, 2, 64, 4864, 151936, True, True, False),
    "qwen2.5-1.5b": (28, 1536, 12, 2, 128, 8960, 151936, True, True, False),
    "qwen2.5-3b": (36, 2048, 16, 2, 128, 11008, 151936, True, True, False),
    "qwen2.5-7b": (28, 3584, 28, 4, 128, 18944, 152064, False, True, False),
    "mistral-7b": (32, 4096, 32, 8, 128, 14336, 32768, False, False, False),
    "qwen3-0.6b": (28, 1024, 16, 8, 128, 3072, 151936, True, False, True),
    "qwen3-1.7b": (28, 2048, 16, 8, 128, 6144, 151936, True, False, True),
    "qwen3-4b": (36, 2560, 32, 8, 128, 9728, 151936, True, False, True),
    "qwen3-8b": (36, 4096, 32, 8, 128, 12288, 151936, False, False, True),
    "llama-3.2-1b": (16, 2048, 32, 8, 64, 8192, 128256, True, False, False),
    "llama-3.2-3b": (28, 3072, 24, 8, 128, 8192, 128256, True, False, False),
}


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_says_what_its_model_takes(name: str) -> None:
    preset = load_preset(name)
    layers, width, heads, kv_heads, head_size, hidden, vocabulary, tied, bias, qk_norm = SHAPES[name]
    shape = GPTConfig(
        n_layer=layers, n_embd=width, n_head=heads, n_kv_head=kv_heads, head_dim=head_size,
        intermediate_size=hidden, vocab_size=vocabulary, tied_head=tied, qkv_bias=bias,
        qk_norm="before_rope" if qk_norm else "none", emb_norm=False,
    )  # fmt: skip
    assert (preset.layers, preset.kv_heads, preset.head_size) == (layers, kv_heads, head_size)
    assert preset.parameters == shape.parameter_count
    needed = preset.memory_bytes(None, LlmSettings().slots * LlmSettings().context)
    assert preset.memory_mb == -(-needed // 10**6)
    bits = 8 * preset.size_bytes / preset.parameters
    assert 4 < bits < 9
    if preset.hub is not None:
        assert len(preset.hub_name.revision) == 40, "a preset never changes under its name"


def test_the_table_reaches_from_135_million_to_8_billion() -> None:
    sizes = sorted(preset.parameters for preset in ALL)
    assert (sizes[0], sizes[-1]) == (134_515_008, 8_190_735_360)
    assert max(right / left for left, right in pairwise(sizes)) < 2.7
    assert load_preset(DEFAULT_PRESET).parameters == sizes[0]


def test_a_preset_of_the_hub_is_not_here_until_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AKANE_CACHE", str(tmp_path))
    assert not is_present("qwen3-8b")
    assert auto.choose_here("cpu").name in preset_names()
