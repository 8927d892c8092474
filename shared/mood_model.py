"""How a sentence sounds, by a linear model over its words: what it looks at, and the file it is kept in."""

from __future__ import annotations

import json
import math
import re
from itertools import pairwise
from pathlib import Path
from typing import get_args

from pydantic import Field

from shared.config import ConfigError, Section, validate
from shared.events import MoodName

MOODS: tuple[MoodName, ...] = get_args(MoodName)
"""In the order of all scores."""
_PARTS = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[!?.,…]|[\U0001F300-\U0001FAFF\u2600-\u27BF]")


class MoodModel(Section):
    """Weights of a multinomial logistic regression, whole numbers of `1 / scale`."""

    scale: int = Field(ge=1)
    bias: list[int] = Field(min_length=len(MOODS), max_length=len(MOODS))
    weights: dict[str, list[int]]
    """Feature -> what it says for each of MOODS."""

    def knows(self, text: str) -> bool:
        """Whether it has met a word of `text`; marks and length alone say little."""
        return any(part in self.weights for part in _parts(text) if part[0].isalnum())

    def evidence(self, text: str, asked: str = "") -> list[float]:
        """What `text`, an answer to `asked`, says for each of MOODS: log-odds without the bias.

        Divided by the root of the number of known features: a long text is hardly surer than a short one.
        """
        rows = [self.weights[name] for name in features(text, asked) if name in self.weights]
        divisor = self.scale * math.sqrt(max(1, len(rows)))
        return [sum(column) / divisor for column in zip(*rows, strict=True)] or [0.0] * len(MOODS)

    def probabilities(self, evidence: list[float]) -> list[float]:
        """Of each of MOODS, from evidence."""
        scores = [bias / self.scale + one for bias, one in zip(self.bias, evidence, strict=True)]
        powers = [math.exp(score) for score in scores]
        whole = sum(powers)
        return [power / whole for power in powers]


def features(text: str, asked: str = "") -> set[str]:
    """Words, pairs of neighbours, marks and length of `text`; words and pairs of `asked` after a `<`."""
    own, others = _parts(text), _parts(asked)
    found = {*own, *_pairs(["^", *own, "$"]), *(f"<{name}" for name in [*others, *_pairs(others)])}
    found.add(f"#!{min(3, text.count('!'))}")
    found.add(f"#?{min(2, text.count('?'))}")
    found.add(f"#length{min(4, len(own) // 6)}")
    return found


def load_mood_model(path: Path) -> MoodModel:
    """Read a file that `python -m training.mood` wrote. Raises ConfigError in one sentence."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError):
        raise ConfigError(f"{path} is not JSON: write it with `python -m training.mood`.") from None
    if not isinstance(value, dict):
        raise ConfigError(f"{path} is no JSON object: write it with `python -m training.mood`.")
    model = validate(MoodModel, value, str(path))
    if any(len(row) != len(MOODS) for row in model.weights.values()):
        raise ConfigError(f"{path} has a feature without {len(MOODS)} weights.")
    return model


def _parts(text: str) -> list[str]:
    return _PARTS.findall(text.lower().replace("’", "'"))


def _pairs(parts: list[str]) -> list[str]:
    return [f"{first} {second}" for first, second in pairwise(parts)]
