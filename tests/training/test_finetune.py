"""Real runs of `python -m training.finetune` on a tiny model: they learn, survive kill -9, and say what is wrong."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from training_helpers import DIALOGUES, ROOT, command, start, tiny, write_dialogues
from waiting import until_true

from shared.model.adapted import attach
from shared.model.adapter import load_adapter, require_fits
from shared.model.loading import load_model
from shared.persona import load_persona
from training import finetune as program
from training.checkpoints import newest, read_state
from training.corpus import Corpus
from training.dialogues import read_dialogues
from training.mixture import Mixture
from training.packing import row_loss
from training.splitting import split


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny(tmp_path_factory.mktemp("model"))


def run(*arguments: str) -> int:
    threads = torch.get_num_threads()
    try:
        return program.main(arguments)
    finally:
        torch.set_num_threads(threads)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def same_tensors(one: Path, other: Path) -> bool:
    left, right = load_file(one), load_file(other)
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def finish(arguments: list[str], **options: object) -> str:
    process = start(arguments, **options)
    output, _ = process.communicate(timeout=100)
    assert process.returncode == 0, output
    return output


def test_an_adapter_is_learned_and_belongs_to_its_base(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = command(
        tmp_path, model, "--epochs", "8", "--samples", "1", "--lr", "0.01", "--name", "tiny-akane"
    )
    assert (
        run(
            *arguments,
            "--replay",
            str(DIALOGUES),
            "--checkpointing",
            "--dropout",
            "0.1",
            "--evaluate-every",
            "8",
        )
        == 0
    )
    log = rows(tmp_path)
    assert [int(row["step"]) for row in log] == list(range(1, len(log) + 1))
    assert float(log[-1]["loss"]) < 0.9 * float(log[0]["loss"])
    adapter = load_adapter(tmp_path / "tiny-akane.safetensors")
    loaded = load_model(str(model), device="cpu", dtype="float32")
    require_fits(adapter, loaded.model.config, loaded.sha256)
    judged = [float(row["heldout_loss"]) for row in log if row["heldout_loss"]]
    assert adapter.info.metrics["heldout_loss"] == pytest.approx(min(judged), abs=1e-4)
    assert (adapter.info.rank, adapter.info.alpha) == (4, 32.0)
    # Where it is used, it does what was measured; the file rounds it to bfloat16.
    attach(loaded.model, adapter)
    corpus = Corpus(loaded, load_persona(str(model.with_name("persona.toml"))), 512)
    learned, heldout = split(read_dialogues([DIALOGUES]), 0.45)
    judge = Mixture(learned, [], corpus.samples, 0.3, 0.0, 4, 2048, 0).heldout_rows(heldout)
    with torch.no_grad():
        loss = sum(float(row_loss(loaded.model, row)) for row in judge) / sum(
            len(row.targets) for row in judge
        )
    assert loss == pytest.approx(min(judged), rel=1e-2)
    attach(loaded.model, None)
    with torch.no_grad():
        before = sum(float(row_loss(loaded.model, row)) for row in judge) / sum(
            len(row.targets) for row in judge
        )
    assert loss < 0.99 * before
    said = capsys.readouterr().err
    assert "1 of general chat an epoch" in said
    assert " -> " in said


def test_an_adapter_goes_on_from_another_in_its_shape(tmp_path: Path, model: Path) -> None:
    first = tmp_path / "first"
    assert run(*command(first, model, "--epochs", "6", "--lr", "0.01")) == 0
    begin = first / "akane.safetensors"
    more = command(tmp_path / "second", model, "--epochs", "1", "--lr", "1e-6", "--rank", "9")
    assert run(*more, "--begin", str(begin), "--keep", "0.75") == 0
    before, after = load_adapter(begin), load_adapter(tmp_path / "second" / "akane.safetensors")
    assert (after.info.rank, after.info.alpha, after.info.metrics["keep"]) == (4, 24.0, 0.75)
    assert all(torch.allclose(after.tensors[name], one, atol=1e-3) for name, one in before.tensors.items())
    found = float(rows(tmp_path / "second")[0]["loss"]) / float(rows(first)[0]["loss"])
    assert found < 0.95  # it begins where the other ended


def test_all_weights_are_learned_into_a_checkpoint(tmp_path: Path, model: Path) -> None:
    assert (
        run(*command(tmp_path, model, "--epochs", "4", "--full", "--lr", "0.003", "--dtype", "bfloat16")) == 0
    )
    log = rows(tmp_path)
    assert float(log[-1]["loss"]) < float(log[0]["loss"])
    before, after = (
        load_model(str(model), device="cpu"),
        load_model(str(tmp_path / "akane.safetensors"), device="cpu"),
    )
    assert after.model.config == before.model.config
    messages = [{"role": "user", "content": "hé <|im_end|>"}]
    assert after.template.render(messages) == before.template.render(messages)
    changed = [
        not torch.equal(one.float(), other.float())
        for one, other in zip(before.model.parameters(), after.model.parameters(), strict=True)
    ]
    assert all(changed)


def test_it_goes_on_bit_by_bit_after_kill_9(tmp_path: Path, model: Path) -> None:
    more = ("--epochs", "6", "--dropout", "0.1", "--replay", str(DIALOGUES))
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    reference = start(command(whole, model, *more))
    process = start(command(cut, model, *more))
    until_true(lambda: newest(cut), 60, lambda: "a checkpoint")
    process.send_signal(signal.SIGKILL if os.name != "nt" else signal.SIGTERM)
    process.wait()
    killed_at = read_state(newest(cut))["step"]
    output, _ = reference.communicate(timeout=100)
    assert reference.returncode == 0, output
    assert killed_at < len(rows(whole))
    assert not (cut / "akane.safetensors").exists()
    (cut / "checkpoint-99999999.part").mkdir()  # killed while it wrote
    assert f"going on behind step {killed_at}" in finish(command(cut, model, *more, "--resume"))
    assert same_tensors(newest(whole) / "weights.safetensors", newest(cut) / "weights.safetensors")
    assert same_tensors(newest(whole) / "optimiser.safetensors", newest(cut) / "optimiser.safetensors")
    assert same_tensors(whole / "akane.safetensors", cut / "akane.safetensors")
    volatile = ("tokens_per_s",)
    assert [{k: v for k, v in row.items() if k not in volatile} for row in rows(whole)] == [
        {k: v for k, v in row.items() if k not in volatile} for row in rows(cut)
    ]


def test_two_processes_learn_what_one_does(tmp_path: Path, model: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    assert run(*command(one, model, "--epochs", "2")) == 0
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    done = subprocess.run(
        [*launch, "-m", "training.finetune", *command(two, model, "--epochs", "2")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert len(rows(one)) == len(rows(two))
    for left, right in zip(rows(one), rows(two), strict=True):
        assert left["tokens"] == right["tokens"]
        assert float(left["loss"]) == pytest.approx(float(right["loss"]), rel=1e-4)
        if left["heldout_loss"]:
            assert float(left["heldout_loss"]) == pytest.approx(float(right["heldout_loss"]), rel=1e-4)
    for tensor, other in zip(
        load_file(newest(one) / "weights.safetensors").values(),
        load_file(newest(two) / "weights.safetensors").values(),
        strict=True,
    ):
        torch.testing.assert_close(tensor, other, atol=1e-4, rtol=1e-3)


def test_it_ends_early_when_held_out_loss_no_longer_falls(tmp_path: Path, model: Path) -> None:
    arguments = command(tmp_path, model, "--epochs", "40", "--lr", "0.05", "--patience", "2")
    assert run(*arguments) == 0
    log = rows(tmp_path)
    judged = [(float(row["heldout_loss"]), int(row["step"])) for row in log if row["heldout_loss"]]
    best, at = min(judged)
    assert len(log) == at + 4
    assert len(log) < 40 * 3
    assert load_adapter(tmp_path / "akane.safetensors").info.metrics["heldout_loss"] == pytest.approx(
        best, abs=1e-4
    )


def test_a_loss_that_is_no_number_stops_it(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = program.row_loss
    steps = []

    def broken(*arguments: object, **options: object) -> torch.Tensor:
        steps.append(1)
        loss = whole(*arguments, **options)  # type: ignore[arg-type]
        return loss * float("nan") if torch.is_grad_enabled() and len(steps) > 12 else loss

    monkeypatch.setattr(program, "row_loss", broken)
    assert run(*command(tmp_path, model, "--epochs", "20")) == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("The loss is no longer a number at step ")
    assert not (tmp_path / "akane.safetensors").exists()
    kept = load_file(newest(tmp_path) / "weights.safetensors")
    assert all(bool(tensor.isfinite().all()) for tensor in kept.values())


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--lr", "fast"], "'lr' in the arguments"),
        (["--rank", "0"], "'rank' in the arguments"),
        (["--targets", "attn.c_x"], "'targets"),
        (["--data", "nowhere.jsonl"], "no dialogues at"),
        (["--preset", "nobody"], "no training preset 'nobody'"),
        (["--persona", "nobody"], "no persona 'nobody'"),
        (["--model", "/nowhere/model.gguf"], "/nowhere/model.gguf"),
        (["--device", "tpu"], "unknown device 'tpu'"),
        (["--heldout-share", "0.000001"], "too few"),
        (["--max-tokens", "16"], "are longer than"),
        (["--begin", "nowhere.safetensors"], "nowhere.safetensors"),
        (["--begin", "one.safetensors", "--full"], "leave --begin and --keep away"),
    ],
)
def test_bad_arguments_give_one_sentence(
    tmp_path: Path, model: Path, more: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*command(tmp_path / "out", model, *more)) == 2
    said = capsys.readouterr().err.strip()
    said = "\n".join(line for line in said.splitlines() if not line.startswith("loading: "))
    assert sentence in said
    assert "\n" not in said
    assert not (tmp_path / "out").exists()


def test_a_run_is_neither_overwritten_nor_mixed_with_another(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*command(tmp_path, model, "--epochs", "1")) == 0
    assert run(*command(tmp_path, model, "--epochs", "1")) == 2
    assert "add --resume" in capsys.readouterr().err
    checkpoint = newest(tmp_path)
    kept = checkpoint.rename(tmp_path / "kept")
    assert run(*command(tmp_path, model, "--epochs", "1")) == 2
    assert "akane.safetensors is there, but no checkpoint to go on from" in capsys.readouterr().err
    kept.rename(checkpoint)
    assert run(*command(tmp_path, model, "--epochs", "1", "--resume", "--rank", "8")) == 2
    assert "holds a run with rank = 4, not 8" in capsys.readouterr().err
    other = write_dialogues(
        tmp_path / "d.jsonl", *map(json.loads, DIALOGUES.read_text("utf-8").splitlines()[:11])
    )
    assert run(*command(tmp_path, model, "--epochs", "1", "--resume", "--data", str(other))) == 2
    assert "holds a run with " in capsys.readouterr().err
    assert run(*command(tmp_path, model, "--epochs", "1", "--resume")) == 0


def test_a_damaged_checkpoint_is_named(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*command(tmp_path, model, "--epochs", "1")) == 0
    checkpoint = newest(tmp_path)
    (checkpoint / "weights.safetensors").write_bytes(b"\x05")
    assert run(*command(tmp_path, model, "--epochs", "1", "--resume")) == 2
    assert "cannot be read" in capsys.readouterr().err
    (checkpoint / "state.json").write_text("[]")
    assert run(*command(tmp_path, model, "--epochs", "1", "--resume")) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_every_preset_is_valid() -> None:
    from training.arguments import PRESETS, parse

    names = [path.stem for path in PRESETS.glob("*.toml")]
    assert "akane-135m" in names
    for name in names:
        assert parse(program.Arguments, "x", "", ["--preset", name]).data
