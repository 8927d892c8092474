"""DPO against its formula written out in float64, and real runs of `python -m training.preference` on a tiny model."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from training_helpers import ROOT, command, tiny, write_dialogues

from shared.model.adapted import attach
from shared.model.adapter import TARGETS, load_adapter, require_fits
from shared.model.config import GPTConfig
from shared.model.gpt import GPT
from shared.model.loading import load_model
from shared.persona import load_persona
from training import checkpoints, finetune
from training import preference as program
from training.lora import add_lora, load_values
from training.packing import make_row, row_likelihoods
from training.pairs import Pair, render_pair
from training.preference import margins, preference_loss
from training.rendering import Sample

CONFIG = GPTConfig(block_size=64, vocab_size=64, n_layer=2, n_head=4, n_kv_head=2, n_embd=32, token_limit=64)
ASKED = ("tea", "rain", "chess", "boats", "maps", "songs", "cats", "snow", "kites", "soup", "trains", "moss")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Many small steps: on shared cores a second thread costs more than it gains."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def random_values(parameters: dict[str, Any], seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: 0.1 * torch.randn(p.shape, generator=generator) for name, p in parameters.items()}


@pytest.mark.parametrize(("per_token", "sft"), [(False, 0.0), (True, 0.3)])
def test_loss_and_gradient_are_those_of_the_formula(per_token: bool, sft: float) -> None:
    torch.manual_seed(0)
    state = {name: 0.2 * torch.randn(p.shape) for name, p in GPT(CONFIG).named_parameters()}
    model = GPT.from_state(CONFIG, iter(state.items()), dtype=torch.float32)
    plain = GPT.from_state(CONFIG, iter(state.items()), dtype=torch.float32).double()
    ids = torch.randint(0, 64, (4, 18)).tolist()
    samples = [Sample((*range(6), *one[: 12 + i]), ((14, 18 + i - i % 2),)) for i, one in enumerate(ids)]
    parameters = add_lora(model, 4, 8.0, TARGETS)
    old, new = random_values(parameters, 1), random_values(parameters, 2)
    row = make_row(samples)
    assert row.head == 6
    load_values(parameters, old)
    with torch.no_grad():
        reference = row_likelihoods(model, row).view(2, 2)
    load_values(parameters, new)
    lengths = torch.tensor([[float(one.n_learned) for one in samples]]).view(2, 2)
    ours = preference_loss(row_likelihoods(model, row).view(2, 2), reference, lengths, 0.5, per_token, sft)
    ours.sum().backward()

    def log_p(halves: dict[str, torch.Tensor], sample: Sample) -> torch.Tensor:
        weights = {
            f"{name[:-7]}.weight": plain.get_parameter(f"{name[:-7]}.weight")
            + 2.0 * halves[f"{name[:-1]}b"] @ halves[name]
            for name in halves
            if name.endswith("lora_a")
        }
        logits = torch.func.functional_call(plain, weights, (torch.tensor([sample.ids]),))[0]
        assert logits.dtype == torch.float64
        start, end = sample.learned[0]
        likelihoods = logits[start - 1 : end - 1].log_softmax(-1)
        return likelihoods.gather(1, torch.tensor(sample.ids[start:end])[:, None]).sum()

    leaves = {name: value.double().requires_grad_() for name, value in new.items()}
    frozen = {name: value.double() for name, value in old.items()}
    expected = []
    for chosen, rejected in (samples[:2], samples[2:]):
        n_chosen, n_rejected = (chosen.n_learned, rejected.n_learned) if per_token else (1, 1)
        gain = 0.5 * (log_p(leaves, chosen) - log_p(frozen, chosen)) / n_chosen
        loss = 0.5 * (log_p(leaves, rejected) - log_p(frozen, rejected)) / n_rejected
        expected.append(
            -torch.log(1 / (1 + torch.exp(-(gain - loss)))) - sft * log_p(leaves, chosen) / chosen.n_learned
        )
    torch.testing.assert_close(ours.double(), torch.stack(expected), atol=1e-5, rtol=1e-5)
    sum(expected).backward()
    for name, leaf in leaves.items():
        torch.testing.assert_close(
            parameters[name].grad.double(), leaf.grad, atol=1e-5, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}"
        )


def test_the_loss_has_the_gradient_that_differences_have() -> None:
    policy, reference = (-20 * torch.rand(5, 2, dtype=torch.float64) for _ in range(2))
    lengths = torch.randint(3, 30, (5, 2)).double()
    policy.requires_grad_()
    assert torch.autograd.gradcheck(lambda p: preference_loss(p, reference, lengths, 0.1, False, 0.2), policy)
    assert torch.autograd.gradcheck(lambda p: preference_loss(p, reference, lengths, 2.0, True, 0.0), policy)
    # Nothing learned yet: every pair costs log 2.
    nothing = preference_loss(reference, reference, lengths, 0.1, False, 0.0)
    torch.testing.assert_close(nothing, torch.full((5,), 2.0, dtype=torch.float64).log())


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model, its persona, an adapter of fine-tuning and pairs."""
    folder = tmp_path_factory.mktemp("learned")
    model = tiny(folder)
    assert finetune.main(command(folder / "sft", model, "--epochs", "2", "--lr", "0.01")) == 0
    write_dialogues(
        folder / "pairs.jsonl",
        *(
            {"id": f"p-{i}", "author": "Mia", "message": f"do you like {what}?",
             "history": [{"text": "hi", "reply": "Hi!"}] if i % 3 == 0 else [],
             "chosen": f"Oh, {what} and I are old friends.",
             "rejected": f"As an assistant I cannot like {what}. How can I help you?", "why": "no_assistant"}
            for i, what in enumerate(ASKED)
        ),
    )  # fmt: skip
    return folder


