"""The mood model's arithmetic, what it looks at, and files that are refused."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from shared.config import ConfigError
from shared.mood_model import MOODS, MoodModel, features, load_mood_model


def test_words_pairs_marks_and_what_was_asked_are_told_apart() -> None:
    found = features("Don’t cry!", "Sad day")
    assert {
        "don't",
        "cry",
        "don't cry",
        "^ don't",
        "! $",
        "#!1",
        "#?0",
        "#length0",
        "<sad",
        "<sad day",
    } <= found
    assert "sad" not in found
    assert "😭" in features("no😭")
    assert features("") == {"^ $", "#!0", "#?0", "#length0"}


def test_probabilities_are_the_softmax_of_bias_and_evidence() -> None:
    rows = {"yes": [0, 200, *[0] * 6], "no": [0, 0, 0, 0, 300, 0, 0, 0]}
    model = MoodModel(scale=100, bias=[50, *[0] * 7], weights=rows)
    evidence = model.evidence("yes no maybe")
    assert evidence == pytest.approx([0, 2 / math.sqrt(2), 0, 0, 3 / math.sqrt(2), 0, 0, 0])
    chances = model.probabilities(evidence)
    assert sum(chances) == pytest.approx(1)
    assert math.log(chances[4] / chances[0]) == pytest.approx(3 / math.sqrt(2) - 0.5)
    assert model.evidence("unknown") == [0.0] * len(MOODS)
    assert model.knows("Yes!")
    assert not model.knows("unknown!")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is not JSON"),
        ("[]", "is no JSON object"),
        ('{"scale": 1, "bias": [1], "weights": {}}', "'bias'"),
        (json.dumps({"scale": 1, "bias": [0] * 8, "weights": {"a": [1]}}), "without 8 weights"),
    ],
)
def test_a_file_that_is_none_is_refused_in_one_sentence(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "moods.json"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=says):
        load_mood_model(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_mood_model(tmp_path / "none.json")
