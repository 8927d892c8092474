"""Adapter files: what is written is read, and whatever else lies there is refused in one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from benchmarks.random_adapter import SOMEBODY, random_adapter
from shared.model.adapter import Adapter, load_adapter, require_fits, save_adapter
from shared.model.config import GPTConfig
from shared.model.errors import ModelError

CONFIG = GPTConfig(n_layer=2, n_head=4, n_kv_head=2, n_embd=64, vocab_size=96, block_size=64)
FIRST = "transformer.h.0.attn.c_q.lora_a"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_what_is_saved_is_loaded(tmp_path: Path, dtype: torch.dtype) -> None:
    adapter = random_adapter(CONFIG, targets=("attn.c_q", "mlp.w1"), dtype=dtype)
    path = tmp_path / "tester.safetensors"
    save_adapter(path, adapter)
    loaded = load_adapter(path)
    assert loaded.info == adapter.info
    assert loaded.tensors.keys() == adapter.tensors.keys()
    for name, tensor in adapter.tensors.items():
        assert torch.equal(loaded.tensors[name], tensor)
        assert loaded.tensors[name].dtype == dtype
    assert loaded.fingerprint() == adapter.fingerprint()
    require_fits(loaded, CONFIG, SOMEBODY)


def test_what_computes_otherwise_has_another_fingerprint() -> None:
    adapter = random_adapter(CONFIG)
    others = [random_adapter(CONFIG, seed=2), Adapter(replace(adapter.info, alpha=3.0), adapter.tensors)]
    assert len({one.fingerprint() for one in (adapter, *others)}) == 3
    renamed = Adapter(replace(adapter.info, name="other"), adapter.tensors)
    assert renamed.fingerprint() == adapter.fingerprint()


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tester.safetensors"
    save_adapter(path, random_adapter(CONFIG))
    before = path.read_bytes()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shared.model.checkpoint.save_file", full)
    with pytest.raises(OSError, match="No space"):
        save_adapter(path, random_adapter(CONFIG, seed=2))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_adapter_is_not_saved(tmp_path: Path) -> None:
    adapter = random_adapter(CONFIG)
    with pytest.raises(ValueError, match="rank is 65"):
        save_adapter(tmp_path / "x.safetensors", Adapter(replace(adapter.info, rank=65), adapter.tensors))
    assert not list(tmp_path.iterdir())


def test_another_base_or_another_shape_is_refused() -> None:
    adapter = random_adapter(CONFIG)
    with pytest.raises(ModelError, match=r"tester was made for base \(abababababab…\)") as error:
        require_fits(adapter, CONFIG, "cd" * 32)
    assert str(error.value).count("\n") == 0
    with pytest.raises(ModelError, match=r"does not fit the model: its transformer\.h\.0\."):
        require_fits(adapter, replace(CONFIG, n_embd=128), SOMEBODY)
    with pytest.raises(ModelError, match=r"does not fit the model: its transformer\.h\.1\."):
        require_fits(adapter, replace(CONFIG, n_layer=1), SOMEBODY)


Change = Callable[[dict[str, torch.Tensor], dict[str, str]], Any]
BROKEN: dict[str, tuple[Change, str]] = {
    "a checkpoint": (lambda _, m: m.update(format="akane"), "format is 'akane'"),
    "no metadata": (lambda _, m: m.clear(), "format is 'not given'"),
    "a later version": (lambda _, m: m.update(version="2"), "version is '2'"),
    "no base": (lambda _, m: m.pop("base_hash"), "does not tell its base_hash"),
    "a short hash": (lambda _, m: m.update(base_hash="abc"), "no SHA-256"),
    "a path as name": (lambda _, m: m.update(name="../x"), "its name '../x'"),
    "an escape as name": (lambda _, m: m.update(base_name="\x1b[2J"), "name of its base"),
    "no rank": (lambda _, m: m.update(rank="many"), "no numbers"),
    "a huge rank": (lambda _, m: m.update(rank="65"), "rank is 65"),
    "another rank": (lambda _, m: m.update(rank="4"), "not of rank 4"),
    "a negative alpha": (lambda _, m: m.update(alpha="-1"), "alpha is -1.0"),
    "no alpha": (lambda _, m: m.update(alpha="1e"), "alpha is no number"),
    "targets of text": (lambda _, m: m.update(targets='"mlp.w1"'), "targets are no list"),
    "unknown targets": (lambda _, m: m.update(targets='["lm_head"]'), "targets must be some of"),
    "deep metrics": (lambda _, m: m.update(metrics="[" * 100_000), "metrics are no JSON"),
    "metrics of text": (lambda _, m: m.update(metrics=json.dumps({"a": "b"})), "metrics are no numbers"),
    "half a layer": (lambda t, _: t.pop(FIRST), "other half"),
    "a foreign tensor": (lambda t, _: t.update({"x": torch.zeros(1)}), "belongs to no layer"),
    "a head": (
        lambda t, _: t.update({"lm_head.lora_a": torch.zeros(8, 64), "lm_head.lora_b": torch.zeros(96, 8)}),
        "belongs to no layer",
    ),
    "no tensors": (lambda t, _: t.clear(), "holds no tensors"),
    "halves of float16": (lambda t, _: t.update({FIRST: t[FIRST].half()}), "float16, not bfloat16"),
    "whole numbers": (lambda t, _: t.update({FIRST: t[FIRST].int()}), "cannot be used"),
    "a vector": (lambda t, _: t.update({FIRST: torch.zeros(8)}), "not of rank 8"),
    "no width": (lambda t, _: t.update({FIRST: torch.zeros(8, 0)}), "not of rank 8"),
    "a nan": (lambda t, _: t.update({FIRST: t[FIRST] * float("nan")}), "not finite"),
    "an unkept promise": (lambda _, m: m.update(targets='["attn.c_q", "mlp.w1", "mlp.w2"]'), "promises mlp.w2"),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_file_is_refused_in_one_sentence(tmp_path: Path, what: str) -> None:
    path = tmp_path / "x.safetensors"
    save_adapter(path, random_adapter(CONFIG, targets=("attn.c_q", "mlp.w1")))
    tensors = load_file(path)
    with safe_open(path, "pt") as file:
        metadata = dict(file.metadata())
    change, expected = BROKEN[what]
    change(tensors, metadata)
    save_file(tensors, path, metadata)
    with pytest.raises(ModelError, match=expected.replace("(", r"\(")) as error:
        load_adapter(path)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, b"\x08\0\0\0\0\0\0\0{}      ", b"PK\x03\x04"])
def test_what_is_no_safetensors_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="cannot be read as safetensors|is no adapter"):
        load_adapter(path)


def test_a_missing_file_a_folder_and_a_huge_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="There is no adapter file"):
        load_adapter(tmp_path / "none.safetensors")
    with pytest.raises(ModelError, match="There is no adapter file"):
        load_adapter(tmp_path)
    path = tmp_path / "huge.safetensors"
    with path.open("wb") as file:
        file.truncate((1 << 29) + 1)  # a hole: it takes no room on the disk
    with pytest.raises(ModelError, match="more than any adapter"):
        load_adapter(path)
