"""Vocabularies of one's own: what tiktoken makes of the file is what the library made, token by token."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shards_helpers import make_shards, texts, write_jsonl

from shared.model.tokenizer import Tokenizer
from training import vocabulary
from training.shards.manifest import load_tokenizer, read_manifest
from training.shards.ranks import END, read_ranks

SIZE = 512
PROSE = [
    f"{i} cats weren't there; she'd sat on {i * 37} mats, naïve as 東京 🙂 — it's what they'll say.\n\n  So?"
    for i in range(300)
]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tokenizer, object]:
    """The tokenizer of a file that the command wrote, and the library's own."""
    folder = tmp_path_factory.mktemp("vocabulary")
    source = write_jsonl(folder / "prose.jsonl", [*PROSE, *texts(200)])
    out = folder / "mine.tiktoken"
    assert vocabulary.main(["--source", str(source), "--size", str(SIZE), "--out", str(out)]) == 0
    return read_ranks(out), vocabulary.train(iter([*PROSE, *texts(200)]), SIZE - 1)


def test_the_file_has_the_size_and_the_end_of_text_behind_the_last_rank(
    both: tuple[Tokenizer, object],
) -> None:
    tokenizer, _ = both
    assert tokenizer.vocab_size == SIZE
    assert tokenizer.specials == {END: SIZE - 1}
    assert len(tokenizer.encode(" cats")) == 1
    assert tokenizer.encode(END) != [SIZE - 1]


@settings(max_examples=100, deadline=None)
@given(
    st.text()
    | st.lists(st.sampled_from(["cat", " ", "\n", "s", "'s", "12", " mats", "é", "🙂", "ï"])).map("".join)
)
def test_tiktoken_and_the_library_agree_and_give_the_text_back(
    both: tuple[Tokenizer, object], text: str
) -> None:
    tokenizer, library = both
    text = text.encode("utf-8", "replace").decode()
    ids = tokenizer.encode(text)
    assert ids == library.encode(text).ids  # type: ignore[attr-defined]
    assert tokenizer.decode(ids) == text


def test_nearly_every_token_alone_is_itself(both: tuple[Tokenizer, object]) -> None:
    """As it would not be if the order of merges were lost; what only begins a contraction ('l) is no piece."""
    tokenizer, library = both
    whole = [text for rank in range(SIZE - 1) if "\ufffd" not in (text := tokenizer.decode([rank]))]
    for text in whole:
        assert tokenizer.encode(text) == library.encode(text).ids  # type: ignore[attr-defined]
    assert sum(len(tokenizer.encode(text)) == 1 for text in whole) > 0.97 * len(whole) > 200


def test_shards_are_made_by_it_and_carry_it(tmp_path: Path, both: tuple[Tokenizer, object]) -> None:
    source = write_jsonl(tmp_path / "a.jsonl", PROSE)
    out = tmp_path / "v.tiktoken"
    assert vocabulary.main(["--source", str(source), "--size", "300", "--out", str(out)]) == 0
    folder = make_shards(tmp_path, PROSE, "--tokenizer", str(out))
    manifest = read_manifest(folder)
    assert (manifest.vocab_size, manifest.eot) == (300, 299)
    assert manifest.bytes_per_token("train") > 1.1
    tokenizer = load_tokenizer(folder, manifest)
    assert tokenizer.encode(PROSE[0]) == read_ranks(out).encode(PROSE[0])


def test_the_limit_counts_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Half a million characters are a whole megabyte of this text: what stands behind is not read."""
    long = " ".join(chr(0x400 + i % 500) * 9 for i in range(53_000))
    assert len(long) < 1_000_000 < len(long.encode()) < 1_100_000
    source = write_jsonl(tmp_path / "a.jsonl", [long])
    source.write_text(source.read_text(encoding="utf-8") + "no json\n", encoding="utf-8")
    flags = ["--size", "300", "--out", str(tmp_path / "v.tiktoken"), "--limit-mb", "1"]
    assert vocabulary.main(["--source", str(source), *flags]) == 0, capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--size", "60000"], r"has text for \d+ tokens only: give more text, or --size \d+"),
        (["--size", "10"], "size"),
        (["--out", "mine.txt"], "out"),
        (["--source", "EMPTY"], "There is no text in"),
        (["--source", "BAD"], "b.jsonl:1 is not JSON: mend it or take it away"),
        (["--out", "THERE"], "is there already: give another --out"),
    ],
)
def test_one_sentence_and_nothing_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], said: str
) -> None:
    there = tmp_path / "there.tiktoken"
    there.write_text("mine")
    (tmp_path / "empty.txt").write_text(" \n")
    (tmp_path / "b.jsonl").write_text("no\n")
    names = {"EMPTY": tmp_path / "empty.txt", "BAD": tmp_path / "b.jsonl", "THERE": there}
    source = write_jsonl(tmp_path / "a.jsonl", texts(30))
    out = tmp_path / "out.tiktoken"
    flags = [str(names.get(flag, flag)) for flag in flags]
    assert vocabulary.main(["--source", str(source), "--size", "300", "--out", str(out), *flags]) == 2
    error = capsys.readouterr().err

    assert re.search(said, error)
    assert not out.exists()
    assert there.read_text() == "mine"
