"""General chat in the base model's own words: what is asked, what is kept, and the whole command on a tiny model."""

from __future__ import annotations

from pathlib import Path

import pytest
from training_helpers import tiny

from training import replay
from training.dialogues import read_dialogues
from training.errors import TrainingError

LONG = "Rivers carry stones from the hills to the sea, " * 1 + (
    "and every stone is a little smaller when it arrives than it was when it left. People build their towns beside them."
)


@pytest.fixture
def subjects(tmp_path: Path) -> Path:
    path = tmp_path / "subjects.txt"
    path.write_text("# a comment\nrivers\n\nclocks and bells\n", encoding="utf-8")
    return path


def test_each_subject_is_asked_about_in_one_of_several_ways(subjects: Path) -> None:
    first, second = replay.questions(subjects, seed=1)
    assert "rivers" in first
    assert "clocks and bells" in second
    assert replay.questions(subjects, seed=1) == [first, second]
    assert len({replay.questions(subjects, seed)[0] for seed in range(40)}) == len(replay.ASKED)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (LONG, LONG),
        (LONG + " And then the third sentence was", LONG),
        ("Too short to be of use.", ""),
        ("no end in sight " * 30, ""),
        ("It goes round and round and round again. " * 8, ""),
    ],
)
def test_what_is_kept_ends_whole_and_does_not_loop(said: str, kept: str) -> None:
    assert replay.whole(said) == kept


def test_the_committed_answers_come_from_the_committed_subjects() -> None:
    folder = replay.ROOT / replay.SUBJECTS.parent
    asked = replay.questions(replay.ROOT / replay.SUBJECTS, seed=1)
    said = read_dialogues([folder / "smollm2-135m.jsonl"])
    assert len(said) >= len(asked) // 2
    for one in said:
        question, answer = one.turns
        assert question.content in asked
        assert answer.content == replay.whole(answer.content)


def test_bad_input_is_one_sentence(tmp_path: Path, subjects: Path) -> None:
    with pytest.raises(TrainingError, match="cannot be read"):
        replay.questions(tmp_path / "none.txt", 1)
    (tmp_path / "empty.txt").write_text("# nothing\n")
    with pytest.raises(TrainingError, match="names no subject"):
        replay.questions(tmp_path / "empty.txt", 1)
    there = tmp_path / "there.jsonl"
    there.write_text("kept")
    with pytest.raises(TrainingError, match="is there already"):
        replay.collect(replay.Arguments(out=str(there), subjects=str(subjects)))
    assert there.read_text() == "kept"


def test_a_model_that_says_nothing_whole_leaves_no_file(
    tmp_path: Path, subjects: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = tiny(tmp_path), tmp_path / "out.jsonl"
    flags = ["--model", str(model), "--subjects", str(subjects), "--max-tokens", "16", "--out", str(out)]
    assert replay.main(flags) == 2
    assert "raise --max-tokens" in capsys.readouterr().err
    assert not out.exists()
