"""Runs of `python -m training.pretrain`: they learn, what they make answers and is measured, and they say what is wrong."""

from __future__ import annotations

import io
import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from conftest import OpenBus, until
from pretrain_helpers import BATCH_TOKENS, SENTENCES, command, make_data, rows, run
from safetensors.torch import load_file

from services.llm.once import answer_once
from shared.config import BusSettings, LlmSettings
from shared.model.generate import generate
from shared.model.loading import load_model
from training import evaluate
from training import pretrain as program
from training.checkpoints import newest, read_state
from training.loop import RECENT
from training.shards.loader import TokenLoader


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("data") / "sentences")


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """A run that has learned something, with all that it leaves and room for a short prompt."""
    out = tmp_path_factory.mktemp("learned")
    more = (
        "--steps",
        "40",
        "--keep-every",
        "20",
        "--tensorboard",
        "--evaluate-every",
        "20",
        "--context",
        "64",
    )
    assert run(*command(data, out, *more, "--name", "tiny", "--samples", "1")) == 0
    return out


def test_it_learns_to_write(learned: Path) -> None:
    log = rows(learned)
    assert [int(row["step"]) for row in log] == list(range(1, 41))
    assert int(log[-1]["tokens"]) == 40 * BATCH_TOKENS
    assert float(log[0]["loss"]) == pytest.approx(5.95, abs=0.1)  # log 384: nothing is known
    assert float(log[-1]["loss"]) < 3.8
    judged = [row for row in log if row["heldout_loss"]]
    # A byte a token, but for the ends of documents, which cost bits and have no bytes.
    bits = float(judged[-1]["heldout_loss"]) / 0.69315
    assert bits < float(judged[-1]["bits_per_byte"]) < 1.05 * bits


