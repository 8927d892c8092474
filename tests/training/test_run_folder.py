"""What training does with a folder that holds a run, its result or its remains, and with a disk that is full at the end."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from pretrain_helpers import command, make_data, run, same_bits
from safetensors.torch import load_file, save_file
from training_helpers import command as finetuning
from training_helpers import tiny

from training import finetune, pretrain, running
from training.checkpoints import newest

needs_limits = pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files there")
FULL = "The disk is full: make room. The same command with --resume goes on."


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("data") / "sentences")


def within(n_bytes: int, write: Callable[..., None]) -> Callable[..., None]:
    """`write` on a disk where no file may be larger."""
    import resource

    def limited(*arguments: Any, **more: Any) -> None:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
        try:
            write(*arguments, **more)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limited


def test_a_run_is_neither_overwritten_nor_mixed_with_another(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*command(data, tmp_path, "--steps", "2")) == 0
    before = (tmp_path / "base.safetensors").read_bytes()
    assert run(*command(data, tmp_path, "--steps", "2")) == 2
    assert "add --resume" in capsys.readouterr().err
    assert run(*command(data, tmp_path, "--steps", "2", "--resume", "--n-embd", "64")) == 2
    assert "holds a run with n_embd = 32, not 64" in capsys.readouterr().err
    assert run(*command(data, tmp_path, "--steps", "2", "--resume", "--optimiser", "adamw")) == 2
    assert "holds a run with optimiser = 'muon', not 'adamw'" in capsys.readouterr().err
    other = shutil.copytree(data, tmp_path / "other")
    manifest = json.loads((other / "manifest.json").read_text())
    (other / "manifest.json").write_text(json.dumps({**manifest, "source": "elsewhere"}))
    assert run(*command(other, tmp_path, "--steps", "2", "--resume")) == 2
    assert "holds a run with source = " in capsys.readouterr().err
    (other / "manifest.json").write_text(json.dumps({**manifest, "source_sha256": "0" * 64}))
    assert run(*command(other, tmp_path, "--steps", "2", "--resume")) == 2
    assert "holds a run with another manifest: go on" in capsys.readouterr().err
    tokenizer = (other / "tokenizer.json").read_bytes() + b" "
    (other / "tokenizer.json").write_bytes(tokenizer)
    digest = hashlib.sha256(tokenizer).hexdigest()
    (other / "manifest.json").write_text(json.dumps({**manifest, "tokenizer_sha256": digest}))
    assert run(*command(other, tmp_path, "--steps", "2", "--resume")) == 2
    assert "holds a run with another tokenizer: go on" in capsys.readouterr().err
    # Neither is a result whose checkpoints were deleted to save space.
    log = (tmp_path / "log.csv").read_bytes()
    shutil.rmtree(newest(tmp_path))
    for more in ((), ("--resume",)):
        assert run(*command(data, tmp_path, "--steps", "2", *more)) == 2
        assert "base.safetensors is there, but no checkpoint to go on from" in capsys.readouterr().err
    assert (tmp_path / "base.safetensors").read_bytes() == before
    assert (tmp_path / "log.csv").read_bytes() == log


def test_a_checkpoint_of_other_weights_gives_way_to_the_one_before(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*command(data, tmp_path, "--steps", "4")) == 0
    whole = (tmp_path / "base.safetensors").rename(tmp_path / "whole.safetensors")
    for file, name in (("weights", "transformer.ln_f.weight"), ("optimiser", "lm_head.weight/exp_avg")):
        path = newest(tmp_path) / f"{file}.safetensors"
        kept = path.read_bytes()
        save_file({**load_file(path), name: torch.ones(1)}, path)  # would be spread over all of it
        assert run(*command(data, tmp_path, "--steps", "4", "--resume")) == 2
        said = capsys.readouterr().err.strip().splitlines()[-1]
        assert f"checkpoint-00000004 cannot be read ({name.partition('/')[0]} is (1,), not (" in said
        assert said.endswith("): delete it: --resume then goes on from the one before.")
        path.write_bytes(kept)
    shutil.rmtree(newest(tmp_path))
    assert run(*command(data, tmp_path, "--steps", "4", "--resume")) == 0
    assert same_bits(tmp_path / "base.safetensors", whole)
    shutil.rmtree(tmp_path / "checkpoint-00000002")
    (newest(tmp_path) / "weights.safetensors").write_bytes(b"\x05")
    assert run(*command(data, tmp_path, "--steps", "4", "--resume")) == 2
    assert capsys.readouterr().err.strip().endswith("): delete it and start the run again.")


@needs_limits
def test_a_disk_that_is_full_at_the_result_leaves_the_run(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pretrain, "save_checkpoint", within(1000, pretrain.save_checkpoint))
    assert run(*command(data, tmp_path, "--steps", "2")) == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said == FULL
    assert {path.name for path in tmp_path.iterdir()} == {"log.csv", "checkpoint-00000002"}
    monkeypatch.undo()
    assert run(*command(data, tmp_path, "--steps", "2", "--resume")) == 0
    assert (tmp_path / "base.safetensors").exists()


@needs_limits
@pytest.mark.parametrize(
    ("module", "writer", "more"),
    [(finetune, "save_checkpoint", ("--full",)), (running, "save_adapter", ())],
    ids=["full", "adapter"],
)
def test_so_does_one_that_is_full_at_what_was_tuned(
    tmp_path: Path,
    module: ModuleType,
    writer: str,
    more: tuple[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    arguments = finetuning(out, tiny(tmp_path), "--epochs", "1", *more)
    with monkeypatch.context() as patch:
        patch.setattr(module, writer, within(1000, getattr(module, writer)))
        assert finetune.main(arguments) == 1
    assert capsys.readouterr().err.strip().splitlines()[-1] == FULL
    assert not list(out.glob("*akane*"))
    assert finetune.main([*arguments, "--resume"]) == 0
    assert (out / "akane.safetensors").exists()
