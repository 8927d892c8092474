"""What does not depend on how a run is divided, and what the presets are: pre-training's sizes."""

from __future__ import annotations

from pathlib import Path

import pytest
from pretrain_helpers import command, make_data, rows, run

from shared.model.config import GPTConfig
from training import pretrain as program
from training.arguments import PRESETS, parse
from training.distributed import World
from training.errors import TrainingError


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("data") / "sentences")


def test_the_same_held_out_rows_are_judged_with_any_batch(tmp_path: Path, data: Path) -> None:
    """Seven rows of 32, which neither batch divides."""
    found = []
    for batch in ("1", "2", "4"):
        out = tmp_path / batch
        more = ("--steps", "1", "--evaluate-tokens", "250", "--batch", batch)
        assert run(*command(data, out, *more)) == 0
        found.append(float(rows(out)[-1]["bits_per_byte"]))
    assert found[0] == pytest.approx(found[1], abs=2e-5)
    assert found[0] == pytest.approx(found[2], abs=2e-5)


def test_akane_124m_is_the_default_config() -> None:
    asked = parse(program.Arguments, "x", "", ["--preset", "akane-124m", "--data", "d"], PRESETS / "pretrain")
    assert program.model_config(asked, 50257) == GPTConfig()


def test_what_each_rank_of_fsdp_takes_is_looked_at_too(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "free_bytes", lambda _: 100_000_000)
    given = command(data, tmp_path, "--batch", "1", "--parallel", "fsdp")
    with pytest.raises(TrainingError, match="take a smaller model"):
        program.pretrain(parse(program.Arguments, "x", "", given, PRESETS), World(0, 2, "cpu"))
