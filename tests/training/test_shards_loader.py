"""Batches out of shards: the same for one seed and step, whoever reads them, and everything once an epoch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from shards_helpers import EOT, make_shards, texts
from torch.nn.functional import cross_entropy

from training.errors import TrainingError
from training.shards.loader import NOTHING, TokenLoader, prefetch
from training.shards.manifest import load_tokenizer, read_manifest
from training.shards.shuffle import permuted

CONTEXT = 16


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shards(tmp_path_factory.mktemp("loader"), texts(300), "--shard-tokens", "4000")


def loader(folder: Path, split: str = "train", batch: int = 4, **changed: object) -> TokenLoader:
    return TokenLoader(folder, split, batch, CONTEXT, **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000, 4097])
def test_the_shuffle_is_a_permutation_of_any_size(size: int) -> None:
    places = np.arange(size, dtype=np.uint64)
    first, other = permuted(places, size, "0/0"), permuted(places, size, "0/1")
    assert sorted(first.tolist()) == sorted(other.tolist()) == list(range(size))
    assert permuted(places[-1:], size, "0/0")[0] == first[-1], "a place alone has the same result"
    if size >= 64:
        assert (first != other).mean() > 0.9
        assert abs(np.corrcoef(places, first)[0, 1]) < 0.3


def test_neighbours_are_torn_apart_and_every_place_is_as_likely() -> None:
    """Where place 5 of 50 goes under 5,000 keys: chi-squared with 49 degrees, its 99.99 % point is 96."""
    went = [int(permuted(np.array([5], np.uint64), 50, str(key))[0]) for key in range(5000)]
    counts = np.bincount(went, minlength=50)
    assert ((counts - 100) ** 2 / 100).sum() < 96


def test_two_ranks_read_what_one_reads(folder: Path) -> None:
    alone = loader(folder, batch=6)
    for ranks in (2, 3):
        parts = [loader(folder, batch=6 // ranks, rank=rank, world=ranks) for rank in range(ranks)]
        for step in (0, 1, 57, 400):
            whole = alone.batch_at(step)
            for i in range(3):
                together = torch.cat([part.batch_at(step)[i] for part in parts])  # type: ignore[misc]
                assert torch.equal(whole[i], together)  # type: ignore[arg-type]


def test_an_epoch_has_every_row_once_and_the_next_has_another_order(folder: Path) -> None:
    data = loader(folder, batch=1)
    assert len(data.manifest.of("train")) > 2
    rows = [data.batch_at(step)[0] for step in range(data.rows)]
    # Rows of different places could be alike in a text that repeats itself: these carry numbers.
    stream = np.concatenate([np.fromfile(folder / shard.name, "<u2") for shard in data.manifest.of("train")])
    read = np.sort(torch.cat(rows).flatten().numpy())
    assert len(read) == data.rows * CONTEXT
    left_over = len(stream) - len(read)
    assert 0 < left_over < len(data.manifest.of("train")) * (CONTEXT + 1)
    assert (np.bincount(stream, minlength=257) - np.bincount(read, minlength=257) >= 0).all()
    assert len({tuple(row[0].tolist()) for row in rows}) > 0.98 * data.rows
    again = [data.batch_at(data.rows + step)[0] for step in range(data.rows)]
    assert sum(torch.equal(a, b) for a, b in zip(rows, again, strict=True)) < 0.1 * data.rows
    other_seed = loader(folder, batch=1, seed=1)
    assert not torch.equal(torch.cat(rows), torch.cat([other_seed.batch_at(i)[0] for i in range(data.rows)]))


def test_a_batch_may_lie_in_two_epochs(folder: Path) -> None:
    one = loader(folder, batch=1)
    many = loader(folder, batch=one.rows + 3)
    assert torch.equal(many.batch_at(0)[0][one.rows + 2], one.batch_at(one.rows + 2)[0][0])


def test_targets_are_the_tokens_behind_and_stop_at_the_end_of_a_document(folder: Path) -> None:
    data = loader(folder, batch=64)
    inputs, targets, segments = data.batch_at(3)
    assert inputs.dtype == targets.dtype == torch.int64
    assert inputs.shape == targets.shape == (64, CONTEXT)
    assert segments is not None
    assert segments.dtype == torch.int32
    ends = inputs == EOT
    assert ends.any()
    assert (targets[ends] == NOTHING).all()
    assert (targets[~ends] != NOTHING).all()
    assert (targets[:, :-1][~ends[:, :-1]] == inputs[:, 1:][~ends[:, :-1]]).all()
    for row, numbers in zip(inputs.tolist(), segments.tolist(), strict=True):
        expected = 0
        for token, number in zip(row, numbers, strict=True):
            assert number == expected
            expected += token == EOT
    # torch leaves out what has no target.
    logits = torch.zeros(64 * CONTEXT, 257)
    assert torch.isfinite(cross_entropy(logits, targets.flatten()))

    plain = loader(folder, batch=64, documents=False)
    same, all_targets, none = plain.batch_at(3)
    assert torch.equal(same, inputs)
    assert none is None
    assert (all_targets != NOTHING).all()


def test_validation_is_read_in_order_whatever_the_seed(folder: Path) -> None:
    data, other = loader(folder, "validation", seed=0), loader(folder, "validation", seed=9)
    stream = np.fromfile(folder / data.manifest.of("validation")[0].name, "<u2").astype(np.int64)
    inputs = torch.cat([data.batch_at(step)[0] for step in range(3)])
    assert torch.equal(inputs.flatten(), torch.from_numpy(stream[: 12 * CONTEXT]))
    assert torch.equal(inputs, torch.cat([other.batch_at(step)[0] for step in range(3)]))


@pytest.mark.parametrize(("batch", "ranks"), [(1, 1), (4, 1), (3, 2), (8, 3)])
def test_the_first_rows_are_the_same_whatever_batch_and_ranks_are(
    folder: Path, batch: int, ranks: int
) -> None:
    wanted = loader(folder, "validation", batch=7).batch_at(0)
    parts = [list(loader(folder, "validation", batch, rank=r, world=ranks).first(7)) for r in range(ranks)]
    assert len({len(part) for part in parts}) == 1, "a rank would wait for another"
    found = [one for turn in zip(*parts, strict=True) for one in turn]
    inputs, targets = (torch.cat([one[i] for one in found]) for i in (0, 1))  # type: ignore[misc]
    assert torch.equal(inputs[:7], wanted[0])
    assert torch.equal(targets[:7], wanted[1])
    assert (targets[7:] == NOTHING).all()


def test_bits_per_byte_can_be_had_from_the_manifest(folder: Path) -> None:
    manifest = read_manifest(folder)
    documents = manifest.documents["validation"]
    assert manifest.bytes["validation"] == manifest.tokens["validation"] - documents  # one token a byte
    assert manifest.bytes_per_token() == pytest.approx(1 - documents / manifest.tokens["validation"])


def test_prefetch_gives_the_batches_in_order_and_ends_when_closed(folder: Path) -> None:
    data = loader(folder)
    batches = prefetch(data, 5)
    for step in range(5, 15):
        assert torch.equal(next(batches)[0], data.batch_at(step)[0])
    batches.close()  # type: ignore[attr-defined]
    with pytest.raises(StopIteration):
        next(batches)


def test_what_breaks_in_the_thread_is_raised_to_the_reader(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = loader(folder)

    def break_at(step: int) -> None:
        raise OSError(f"step {step}")

    monkeypatch.setattr(data, "batch_at", break_at)
    with pytest.raises(OSError, match="step 7"):
        next(prefetch(data, 7))


def copied(folder: Path, to: Path) -> Path:
    to.mkdir()
    for path in folder.iterdir():
        (to / path.name).write_bytes(path.read_bytes())
    return to


def test_a_shard_of_wrong_length_or_content_is_refused(folder: Path, tmp_path: Path) -> None:
    broken = copied(folder, tmp_path / "copy")
    name = read_manifest(folder).of("train")[1].name
    data = bytearray((broken / name).read_bytes())
    (broken / name).write_bytes(data[:-2])
    with pytest.raises(TrainingError, match=rf"{name} has \d+ bytes instead of \d+: copy it again"):
        loader(broken)
    data[10] ^= 1
    (broken / name).write_bytes(data)
    with pytest.raises(TrainingError, match=rf"{name} is not what the manifest says"):
        loader(broken)
    assert loader(broken, "validation").rows  # the other split is whole
    (broken / name).unlink()
    with pytest.raises(TrainingError, match=rf"{name} cannot be read: No such file"):
        loader(broken)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("version", 2, "is of version 2, not 1"),
        ("dtype", "int8", "is damaged"),
        ("eot", 257, "contradicts itself"),
        ("tokens", {"train": 5}, "lacks a split"),
        ("extra", 1, "is damaged"),
        (
            "shards",
            [{"name": "../x-00000.bin", "split": "train", "tokens": 1, "sha256": "0" * 64}],
            "damaged",
        ),
    ],
)
def test_a_manifest_that_is_wrong_is_refused(
    folder: Path, tmp_path: Path, key: str, value: object, said: str
) -> None:
    broken = copied(folder, tmp_path / "copy")
    described = json.loads((broken / "manifest.json").read_text())
    (broken / "manifest.json").write_text(json.dumps({**described, key: value}))
    with pytest.raises(TrainingError, match=said):
        read_manifest(broken)


def test_another_tokenizer_is_refused(folder: Path, tmp_path: Path) -> None:
    broken = copied(folder, tmp_path / "copy")
    manifest = read_manifest(broken)
    assert load_tokenizer(broken, manifest).encode("hé") == list("hé".encode())
    text = (broken / "tokenizer.json").read_text()
    (broken / "tokenizer.json").write_text(text.replace("256", "257"))
    with pytest.raises(TrainingError, match="is not the tokenizer of these shards"):
        load_tokenizer(broken, manifest)


def test_a_folder_without_a_manifest_and_a_context_too_long(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"holds no tokens: make them with python -m training.tokenise"):
        read_manifest(tmp_path)
    (tmp_path / "progress.json").write_text("{}")
    with pytest.raises(TrainingError, match="is not finished: run the same training.tokenise again"):
        read_manifest(tmp_path)
    with pytest.raises(TrainingError, match=r"validation split of .* has \d+ tokens, too few for a context"):
        TokenLoader(folder, "validation", 1, 1_000_000)
