"""Pairs: what is looked at, which side they are on, and that both replies share a row."""

from __future__ import annotations

from pathlib import Path

import pytest
from training_helpers import tiny

from shared.model.loading import LoadedModel, load_model
from shared.persona import load_persona
from training.pairs import Exchange, Pair, drawn, n_steps, pair_rows, render_pair, split_pairs


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def loaded(model: Path) -> LoadedModel:
    return load_model(str(model), device="cpu", dtype="float32")


def pair(number: int, message: str = "and now?", **more: object) -> Pair:
    return Pair.model_validate(
        {"id": f"p-{number}", "message": message, "chosen": "Yes!", "rejected": f"No {number}.", **more}
    )


def test_the_last_reply_alone_is_looked_at(model: Path, loaded: LoadedModel) -> None:
    one = pair(1, author="Mia", memory="Mia rows.", history=(Exchange(text="hi", reply="Hi Mia!"),))
    persona = load_persona(str(model.with_name("persona.toml")))
    rendered = render_pair(loaded, persona, one)
    for sample, reply in zip(rendered.samples, ("Yes!", "No 1."), strict=True):
        ((start, end),) = sample.learned
        assert loaded.tokenizer.decode(list(sample.ids[start : end - 1])) == reply
        assert sample.ids[end - 1] in loaded.tokenizer.end_ids
        prompt = loaded.tokenizer.decode(list(sample.ids[:start]))
        for told in ("Mia rows.", "Hi Mia!", "Mia: and now?"):
            assert told in prompt
    assert "Mia: hi!" in loaded.tokenizer.decode(list(rendered.samples[0].ids))  # a worked example
    bare = render_pair(loaded, persona.model_copy(update={"examples_with_adapter": False}), one)
    assert "Mia: hi!" not in loaded.tokenizer.decode(list(bare.samples[0].ids))


def test_silence_has_no_message() -> None:
    (turn,) = pair(1, "").dialogue("Quiet here.").turns
    assert (turn.role, turn.content) == ("assistant", "Quiet here.")


def test_failures_at_one_message_are_on_one_side() -> None:
    names = [f"{one}{other}" for one in ("tea", "rain", "maps", "moss") for other in ("cup", "hat", "box")]
    pairs = [pair(i, f"which {names[i // 3]} is yours?",
                  chosen=f"My {names[i // 3]} was lost with {names[i // 3]} luck.")
             for i in range(3 * len(names))]  # fmt: skip
    learned, heldout = split_pairs(pairs, 0.4)
    assert len(learned) + len(heldout) == len(pairs)
    assert learned
    assert heldout
    assert not {one.message for one in learned} & {one.message for one in heldout}


def test_rows_keep_both_replies_together_and_an_epoch_has_every_pair_once(
    model: Path, loaded: LoadedModel
) -> None:
    persona = load_persona(str(model.with_name("persona.toml")))
    given = [render_pair(loaded, persona, pair(i, f"what is {i * i}?")) for i in range(10)]
    rows = pair_rows(given, 300)
    assert sorted(one.pair.id for held, _ in rows for one in held) == sorted(one.pair.id for one in given)
    assert len(rows) > 1
    for held, row in rows:
        assert len(row.ids) <= 300
        assert row.learned == tuple(sample.n_learned for one in held for sample in one.samples)
        assert sum(row.learned) == len(row.targets)
    assert n_steps(given, 4) == 3

    def epoch(number: int) -> list[str]:
        return [one.pair.id for step in range(3) for one in drawn(given, 3 * number + step, 4, 7)]

    assert sorted(epoch(0)) == sorted(one.pair.id for one in given)
    assert epoch(0) == epoch(0)
    assert epoch(0) != epoch(1)
