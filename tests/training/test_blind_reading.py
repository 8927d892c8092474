"""Sheets hide who said what, and scores count what the key says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from shared.config import ROOT
from training.errors import TrainingError
from training.reading import main, matches, pairs, score, wilson

READINGS = ROOT / "training" / "data" / "readings"
REPLIES = [
    {
        "way": way,
        "case": case,
        "seed": 1,
        "author": "you",
        "message": f"message {case}",
        "reply": f"{way} {case}",
    }
    for way in ("new", "old")
    for case in range(40)
]


def test_pairs_are_in_an_order_that_only_the_key_knows() -> None:
    sheet, key = pairs(REPLIES, "new", "old", 30, seed=0)
    assert len(sheet) == len(key) == 30
    for row, answer in zip(sheet, key, strict=True):
        assert row["a"].split()[0] == answer["a"]
        assert row["b"].split()[0] == answer["b"]
    firsts = [answer["a"] for answer in key]
    assert 5 < firsts.count("new") < 25
    assert pairs(REPLIES, "new", "old", 30, seed=0) == (sheet, key)


def test_the_own_message_is_among_five() -> None:
    sheet, key = matches(REPLIES, "new", 25, seed=0)
    for row, answer in zip(sheet, key, strict=True):
        assert len(set(row["messages"])) == 5
        assert row["messages"][answer["choice"] - 1].split()[1] == row["reply"].split()[1]
    assert len({answer["choice"] for answer in key}) == 5


def test_scores() -> None:
    _, key = pairs(REPLIES, "new", "old", 10, seed=0)
    marks = [{"item": row["item"], "choice": "a" if row["a"] == "new" else "b"} for row in key]
    marks[0]["choice"] = "tie"
    assert score(key, marks).startswith("new against old: 9 preferred, 1 ties, 0 not; 95.0 %")
    _, answers = matches(REPLIES, "new", 10, seed=0)
    assert score(answers, answers).startswith("100.0 % of 10 matched right")
    with pytest.raises(TrainingError, match="one mark each"):
        score(key, marks[1:])


def test_the_interval_is_wilsons() -> None:
    low, high = wilson(0.5, 100)
    assert (round(low, 3), round(high, 3)) == (0.404, 0.596)


def test_the_command_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "replies.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in REPLIES), encoding="utf-8")
    out = tmp_path / "sheet"
    assert main(["pairs", str(file), "--first", "new", "--second", "none", "--out", str(out)]) == 2
    assert "There is no column 'none'" in capsys.readouterr().err
    assert (
        main(["pairs", str(file), "--first", "new", "--second", "old", "--out", str(out), "--count", "4"])
        == 0
    )
    marks = "".join(json.dumps({"item": item, "choice": "tie", "reason": ""}) + "\n" for item in range(1, 5))
    (out / "marks.jsonl").write_text(marks, encoding="utf-8")
    assert main(["score", str(out)]) == 0
    assert "0 preferred, 4 ties, 0 not; 50.0 %" in capsys.readouterr().out
    assert main(["score", str(tmp_path)]) == 2


@pytest.mark.parametrize("folder", sorted(path.name for path in READINGS.iterdir() if path.is_dir()))
def test_the_page_says_what_the_committed_readings_come_to(
    folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", str(READINGS / folder)]) == 0
    said = capsys.readouterr().out
    page = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    share = re.search(r"([0-9.]+) % (?:with ties|of 200)", said)
    assert share is not None
    if "preferred" in said:
        assert f"| {share.group(1)} % |" in page
    else:
        told = re.search(r"for (\d+) and\s+(\d+) of 200 replies", page)
        assert told is not None
        assert f"{float(share.group(1)) * 2:.0f}" == told.group(int(folder[-1]))
    marks = (READINGS / folder / "marks.jsonl").read_text(encoding="utf-8").splitlines()
    assert all(json.loads(mark)["reason"] for mark in marks)
