"""The token generator: its ends, its stop sequences, and the row it leaves behind."""

from __future__ import annotations

from itertools import islice

import pytest
import torch
from model_helpers import random_model, random_tokens, vector

from shared.model.generate import held_back, prefill
from shared.model.kv_cache import CacheOverflowError

PROMPT = random_tokens(8)


def test_generated_tokens_equal_those_of_plain_passes() -> None:
    model = random_model()
    text = list(PROMPT)
    for token in model.generate(PROMPT, 12, temperature=0.0):
        with torch.inference_mode():
            assert token == int(model(torch.tensor([text]))[0, -1].argmax())
        text.append(token)
    assert len(text) == 20


def test_seed_repeats_and_differs() -> None:
    model = random_model()
    first = list(model.generate(PROMPT, 20, seed=1))
    assert first == list(model.generate(PROMPT, 20, seed=1))
    assert first != list(model.generate(PROMPT, 20, seed=2))


def test_stop_token_ends_and_is_not_yielded() -> None:
    model, expected = vector()
    prompt, greedy = expected["input_ids"][0].tolist(), expected["greedy"].tolist()
    assert list(model.generate(prompt, 24, temperature=0.0, stop_tokens={greedy[6]})) == greedy[:6]


def test_stop_sequence_is_held_back_until_it_is_decided() -> None:
    model, expected = vector()
    prompt, greedy = expected["input_ids"][0].tolist(), expected["greedy"].tolist()
    # greedy begins 35 13 15 41 49 11 43 0 43 0 43 0 78: [43, 0, 78] begins three times before it is complete.
    made = list(model.generate(prompt, 24, temperature=0.0, stop_sequences=[[43, 0, 78], [15, 7]]))
    assert made == greedy[:10]
    assert list(model.generate(prompt, 11, temperature=0.0, stop_sequences=[[43, 0, 78]])) == greedy[:11]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([1, 2, 3], (3, True)),
        ([9, 1, 2], (2, False)),
        ([1, 2, 1], (1, False)),
        ([2, 3], (0, False)),
        ([], (0, False)),
    ],
)
def test_held_back(ids: list[int], expected: tuple[int, bool]) -> None:
    assert held_back(ids, [[1, 2, 3]]) == expected


def test_closing_frees_the_row_at_once() -> None:
    model = random_model()
    cache = model.new_cache(batch=2)
    prefill(model, cache, 1, PROMPT)
    made = model.generate(random_tokens(3, seed=4), 20, cache=cache, row=1)
    assert len(list(islice(made, 5))) == 5
    assert cache.lengths[1] > len(PROMPT)
    made.close()  # type: ignore[attr-defined]
    assert cache.lengths == [0, len(PROMPT)]


def test_exact_room_is_enough_and_one_more_is_refused() -> None:
    model = random_model()
    assert len(list(model.generate(PROMPT, 57))) == 57
    with pytest.raises(CacheOverflowError, match="cannot take"):
        list(model.generate(PROMPT, 58))


def test_empty_prompt_and_no_tokens() -> None:
    model = random_model()
    with pytest.raises(ValueError, match="no tokens"):
        list(model.generate([], 3))
    assert list(model.generate(PROMPT, 0)) == []


def test_bad_parameters_are_refused() -> None:
    with pytest.raises(ValueError, match="top_p"):
        list(random_model().generate(PROMPT, 3, top_p=0.0))