def command_of(learned: Path, out: Path) -> list[str]:
    arguments = {
        "--pairs": learned / "pairs.jsonl",
        "--adapter": learned / "sft" / "akane.safetensors",
        "--model": learned / "tiny.safetensors",
        "--persona": learned / "persona.toml",
        "--out": out,
        "--heldout-share": 0.4,
        "--batch": 4,
        "--samples": 0,
        "--evaluate-every": 2,
        "--patience": 0,
        "--max-tokens": 512,
        "--row-tokens": 512,
        "--dtype": "float32",
        "--device": "cpu",
        "--threads": 1,
        "--lr": 0.002,
        "--name": "better",
    }
    return [str(part) for pair in arguments.items() for part in pair]


def run(learned: Path, out: Path, *more: str) -> int:
    return program.main([*command_of(learned, out), *more])


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open(encoding="utf-8", newline="") as file:
        return [{k: v for k, v in row.items() if k != "tokens_per_s"} for row in csv.DictReader(file)]


def test_held_out_pairs_are_told_apart_and_the_adapter_does_what_was_measured(
    tmp_path: Path, learned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(learned, tmp_path, "--epochs", "4", "--samples", "1", "--checkpointing") == 0
    said = capsys.readouterr().err
    assert " held out, 0 too long" in said
    assert "do you like" in said
    before, after = (
        load_adapter(path)
        for path in (learned / "sft" / "akane.safetensors", tmp_path / "better.safetensors")
    )
    assert after.info.metrics["heldout_accuracy"] == 1.0
    assert after.info.metrics["heldout_margin"] > 0
    assert (after.info.rank, after.info.alpha, after.info.name) == (4, 32.0, "better")
    judged = [row for row in rows(tmp_path) if row["heldout_loss"]]
    assert float(judged[-1]["heldout_loss"]) < 0.69
    # On the path where it is used, and with pairs that the run never saw.
    loaded = load_model(str(learned / "tiny.safetensors"), device="cpu", dtype="float32")
    require_fits(after, loaded.model.config, loaded.sha256)
    persona = load_persona(str(learned / "persona.toml"))
    unseen = [
        Pair(id=f"u-{what}", message=f"what about {what}?", chosen=f"{what.title()} and I are old friends.",
             rejected=f"As an assistant I cannot judge {what}.")
        for what in ("glue", "the sea")
    ]  # fmt: skip
    held = [render_pair(loaded, persona, pair) for pair in unseen]

    @torch.no_grad()
    def log_p(sample: Sample) -> float:
        likelihoods = loaded.model(torch.tensor([sample.ids]))[0].log_softmax(-1)
        start, end = sample.learned[0]
        return float(sum(likelihoods[i - 1, sample.ids[i]] for i in range(start, end)))

    tables = []
    for adapter in (before, after):
        attach(loaded.model, adapter)
        tables.append(torch.tensor([[log_p(sample) for sample in one.samples] for one in held]))
    assert bool((margins(tables[1], tables[0], None, 0.1) > 0).all())


def test_it_goes_on_bit_by_bit_and_with_the_same_pairs_only(
    tmp_path: Path, learned: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ("--epochs", "4", "--sft", "0.1", "--per-token", "--beta", "2")
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert run(learned, whole, *more) == 0
    save = checkpoints.save

    def interrupted(*arguments: Any) -> None:
        save(*arguments)
        if arguments[1] == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save", interrupted)
        assert run(learned, cut, *more) == 130
    assert "--resume goes on" in capsys.readouterr().err
    assert run(learned, cut, *more) == 2
    assert "add --resume" in capsys.readouterr().err
    assert run(learned, cut, *more, "--resume", "--beta", "1") == 2
    assert "holds a run with beta = 2.0, not 1.0" in capsys.readouterr().err
    assert run(learned, cut, *more, "--resume") == 0
    assert "going on behind step 4" in capsys.readouterr().err
    assert len(rows(whole)) > 5
    assert rows(whole) == rows(cut)
    for name in ("weights", "optimiser"):
        one, other = (
            load_file(checkpoints.newest(folder) / f"{name}.safetensors") for folder in (whole, cut)
        )
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)
    one, other = (load_adapter(folder / "better.safetensors") for folder in (whole, cut))
    assert one.info == other.info
    assert one.fingerprint() == other.fingerprint()


def test_two_processes_learn_what_one_does(tmp_path: Path, learned: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    assert run(learned, one, "--epochs", "2") == 0
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    done = subprocess.run(
        [*launch, "-m", "training.preference", *command_of(learned, two), "--epochs", "2"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    for left, right in zip(rows(one), rows(two), strict=True):
        assert left["tokens"] == right["tokens"]
        for name in ("loss", *program.MEASURES):
            if left[name]:
                assert float(left[name]) == pytest.approx(float(right[name]), rel=1e-3, abs=1e-4)


def test_it_ends_when_held_out_pairs_are_told_apart_no_better(tmp_path: Path, learned: Path) -> None:
    pairs = [json.loads(line) for line in (learned / "pairs.jsonl").read_text("utf-8").splitlines()]
    turned = [{**one, "chosen": one["rejected"], "rejected": one["chosen"]} for one in pairs]
    heldout = write_dialogues(tmp_path / "turned.jsonl", *turned)
    assert run(learned, tmp_path / "out", "--epochs", "40", "--patience", "2", "--heldout", str(heldout)) == 0
    judged = [(float(row["heldout_wrong"]), float(row["heldout_loss"]), int(row["step"]))
              for row in rows(tmp_path / "out") if row["heldout_loss"]]  # fmt: skip
    assert len(rows(tmp_path / "out")) == min(judged)[2] + 4 < 120
    assert judged[-1][0] > 0.5


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--beta", "0"], "'beta' in the arguments"),
        (["--pairs", "nowhere.jsonl"], "no pairs at"),
        (["--pairs", "EMPTY"], "There is no pair in"),
        (["--pairs", "ARRAY"], "is no JSON object with id, chosen, rejected"),
        (["--pairs", "SAME"], "chosen and rejected are the same"),
        (["--pairs", "NO_REPLY"], "'rejected' is missing"),
        (["--pairs", "ONE"], "too few"),
        (["--adapter", "nowhere.safetensors"], "no adapter file"),
        (["--adapter", "FOREIGN"], "is no adapter that can be used"),
        (["--model", "OTHER"], "but the model that runs is another"),
        (["--preset", "nobody"], "no training preset 'nobody': known are akane-135m"),
        (["--max-tokens", "16"], "are longer than"),
    ],
)
def test_bad_input_gives_one_sentence(
    tmp_path: Path, learned: Path, more: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    good = {"id": "a", "message": "hi", "chosen": "Hi!", "rejected": "No."}
    made = {
        "EMPTY": [],
        "ARRAY": ["[1]\n"],
        "SAME": [{**good, "rejected": "Hi!"}],
        "NO_REPLY": [{key: good[key] for key in ("id", "message", "chosen")}],
        "ONE": [good],
    }
    if more[1] in made:
        more[1:] = [str(write_dialogues(tmp_path / "p.jsonl", *made[more[1]]))]
    if more[1] == "FOREIGN":
        more[1:] = [str(learned / "tiny.safetensors")]
    if more[1] == "OTHER":
        from tiny_model import make_tiny_model

        more[1:] = [str(make_tiny_model(tmp_path, block_size=1024, seed=1))]
    assert run(learned, tmp_path / "out", *more) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("loading: ")]
    assert len(lines) == 1
    assert sentence in lines[0]
    assert not (tmp_path / "out").exists()


def test_every_preset_is_valid() -> None:
    from training.arguments import PRESETS, parse

    names = [path.stem for path in (PRESETS / "preference").glob("*.toml")]
    assert names
    for name in names:
        parsed = parse(program.Arguments, "x", "", ["--preset", name], PRESETS / "preference")
        assert parsed.pairs
