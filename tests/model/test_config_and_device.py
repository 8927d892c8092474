"""Hostile or mistaken configs give one sentence; the machine picks device, type and threads."""

from __future__ import annotations

import json

import pytest
import torch

from shared import cores
from shared.model import device
from shared.model.config import GPTConfig


def test_round_trip_through_json() -> None:
    config = GPTConfig(
        n_embd=64,
        n_head=4,
        n_kv_head=2,
        rope_scaling=None,
        qk_norm="none",
        token_limit=None,
    )
    assert GPTConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    scaling = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_context": 8192}
    scaled = GPTConfig.from_dict({"rope_scaling": scaling})
    assert GPTConfig.from_dict(json.loads(json.dumps(scaled.to_dict()))) == scaled


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"n_layer": -1}, "n_layer must be an integer from 1"),
        ({"n_layer": 0}, "n_layer"),
        ({"n_layer": 10**9}, "n_layer"),
        ({"n_layer": 2.0}, "n_layer"),
        ({"n_layer": True}, "n_layer"),
        ({"vocab_size": "96"}, "vocab_size"),
        ({"n_kv_head": 5}, "not a multiple of n_kv_head"),
        ({"n_embd": 770}, "not a multiple of n_head"),
        ({"head_dim": 7}, "even head size"),
        ({"mlp_ratio": -1.0}, "mlp_ratio"),
        ({"mlp_ratio": 1e9}, "mlp_ratio"),
        ({"eps": float("nan")}, "eps"),
        ({"rope_theta": float("inf")}, "rope_theta"),
        ({"rope_theta": None}, "rope_theta"),
        ({"qk_norm": "sometimes"}, "qk_norm must be one of"),
        ({"rope_dtype": ["bfloat16"]}, "rope_dtype must be one of"),
        ({"tied_head": 1}, "tied_head must be true or false"),
        ({"token_limit": 0}, "token_limit"),
        ({"dropout": 0.1}, "unknown field 'dropout'"),
        ({"rope_scaling": {"factor": 2.0}}, "rope_scaling must have the fields"),
        ({"rope_scaling": [1]}, "rope_scaling must have the fields"),
        (
            {
                "rope_scaling": {
                    "factor": 2.0,
                    "low_freq_factor": 4,
                    "high_freq_factor": 4,
                    "original_context": 8,
                }
            },
            "must exceed",
        ),
    ],
)
def test_impossible_configs_give_one_sentence(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GPTConfig.from_dict(values)


def test_auto_takes_the_first_device_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def machine(cuda: bool, mps: bool) -> str:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        return device.pick_device("auto").type

    assert machine(True, True) == "cuda"
    assert machine(False, True) == "mps"
    assert machine(False, False) == "cpu"


@pytest.mark.parametrize("name", ["gpu", "cuda", "cuda:7", "meta", "mps", ""])
def test_a_device_that_is_not_there_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ValueError, match="device"):
        device.pick_device(name)


def test_auto_dtype_follows_the_hardware(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    monkeypatch.setattr(device, "cpu_has_fast_bfloat16", lambda: True)
    assert device.pick_dtype(cpu) == torch.bfloat16
    monkeypatch.setattr(device, "cpu_has_fast_bfloat16", lambda: False)
    assert device.pick_dtype(cpu) == torch.float32
    assert device.pick_dtype(torch.device("mps")) == torch.float16
    assert device.pick_dtype(cpu, "float16") == torch.float16
    with pytest.raises(ValueError, match="unknown dtype 'int3'"):
        device.pick_dtype(cpu, "int3")


def test_threads_are_the_physical_cores_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    monkeypatch.setattr(cores.psutil, "cpu_count", lambda logical: 4)
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    try:
        assert device.set_threads() == torch.get_num_threads() == 3
        assert device.set_threads(1) == torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
