"""Runs of pre-training on one rank and on two: the same numbers, resumed after kill -9 and on another number, and one ending."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from pretrain_helpers import KILL, command, finish, make_data, rows, same_bits, start
from safetensors.torch import load_file
from waiting import until_true

from training.checkpoints import newest, read_state
from training.distributed import World, joined
from training.errors import BrokenElsewhere

FSDP, TWO = ("--parallel", "fsdp"), ("--batch", "1")
MEASURED = ("loss", "gradient_norm", "heldout_loss", "bits_per_byte")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("data") / "sentences")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Mapping[str, Path]:
    """Eight steps on one rank, and on two with whole models and with parts."""
    folder = tmp_path_factory.mktemp("runs")
    for name, more, ranks in (("one", (), 1), ("ddp", TWO, 2), ("fsdp", (*TWO, *FSDP), 2)):
        finish(start(command(data, folder / name, "--keep", "9", *more), ranks))
    return {path.name: path for path in folder.iterdir()}


def alike(one: Path, other: Path, relative: float, columns: tuple[str, ...] = MEASURED) -> None:
    left, right = rows(one), rows(other)
    assert [row["step"] for row in left] == [row["step"] for row in right] == list("12345678")
    for expected, found in zip(left, right, strict=True):
        for column in columns:
            assert bool(expected[column]) == bool(found[column])
            if expected[column]:
                assert float(found[column]) == pytest.approx(float(expected[column]), rel=relative), column


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_two_ranks_learn_what_one_does_whole_or_in_parts(runs: Mapping[str, Path], kind: str) -> None:
    alike(runs["one"], runs[kind], 1e-3)
    for file in ("weights", "optimiser"):
        left, right = (
            load_file(runs[name] / "checkpoint-00000004" / f"{file}.safetensors") for name in ("one", kind)
        )
        assert left.keys() == right.keys()
        for name, tensor in left.items():
            torch.testing.assert_close(tensor, right[name], atol=2e-3, rtol=0.05, msg=name)


@pytest.mark.parametrize(
    ("begun", "more", "ranks"),
    [("ddp", (), 1), ("fsdp", (), 1), ("one", (*TWO, *FSDP), 2), ("ddp", (*TWO, *FSDP), 2)],
)
def test_each_goes_on_from_what_another_saved(
    tmp_path: Path, data: Path, runs: Mapping[str, Path], begun: str, more: tuple[str], ranks: int
) -> None:
    out = tmp_path / "out"
    shutil.copytree(runs[begun] / "checkpoint-00000004", out / "checkpoint-00000004")
    shutil.copy(runs[begun] / "log.csv", out)
    told = finish(start(command(data, out, *more, "--resume"), ranks))
    assert "going on behind step 4" in told[0]
    assert rows(out)[:4] == rows(runs[begun])[:4]
    alike(runs["one"], out, 1e-3)


@pytest.mark.parametrize(
    ("ranks", "more"),
    [(1, ()), (2, ()), (2, FSDP), (1, ("--optimiser", "adamw")), (2, (*FSDP, "--optimiser", "adamw"))],
    ids=["one", "ddp", "fsdp", "adamw", "fsdp-adamw"],
)
def test_it_goes_on_bit_by_bit_after_kill_9(tmp_path: Path, data: Path, ranks: int, more: tuple[str]) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    more = ("--batch", str(2 // ranks), "--decay", "linear", "--documents", "--steps", "12", *more)
    reference = start(command(data, whole, *more), ranks)
    killed = start(command(data, cut, *more), ranks, stop_at=7)
    until_true(lambda: (cut / "checkpoint-00000006").is_dir(), 100, lambda: "a checkpoint")
    for rank in killed:
        rank.kill()
    finish(killed, *[-KILL] * ranks)
    finish(reference)
    assert read_state(newest(cut))["step"] == 6
    (cut / "checkpoint-99999999.part").mkdir()  # killed while it wrote
    assert "going on behind step 6" in finish(start(command(data, cut, *more, "--resume"), ranks))[0]
    assert not list(cut.glob("*.part"))
    for name in ("weights", "optimiser"):
        assert same_bits(*(newest(folder) / f"{name}.safetensors" for folder in (whole, cut)))
    assert same_bits(whole / "base.safetensors", cut / "base.safetensors")
    assert rows(whole) == rows(cut)


def test_recomputed_blocks_in_bfloat16_learn_the_same_in_parts(
    tmp_path: Path, data: Path, runs: Mapping[str, Path]
) -> None:
    """Beside one rank that does neither: what a large model needs changes its numbers little."""
    more = ("--checkpointing", "--dtype", "bfloat16")
    told = finish(start(command(data, tmp_path, *TWO, *FSDP, *more), 2))
    assert "computed in bfloat16" in told[0]
    alike(runs["one"], tmp_path, 2e-2, ("loss", "heldout_loss"))
    assert rows(tmp_path)[0]["loss"] != rows(runs["one"])[0]["loss"]


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files there")
@pytest.mark.parametrize(
    ("ranks", "file_bytes"), [(1, 40_000), (2, 40_000), (2, 1)], ids=["checkpoint", "ranks", "log"]
)
def test_a_full_disk_ends_every_rank_with_one_sentence(
    tmp_path: Path, data: Path, ranks: int, file_bytes: int
) -> None:
    """The leading rank alone writes, and fails in the fourth step, with a checkpoint or its row of the log."""
    arguments = command(data, tmp_path / "out", *(TWO if ranks > 1 else ()))
    told = finish(start(arguments, ranks, file_bytes=file_bytes, file_bytes_at=3), *[1] * ranks)
    full = "The disk is full: make room. The same command with --resume goes on."
    assert told[0].strip().splitlines()[-1] == full
    assert told[1:] == [""] * (ranks - 1)
    assert read_state(newest(tmp_path / "out"))["step"] == 2
    assert not list((tmp_path / "out").glob("checkpoint-00000004*/*.part"))


def test_what_every_rank_finds_wrong_is_said_once(tmp_path: Path, data: Path) -> None:
    told = finish(start(command(data, tmp_path / "out", "--step-tokens", "100"), 2), 2, 2)
    assert told[0].count("--step-tokens 100 is no multiple") == 1
    assert told[1] == ""


def test_a_rank_that_fails_alone_tells_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the connection breaking, for a card's would let them wait for minutes."""
    told: list[float] = []

    def total(_: World, value: float) -> float:
        told.append(value)
        return elsewhere + value

    monkeypatch.setattr(World, "total", total)
    elsewhere = 0.0
    with World(0, 2).agreed():
        pass
    with pytest.raises(OSError, match="full"), World(0, 2).agreed():
        raise OSError("full")
    elsewhere = 1.0
    with pytest.raises(BrokenElsewhere), World(1, 2).agreed():
        pass
    assert told == [False, True, False]


def test_a_rank_whose_peer_is_gone_says_so_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("WORLD_SIZE", "2"), ("RANK", "1"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    for name in ("init_process_group", "destroy_process_group"):
        monkeypatch.setattr(torch.distributed, name, lambda *_, **__: None)
    store = torch.distributed.HashStore()
    monkeypatch.setattr(torch.distributed, "rendezvous", lambda _: iter([(store, 1, 2)]))
    with pytest.raises(BrokenElsewhere), joined("cpu"):
        raise RuntimeError("[gloo/transport/tcp/pair.cc:538] Connection closed by peer [127.0.0.1]:21462")
    with pytest.raises(RuntimeError, match="a bug"), joined("cpu"):
        raise RuntimeError("a bug")
    assert store.check(["akane/left/1"]), "the first rank, which holds the store, waits for that word"