def test_a_run_keeps_the_numbers_that_it_began_with(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def computed(quickest: str, *more: str) -> str:
        monkeypatch.setattr("training.running.quickest_dtype", lambda device: quickest)
        assert run(*command(data, tmp_path / "run", "--dtype", "auto", *more)) == 0
        return re.search(r"computed in (\w+)", "".join(capsys.readouterr()))[1]  # type: ignore[index]

    assert computed("bfloat16", "--steps", "4") == "bfloat16"
    assert read_state(newest(tmp_path / "run"))["run"]["dtype"] == "bfloat16"  # type: ignore[arg-type]
    assert computed("float32", "--steps", "4", "--resume") == "bfloat16"


def test_what_was_trained_is_a_model_like_any_other(learned: Path) -> None:
    loaded = load_model(str(learned / "tiny.safetensors"), device="cpu", dtype="float32")
    assert (loaded.model.config.block_size, loaded.model.config.vocab_size) == (64, 384)
    ids = loaded.tokenizer.encode("Mia and")
    found = list(generate(loaded.model, ids, 12, temperature=0.0))
    assert all(number < 257 for number in found)
    assert loaded.tokenizer.decode(found).isascii()
    # So is each checkpoint: it tells its config and its tokenizer.
    same = load_model(str(newest(learned) / "weights.safetensors"), device="cpu", dtype="float32")
    assert same.model.config == loaded.model.config
    assert same.tokenizer.decode(same.tokenizer.encode("hé")) == "hé"
    tensor = loaded.model.transformer["wte"].weight
    torch.testing.assert_close(tensor, same.model.transformer["wte"].weight, atol=0, rtol=2**-8)


def test_it_answers(learned: Path) -> None:
    """A base model goes on in the lines of a chat, with whatever it draws: one byte alone may be no letter."""
    out, err = io.StringIO(), io.StringIO()
    settings = LlmSettings(model=str(learned / "tiny.safetensors"), device="cpu")
    assert answer_once(settings, "hi", 8, out, err) == 0
    assert "tiny" in err.getvalue()
    assert re.search(r"\[[1-8] tokens, .*(length|stop)\]", err.getvalue())
    assert len(out.getvalue()) > 1 or "stop" in err.getvalue()


def test_its_reading_is_a_column_beside_others(
    learned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "prose.txt").write_text(" ".join(SENTENCES[:4]), encoding="utf-8")
    for name in ("messages.toml", "dialogues.jsonl"):
        shutil.copy(evaluate.HELDOUT / name, tmp_path)
    monkeypatch.setattr(evaluate, "HELDOUT", tmp_path)
    model = str(learned / "tiny.safetensors")
    assert evaluate.main(["--reading", "--large", model, "--only", "large", "--out", str(tmp_path)]) == 0
    table = capsys.readouterr().out
    assert "| perplexity of held-out dialogues | too long |" in table
    bits = float(re.search(r"bits per byte of prose \| ([\d.]+) \|", table)[1])
    # It has learned such sentences: as well as its own evaluation says, in windows of one context.
    judged = [float(row["bits_per_byte"]) for row in rows(learned) if row["bits_per_byte"]]
    assert bits == pytest.approx(judged[-1], rel=0.15)


def test_checkpoints_stay_by_rule(learned: Path) -> None:
    steps = sorted(int(path.name.rpartition("-")[2]) for path in learned.glob("checkpoint-*"))
    assert steps == [20, 38, 40]
    state = json.loads((newest(learned) / "state.json").read_text())
    assert (state["step"], state["tokens"], state["run"]["seed"]) == (40, 40 * BATCH_TOKENS, 0)


def test_tensorboard_gets_the_numbers(learned: Path) -> None:
    written = b"".join(path.read_bytes() for path in (learned / "tensorboard").iterdir())
    assert written.count(b"bits_per_byte") == 2
    assert written.count(b"gradient_norm") == 40


def test_a_loss_that_is_no_number_stops_it_and_its_batch_is_kept(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, steps = program.mean_gradients, []

    def broken(*arguments: object) -> float:
        steps.append(1)
        return whole(*arguments) * (float("nan") if len(steps) == 4 else 1)  # type: ignore[arg-type]

    monkeypatch.setattr(program, "mean_gradients", broken)
    assert run(*command(data, tmp_path)) == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("The loss is no longer a number at step 4 ")
    kept = load_file(tmp_path / "broken-00000004" / "rank-0.safetensors")
    again = TokenLoader(data, "train", 2, 32, documents=False)
    for number in range(2):  # two passes a step
        inputs, targets, _ = again.batch_at(2 * 3 + number)
        assert kept[f"{number}/inputs"].equal(inputs)
        assert kept[f"{number}/targets"].equal(targets)
    assert read_state(newest(tmp_path))["step"] == 2
    assert not (tmp_path / "base.safetensors").exists()


def test_a_spike_stops_it(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def rising(*arguments: object) -> float:
        seen.append(whole(*arguments))  # type: ignore[arg-type]
        return 2.0 if len(seen) <= RECENT else 5.0

    whole, seen = program.mean_gradients, []
    monkeypatch.setattr(program, "mean_gradients", rising)
    arguments = command(data, tmp_path, "--steps", "66", "--save-every", "60", "--evaluate-every", "100")
    assert run(*arguments) == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith(f"The loss leaps up at step {RECENT + 1} ")
    assert "go past it with --resume --spike 0" in said
    # Whoever goes past it may see and save more of what comes.
    more = ("--evaluate-every", "3", "--evaluate-tokens", "128", "--save-every", "1", "--name", "past")
    assert run(*arguments, "--resume", "--spike", "0", *more) == 0
    assert [float(row["loss"]) for row in rows(tmp_path)] == [2.0] * 60 + [5.0] * 6
    assert (tmp_path / "past.safetensors").exists()


def test_events_reach_whoever_watches(
    tmp_path: Path, data: Path, broker: BusSettings, open_bus: OpenBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = open_bus("watcher", "train.step")
    for name in ("publish", "subscribe", "commands"):
        monkeypatch.setenv(f"AKANE_BUS_{name.upper()}", getattr(broker, name))
    assert run(*command(data, tmp_path, "--bus", "--name", "watched", "--steps", "4")) == 0
    events = [item.payload for item in until(watcher, lambda items: len(items) >= 4)]
    assert [event.step for event in events] == [1, 2, 3, 4]
    log = rows(tmp_path)
    assert [f"{event.loss:.5f}" for event in events] == [row["loss"] for row in log]
    assert events[-1].heldout_loss == pytest.approx(float(log[-1]["heldout_loss"]))
    assert events[0].heldout_loss is None
    assert (events[-1].run, events[-1].left_s, events[0].steps) == ("watched", 0.0, 4)
    assert events[0].left_s > 0
    assert 0 < events[0].mfu < 1


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--steps", "many"], "'steps' in the arguments"),
        (["--preset", "nobody"], "no training preset 'nobody'"),
        (["--data", "nowhere"], "nowhere"),
        (["--n-head", "3"], "This is no model: n_embd 32 is not a multiple of n_head 3."),
        (["--step-tokens", "100"], "--step-tokens 100 is no multiple of the 64 tokens of a pass"),
        (["--device", "tpu"], "unknown device 'tpu'"),
        (["--context", "4096", "--step-tokens", "8192"], "too few for a context"),
        (["--n-embd", "32768"], "take a smaller model"),
        (["--n-embd", "1024", "--context", "1024", "--batch", "4096", "--step-tokens", "4194304"], " fits."),
        (["--bus"], "No bus answers at tcp://127.0.0.1:9:"),
    ],
)
def test_bad_arguments_give_one_sentence(
    tmp_path: Path,
    data: Path,
    more: list[str],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("training.pretrain.free_bytes", lambda _: 8_000_000_000)
    monkeypatch.setattr("shared.bus.Bus._connect", _nobody)
    monkeypatch.setenv("AKANE_BUS_PUBLISH", "tcp://127.0.0.1:9")
    assert run(*command(data, tmp_path / "out", *more)) == 2
    said = capsys.readouterr().err.strip()
    assert sentence in said
    assert "\n" not in said
    assert not (tmp_path / "out" / "log.csv").exists()


def _nobody(bus: object, register: bool, wait_s: float) -> None:
    """Finding nobody takes the time that it takes in earnest, but for the waiting."""
    from shared.bus import BusError

    raise BusError(f"No bus answers at {bus.settings.publish}: start Akane.")  # type: ignore[attr-defined]


def test_every_preset_fits_its_batch() -> None:
    from training.arguments import PRESETS, parse

    names = sorted(path.stem for path in (PRESETS / "pretrain").glob("*.toml"))
    assert names == ["akane-124m", "akane-large", "nano"]
    for name in names:
        asked = parse(program.Arguments, "x", "", ["--preset", name, "--data", "d"], PRESETS / "pretrain")
        assert asked.step_tokens % (asked.batch * asked.context * (8 if name != "nano" else 1)) == 0


@pytest.mark.parametrize("how", ["recomputed", pytest.param("compiled", marks=pytest.mark.slow)])
def test_recomputed_and_compiled_blocks_learn_the_same(tmp_path: Path, data: Path, how: str) -> None:
    more = ("--checkpointing", *(("--compile",) if how == "compiled" else ()))
    assert run(*command(data, tmp_path / "plain", "--steps", "4")) == 0
    assert run(*command(data, tmp_path / "other", "--steps", "4", *more)) == 0
    for left, right in zip(rows(tmp_path / "plain"), rows(tmp_path / "other"), strict=True):
        assert float(left["loss"]) == pytest.approx(float(right["loss"]), rel=1e-3)
