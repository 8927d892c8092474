"""Evaluation runs on a tiny model as on a real one, and its numbers are those of small cases worked by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_model import make_tiny_model

from shared.model.loading import LoadedModel, load_model
from shared.persona import load_persona
from training import evaluate as module
from training import talking
from training.evaluate import HELDOUT, Way, evaluate, judge, main, read_cases, show, table_of
from training.measures import copied, openings, perplexity, said_twice, windows
from training.rendering import Sample
from training.talking import Line, Talker, first_sentences

PERSONA = load_persona("akane")


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    path = make_tiny_model(tmp_path_factory.mktemp("tiny"))
    return load_model(str(path), device="cpu", dtype="float32")


def test_the_held_out_messages_become_cases() -> None:
    cases = read_cases(HELDOUT / "messages.toml")
    assert len(cases) == 200
    assert sum(bool(case.question.keywords) for case in cases) > 50
    told = next(case for case in cases if case.line.history)
    assert told.line.history[0][0] in told.question.others


def test_the_prompt_is_the_live_one(loaded: LoadedModel) -> None:
    talker = Talker(loaded, PERSONA, examples=False, context=4096)
    line = Line("Mia", "and now?", (("Leo", "hi", "Hi Leo!"),), "Mia has a parrot.")
    text = loaded.tokenizer.decode(talker.prompt(line))
    assert "You remember: Mia has a parrot." in text
    assert "user\nLeo: hi" in text
    assert "assistant\nHi Leo!" in text
    assert text.rstrip().endswith("assistant")
    silence = loaded.tokenizer.decode(talker.prompt(Line("you", "")))
    assert "user\n" not in silence


def test_a_reply_depends_on_its_seed_alone(loaded: LoadedModel) -> None:
    talker = Talker(loaded, PERSONA, examples=False, context=4096)
    lines = [Line("you", "hello"), Line("Mia", "what is up?")]
    first = [talker.reply(line, 7) for line in lines]
    again = [Talker(loaded, PERSONA, examples=False, context=4096).reply(line, 7) for line in reversed(lines)]
    assert first == again[::-1]
    assert all(first)
    assert first != [talker.reply(line, 8) for line in lines]


def test_replies_end_with_the_third_sentence() -> None:
    assert first_sentences("One. Two! Three? Four.", 3) == "One. Two! Three?"
    assert first_sentences("One. Two", 3) == "One. Two"
    assert (
        first_sentences('He said "no." Then 3.5 of them came. Yes.', 2)
        == 'He said "no." Then 3.5 of them came.'
    )


def test_perplexity_is_that_of_the_learned_tokens() -> None:
    def logits_of(ids: Any) -> torch.Tensor:
        return torch.tensor([[0.0, math.log(3.0)]] * len(ids))  # 1/4 and 3/4

    assert perplexity(logits_of, [Sample((0, 1, 1), ((1, 3),))]) == pytest.approx(4 / 3)
    assert perplexity(logits_of, [Sample((1, 0, 1), ((1, 2),))]) == pytest.approx(4.0)
    parts = windows(list(range(1100)), 5)
    assert [len(part.ids) for part in parts] == [513, 513, 77]
    assert sum(part.n_learned for part in parts) == 1100


def test_shares_of_replies() -> None:
    pairs = [("a", "Hi there!"), ("b", "hi there"), ("a", "Bye."), ("c", "Good night.")]
    assert said_twice(pairs) == 0.5
    assert copied(["Hi there!", "Bye."], ["hi, there"]) == 0.5
    assert openings(["I am here", "I am not", "You are"]) == pytest.approx(2 / 3)


def test_a_column_and_the_table(loaded: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = read_cases(HELDOUT / "messages.toml")[:4]
    monkeypatch.setattr(module, "load_talking", lambda name, adapter: loaded)
    (tmp_path / "prose.txt").write_text("All the red leaves fall. " * 30, encoding="utf-8")
    monkeypatch.setattr(module, "HELDOUT", tmp_path)
    numbers, said = evaluate(Way("tiny", "tiny", False), PERSONA, cases, 2, [], {})
    assert [(one["case"], one["seed"]) for one in said] == [(n, seed) for seed in (1, 2) for n in range(4)]
    assert numbers["perplexity of prose"] > 1
    text = show({"tiny": numbers})
    assert "| every rule |" in text
    assert text.count("\n") == len(numbers) + 1


def test_shares_of_a_column(loaded: LoadedModel) -> None:
    talker = Talker(loaded, PERSONA, examples=False, context=4096)
    cases = read_cases(HELDOUT / "messages.toml")[:2]
    said = list(judge(talker, cases, 1))
    for one, broken in zip(said, (["short"], []), strict=True):
        one["broken"] = broken
    table = table_of(said, [said[0]["reply"]], {1})
    assert (table["every rule"], table["short"], table["to_the_point"]) == (0.5, 0.5, 1.0)
    assert table["word for word from training"] >= 0.5


def test_a_missing_adapter_is_one_sentence(
    loaded: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(talking, "load_model", lambda name, engine: loaded)
    missing = tmp_path / "none.safetensors"
    assert main(["--adapter", str(missing), "--only", "none", "--out", str(tmp_path)]) == 2
    assert str(missing) in capsys.readouterr().err


def test_replies_are_kept_for_reading(
    loaded: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "load_talking", lambda name, adapter: loaded)
    cases = read_cases(HELDOUT / "messages.toml")[:2]
    monkeypatch.setattr(module, "read_cases", lambda path: cases)
    monkeypatch.setattr(module, "MAX_DIALOGUES", 1)
    (tmp_path / "prose.txt").write_text("All the red leaves fall. " * 30, encoding="utf-8")
    lines = (HELDOUT / "dialogues.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "dialogues.jsonl").write_text(lines[0], encoding="utf-8")
    monkeypatch.setattr(module, "HELDOUT", tmp_path)
    assert main(["--seeds", "1", "--only", "prompt", "--out", str(tmp_path)]) == 0
    assert "perplexity of held-out dialogues" in capsys.readouterr().out
    rows = [
        json.loads(line) for line in (tmp_path / "replies.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert [row["message"] for row in rows] == [case.line.text for case in cases]
    # Reading makes no replies, and leaves those that are there.
    assert main(["--reading", "--only", "prompt", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "replies.jsonl").read_text(encoding="utf-8").count("\n") == len(cases)
