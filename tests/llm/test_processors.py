"""What happens to a row of logits beside the sampler, against formulas written out another way."""

from __future__ import annotations

import json
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from services.llm import constraint
from services.llm.constraint import Constraints
from services.llm.outputs import RefusedError
from services.llm.processors import log_probabilities, penalties
from shared.model.tokenizer import byte_tokenizer

SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
SIZE = 264
"""More logits than the 259 ids of the tokenizer, as in a padded head."""


@given(
    generated=st.lists(st.integers(0, 9), max_size=12),
    presence=st.floats(-2, 2),
    frequency=st.floats(-2, 2),
    seed=st.integers(0, 99),
)
def test_penalties_are_openais_formula(
    generated: list[int], presence: float, frequency: float, seed: int
) -> None:
    logits = torch.randn(10, generator=torch.Generator().manual_seed(seed))
    before = logits.clone()
    row = penalties(presence, frequency)(logits, generated)
    for index in range(10):
        count = generated.count(index)
        expected = float(before[index]) - count * frequency - (count > 0) * presence
        assert float(row[index]) == pytest.approx(expected, abs=1e-4)
    assert torch.equal(logits, before)


def test_log_probabilities_are_those_of_the_unchanged_row() -> None:
    logits = torch.randn(SIZE, dtype=torch.bfloat16, generator=torch.Generator().manual_seed(1))
    one = log_probabilities(4, 259, lambda number: bytes([number % 256]))(logits, 7)
    exact = torch.log_softmax(logits[:259].double(), 0)
    assert one.raw == b"\x07"
    assert one.logprob == pytest.approx(float(exact[7]), abs=1e-5)
    values, ids = exact.topk(4)
    assert [value for _, value in one.top] == pytest.approx(values.tolist(), abs=1e-5)
    assert {raw for raw, _ in one.top} == {bytes([number % 256]) for number in ids.tolist()}
    assert sum(math.exp(value) for _, value in one.top) < 1.0
    assert log_probabilities(0, 259, bytes)(logits, 3).top == []


def allowed(process: constraint.LogitsProcessor, generated: list[int]) -> set[str]:
    row = process(torch.zeros(SIZE), generated)
    assert row.shape == (SIZE,)
    ids = [index for index, value in enumerate(row.tolist()) if value > -math.inf]
    return {chr(number) if number < 256 else SPECIALS[number - 256] for number in ids}


def test_a_schema_masks_all_that_does_not_follow_it() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"enum": [1, 23]}},
        "required": ["a"],
        "additionalProperties": False,
    }
    process = Constraints(byte_tokenizer(SPECIALS)).json_schema(json.dumps(schema))
    said: list[int] = []
    expected = [{"{"}, {'"'}, {"a"}, {'"'}, {":"}, {" "}, {"1", "2"}, {"3"}, {"}"}, set(SPECIALS)]
    for letters, choice in zip(expected, [*b'{"a": 23}', 0], strict=True):
        assert allowed(process, said) == letters
        said.append(choice)


def test_two_replies_do_not_share_a_state() -> None:
    constraints = Constraints(byte_tokenizer(SPECIALS))
    one, other = (constraints.json_schema('{"type": "boolean"}') for _ in range(2))
    assert allowed(one, []) == {"t", "f"}
    assert allowed(one, [*b"t"]) == {"r"}
    assert allowed(other, []) == {"t", "f"}


@pytest.mark.parametrize(
    ("schema", "sentence"),
    [
        ("{", "json_schema is not JSON"),
        ("[" * 50_000, "json_schema is not JSON"),
        ("7", "json_schema is wrong"),
        ('{"type": "thing"}', "json_schema is wrong: Invalid type: thing"),
        ('{"$ref": "#"}', "json_schema is wrong: no reply can follow it"),
        ('{"$ref": "https://example.org/schema"}', "json_schema is wrong"),
    ],
)
def test_a_schema_that_cannot_be_followed_is_refused(schema: str, sentence: str) -> None:
    with pytest.raises(RefusedError, match=sentence) as refused:
        Constraints(byte_tokenizer(SPECIALS)).json_schema(schema)
    assert "\n" not in str(refused.value)


def test_without_the_library_one_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constraint, "PACKAGE", "no_such_package_here")
    with pytest.raises(RefusedError, match="run `pip install no_such_package_here`"):
        Constraints(byte_tokenizer(SPECIALS)).json_schema("{}")


def test_a_model_without_an_end_token_cannot_be_held_to_a_schema() -> None:
    with pytest.raises(RefusedError, match="token for the end"):
        Constraints(byte_tokenizer()).json_schema("{}")
