"""Text into shards: what every source gives, and one sentence for what cannot be read."""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from shards_helpers import byte_ranks, make_shards, run, texts, write_jsonl
from waiting import gone, until_true

from shared.config import ROOT
from shared.model.locking import locked
from shared.process import family
from training import tokenise
from training.shards import documents as shard_documents
from training.shards import sources
from training.shards.documents import PART_BYTES, PIECE_BYTES
from training.shards.manifest import read_manifest
from training.shards.ranks import read_ranks, write_ranks
from training.shards.tokenising import SLICE_CHARS, encode
from training.splitting import place


def documents(folder: Path, split: str) -> list[str]:
    """What the shards of a split say, in order."""
    manifest = read_manifest(folder)
    found: list[str] = []
    for shard in manifest.of(split):  # type: ignore[arg-type]
        data = np.fromfile(folder / shard.name, np.dtype(manifest.dtype).newbyteorder("<"))
        assert data[-1] == manifest.eot, "no document lies in two shards"
        for part in np.split(data, np.flatnonzero(data == manifest.eot) + 1)[:-1]:
            found.append(bytes(part[:-1].astype(np.uint8)).decode())
    return found


def both(folder: Path) -> list[str]:
    return sorted(documents(folder, "train") + documents(folder, "validation"))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


HOSTILE = [
    "<|endoftext|> is text like any other <|im_start|>system",
    "zero \u0000 and \u2028 and \ufeff and a lone one \ud800",
    "\t \n  leading and trailing stay \n",
    "ß" * 50,
]


def test_every_document_is_there_once_on_the_side_that_its_hash_says(tmp_path: Path) -> None:
    given = [*texts(200), *HOSTILE]
    folder = make_shards(tmp_path, [*given, "", "  \n "], "--shard-tokens", "2000")
    expected = [one.encode("utf-8", "replace").decode() for one in given]
    for split, is_held in (("train", False), ("validation", True)):
        wanted = [one for one in expected if (place(one.encode()) < 0.5) == is_held]
        assert documents(folder, split) == wanted
    manifest = read_manifest(folder)
    assert sum(manifest.documents.values()) == len(given)
    assert sum(manifest.bytes.values()) == sum(len(one.encode()) for one in expected)
    assert all(shard.tokens <= 2000 for shard in manifest.shards)
    assert len(manifest.of("train")) > 2
    chain = hashlib.sha256().digest()
    for one in expected:
        chain = hashlib.sha256(chain + hashlib.sha256(one.encode()).digest()).digest()
    assert manifest.source_sha256 == chain.hex()
    assert set(contents(folder)) == {
        "manifest.json",
        "tokenizer.json",
        *(shard.name for shard in manifest.shards),
    }


def test_a_document_longer_than_a_shard_has_one_of_its_own(tmp_path: Path) -> None:
    folder = make_shards(tmp_path, [*texts(20), "long " * 100, *texts(20, seed=1)], "--shard-tokens", "300")
    assert max(shard.tokens for shard in read_manifest(folder).shards) == 501
    assert len(both(folder)) == 41


def test_several_processes_write_the_same_bytes_as_one(tmp_path: Path) -> None:
    source = tmp_path / "books"
    source.mkdir()
    for i in range(3):
        write_jsonl(source / f"{i}.jsonl", texts(600, seed=i))
    flags = ("--validation", "0.1", "--shard-tokens", "30_000")
    assert run(source, tmp_path / "one", tmp_path, *flags) == 0
    assert run(source, tmp_path / "two", tmp_path, *flags, "--processes", "2") == 0
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert len(both(tmp_path / "one")) == 1800


def test_text_files_are_cut_at_blank_lines_and_nothing_is_lost(tmp_path: Path) -> None:
    source = tmp_path / "books"
    (source / "deep").mkdir(parents=True)
    paragraphs = [f"{i} " + "It was 東京 in the rain. " * (i % 40) for i in range(5000)]
    book = "\n\n".join(one.strip() for one in paragraphs)
    assert len(book.encode()) > 2 * PIECE_BYTES
    (source / "deep" / "book.txt").write_bytes(b"\xef\xbb\xbf" + book.replace("\n", "\r\n").encode())
    (source / "short.md").write_text("# A short one\n")
    (source / "one line.txt").write_text("é" * PART_BYTES)
    (source / "empty.txt").write_text("")
    (source / "cover.png").write_bytes(b"\x89PNG\x00")
    (source / ".hidden.txt").write_text("not this")
    assert run(source, tmp_path / "out", tmp_path, "--validation", "0.2") == 0
    found = both(tmp_path / "out")
    assert "# A short one" in found
    of_book = [one for one in found if "It was" in one]
    # In the order of the book: each begins with a paragraph's number.
    of_book.sort(key=lambda one: int(one.split()[0]))
    assert "\n\n".join(of_book) == book
    assert all(len(one.encode()) < 2 * PART_BYTES for one in of_book)
    line = [one for one in found if set(one) == {"é"}]
    assert "".join(line) == "é" * PART_BYTES
    assert len(line) == 2


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_parquet(tmp_path: Path, kind: pa.DataType) -> None:
    given = [*texts(500), "", None, HOSTILE[0]]
    table = pa.table({"id": list(range(503)), "text": pa.array(given, kind)})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet", row_group_size=100)
    assert run(tmp_path / "a.parquet", tmp_path / "out", tmp_path, "--validation", "0.5") == 0
    assert both(tmp_path / "out") == sorted(one for one in given if one)


def test_a_large_vocabulary_takes_four_bytes_a_token(tmp_path: Path) -> None:
    ranks = {bytes([one]): one for one in range(256)}
    ranks |= {b"%d" % number: number - 744 for number in range(1000, 67000)}
    path = tmp_path / "large.tiktoken"
    sources_text = write_jsonl(tmp_path / "a.jsonl", texts(50))
    write_ranks(path, ranks)
    flags = ["--source", str(sources_text), "--validation", "0.5", "--processes", "1"]
    assert tokenise.main([*flags, "--out", str(tmp_path / "out"), "--tokenizer", str(path)]) == 0
    manifest = read_manifest(tmp_path / "out")
    assert (manifest.dtype, manifest.eot, manifest.vocab_size) == ("uint32", 66256, 66257)
    tokens = np.fromfile(tmp_path / "out" / manifest.of("train")[0].name, "<u4")
    assert tokens.max() == 66256


def test_a_limit_ends_early_and_at_the_same_place_each_time(tmp_path: Path) -> None:
    source = tmp_path / "books"
    source.mkdir()
    for i in range(6):
        write_jsonl(source / f"{i}.jsonl", texts(50, seed=i))
    for out in ("one", "two"):
        assert run(source, tmp_path / out, tmp_path, "--validation", "0.5", "--limit", "20_000") == 0
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert 20_000 <= sum(read_manifest(tmp_path / "one").tokens.values()) < 40_000


def test_killed_behind_the_limit_it_writes_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    source = tmp_path / "books"
    source.mkdir()
    for i in range(6):
        write_jsonl(source / f"{i}.jsonl", texts(50, seed=i))
    flags = ("--validation", "0.5", "--limit", "20_000")
    assert run(source, tmp_path / "whole", tmp_path, *flags) == 0
    with monkeypatch.context() as patch:
        patch.setattr(tokenise, "COMMIT_EVERY_S", 0.0)
        patch.setattr(tokenise.manifest, "write_manifest", killed)
        assert run(source, tmp_path / "out", tmp_path, *flags) == 130
    assert run(source, tmp_path / "out", tmp_path, *flags) == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.skipif(os.name == "nt", reason="no modes there")
def test_all_files_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        folder = make_shards(tmp_path, texts(9))
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o640}


@pytest.mark.parametrize("text", [" " * 300_000, "\n" * 300_000, "a b" * 100_000, "x" * SLICE_CHARS + " y"])
def test_texts_that_overflow_the_library_are_encoded_in_slices(tmp_path: Path, text: str) -> None:
    tokenizer = read_ranks(byte_ranks(tmp_path))
    ids = encode(tokenizer, text)
    assert tokenizer.decode(ids) == text


# -- kill -9 ---------------------------------------------------------------------------------------


def test_killed_in_the_middle_it_goes_on_without_a_lost_or_doubled_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_documents, "PIECE_BYTES", 1 << 15)
    source = tmp_path / "books"
    source.mkdir()
    for i in range(8):
        write_jsonl(source / f"{i}.jsonl", texts(600, seed=i, words=120))
    flags = ["--validation", "0.1", "--shard-tokens", "300_000", "--tokenizer", str(byte_ranks(tmp_path))]
    assert run(source, tmp_path / "whole", tmp_path, *flags) == 0
    out = tmp_path / "killed"
    # Small pieces, each committed, so that there are many places where it can be killed.
    script = (
        "import sys; from training import tokenise; from training.shards import documents;"
        "documents.PIECE_BYTES = 1 << 15; tokenise.COMMIT_EVERY_S = 0.0; sys.exit(tokenise.main())"
    )
    command = [sys.executable, "-c", script, "--source", str(source), "--out", str(out), *flags]

    def pieces_done() -> list[int]:
        try:
            done = json.loads((out / "progress.json").read_text())
        except FileNotFoundError:
            return [0, 0]
        return [done["file"], done["piece"]]

    killed_at = [0, 0]
    for processes in ("2", "1"):
        with subprocess.Popen([*command, "--processes", processes], cwd=ROOT, stderr=subprocess.PIPE) as it:
            until_true(lambda at=killed_at: it.poll() is not None or pieces_done() > at, 60)
            helpers = family(it.pid) if it.poll() is None else []
            it.kill()
            assert it.wait() == -signal.SIGKILL, it.stderr and it.stderr.read().decode()
        killed_at = pieces_done()
        # None of its processes stays behind.
        until_true(lambda pids=[one.pid for one in helpers]: all(map(gone, pids)), 30)
        assert not (out / "manifest.json").exists()
    assert killed_at > [0, 0]
    # What was written behind the last commit, and a shard that had just begun.
    done = json.loads((out / "progress.json").read_text())["written"]
    full = sum(shard["split"] == "train" for shard in done["shards"])
    with (out / f"train-{full:05d}.bin").open("ab") as file:
        file.write(b"\x01\x02 what a crash may leave")
    (out / f"train-{full + 1:05d}.bin").write_bytes(b"\x01\x02")
    (out / "tmpcrash.part").write_bytes(b"{")
    assert run(source, out, tmp_path, *flags) == 0
    assert contents(out) == contents(tmp_path / "whole")


def unfinished(tmp_path: Path) -> tuple[Path, Path]:
    """A source of three files whose last is bad, and the folder that stopped there."""
    source, out = tmp_path / "books", tmp_path / "out"
    source.mkdir()
    for i in range(3):
        write_jsonl(source / f"{i}.jsonl", texts(20, seed=i))
    (source / "2.jsonl").write_text("no json\n")
    assert run(source, out, tmp_path, "--validation", "0.5") == 2
    return source, out


def test_what_stopped_it_can_be_mended_or_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tokenise, "COMMIT_EVERY_S", 0.0)
    source, out = unfinished(tmp_path)
    assert "2.jsonl:1 is not JSON: mend it, or leave out what is like it with --bad skip." in (
        capsys.readouterr().err
    )
    assert json.loads((out / "progress.json").read_text())["file"] == 1
    write_jsonl(source / "2.jsonl", texts(20, seed=2))
    assert run(source, out, tmp_path, "--validation", "0.5") == 0
    assert both(out) == sorted(one for i in range(3) for one in texts(20, seed=i))


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--validation", "0.4"], "was begun with validation 0.5, not 0.4"),
        (["--validation", "0.5", "--tokenizer", "OTHER"], "was begun with tokenizer"),
        (["--validation", "0.5", "CHANGE"], "that were read already have changed since"),
    ],
)
def test_it_does_not_go_on_with_something_else(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    said: str,
) -> None:
    monkeypatch.setattr(tokenise, "COMMIT_EVERY_S", 0.0)
    source, out = unfinished(tmp_path)
    if flags[-1] == "CHANGE":
        flags.pop()
        write_jsonl(source / "0.jsonl", texts(21))
    if flags[-1] == "OTHER":
        flags[-1] = str(tmp_path / "other.tiktoken")
        write_ranks(Path(flags[-1]), {**{bytes([one]): one for one in range(256)}, b"th": 256})
    before = contents(out)
    capsys.readouterr()
    assert run(source, out, tmp_path, *flags) == 2
    assert said in capsys.readouterr().err
    assert contents(out) == before


# -- bad input -------------------------------------------------------------------------------------


def write_bytes(data: bytes, name: str = "a.txt") -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    return write


def wrong_column(folder: Path) -> Path:
    pyarrow.parquet.write_table(pa.table({"body": ["a"]}), folder / "a.parquet")
    return folder / "a.parquet"


def numbers(folder: Path) -> Path:
    pyarrow.parquet.write_table(pa.table({"text": [1]}), folder / "a.parquet")
    return folder / "a.parquet"


def cut(folder: Path) -> Path:
    table = pa.table({"text": texts(4000, words=200)})
    pyarrow.parquet.write_table(table, folder / "a.parquet", compression="none")
    data = bytearray((folder / "a.parquet").read_bytes())
    data[1000:-5000] = bytes(len(data) - 6000)
    (folder / "a.parquet").write_bytes(data)
    return folder / "a.parquet"


MIXED = b"x" * PIECE_BYTES + "naïve".encode("latin-1")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (write_bytes(b""), r"a.txt is empty: there is nothing to learn from"),
        (write_bytes(b" \n\n "), r"There is no text in .*a.txt: nothing was written"),
        (write_bytes(b"MZ\x00\x01" * 9), r"a.txt is binary \(a zero byte at 2\)"),
        (write_bytes("naïve".encode("latin-1")), r"a.txt is not UTF-8 \(byte 0xef at 2\)"),
        (write_bytes(MIXED), rf"a.txt is not UTF-8 \(byte 0xef at {PIECE_BYTES + 2}\)"),
        (write_bytes("東".encode()[:2]), r"a.txt is not UTF-8 \(byte 0xe6 at 0\)"),
        (write_bytes("hello".encode("utf-16")), r"a.txt is UTF-16, not UTF-8"),
        (write_bytes(b'{"text": "a"}\n{"text": 1}\n', "a.jsonl"), r"a.jsonl:2 has no text 'text'"),
        (write_bytes(b'\n[1]\n{"text": "a"}\n', "a.jsonl"), r"a.jsonl:2 has no text 'text'"),
        (write_bytes(b'{"body": "a"}\n', "a.jsonl"), r"a.jsonl:1 has no text 'text'"),
        (write_bytes(b'{"text": "a\xe9"}\n', "a.jsonl"), r"a.jsonl:1 is not UTF-8"),
        (write_bytes(b"[" * 100_000, "a.jsonl"), r"a.jsonl:1 is not JSON"),
        (write_bytes(b"PAR1 no", "a.parquet"), r"a.parquet is not parquet"),
        (wrong_column, r"a.parquet has no column 'text' but body"),
        (numbers, r"The column 'text' of .*a.parquet is int64, not text"),
        (cut, r"Row group 0 of .*a.parquet is damaged"),
        (lambda folder: folder / "none.txt", r"There is no source .*none.txt'"),
        (lambda folder: folder, r"holds no file of text: these are read: .txt, .md"),
        (lambda folder: write_jsonl(folder / "a.jsonl", ["one"]), r"None of the 1 doc"),
    ],
)
def test_one_sentence_and_nothing_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Callable[[Path], Path], said: str
) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    byte_ranks(tmp_path)
    assert run(make(folder), tmp_path / "out", tmp_path) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.endswith(".")
    assert re.search(said, last), last
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_bad_files_and_lines_can_be_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "books"
    source.mkdir()
    lines = [json.dumps({"text": one}) for one in texts(30)]
    (source / "a.jsonl").write_bytes("\n".join([*lines, "no"]).encode() + b'\n{"text": "\xff"}')
    (source / "b.txt").write_bytes(b"half ascii\n\n" + "naïve".encode("latin-1"))
    (source / "c.txt").write_text("good")
    (source / "d.parquet").write_bytes(b"no")
    assert run(source, tmp_path / "out", tmp_path, "--validation", "0.5", "--bad", "skip") == 0
    assert both(tmp_path / "out") == sorted([*texts(30), "good"])
    said = capsys.readouterr().err
    for name in (
        "a.jsonl:31 is not JSON",
        "a.jsonl:32 is not UTF-8",
        "b.txt is not UTF-8",
        "d.parquet is not",
    ):
        assert f"left out: {source / name.split()[0].split(':')[0]}" in said
        assert name in said


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_shards(tmp_path, texts(20))
    before = contents(folder)
    assert run(tmp_path / "source.jsonl", folder, tmp_path) == 2
    assert "holds finished shards: give another --out" in capsys.readouterr().err
    assert contents(folder) == before
    other = tmp_path / "mine"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    assert run(tmp_path / "source.jsonl", other, tmp_path) == 2
    assert "holds other files (notes.txt): give an --out of its own" in capsys.readouterr().err
    assert run(tmp_path / "source.jsonl", other / "notes.txt", tmp_path) == 2
    assert "notes.txt is a file" in capsys.readouterr().err
    assert contents(other) == {"notes.txt": b"mine"}


@pytest.mark.parametrize("flags", [["--tokenizer", "none.tiktoken"], ["--validation", "0"], ["--bad", "no"]])
def test_wrong_arguments_make_no_shards(tmp_path: Path, flags: list[str]) -> None:
    source = write_jsonl(tmp_path / "a.jsonl", texts(3))
    assert run(source, tmp_path / "out", tmp_path, *flags) == 2
    assert not (tmp_path / "out" / "manifest.json").exists()


@pytest.mark.parametrize("text", ["QQ== 0\n", "no\n", "QQ==\n"])
def test_ranks_that_are_none_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    (tmp_path / "a.tiktoken").write_text(text)
    source = write_jsonl(tmp_path / "a.jsonl", texts(3))
    assert run(source, tmp_path / "out", tmp_path, "--tokenizer", str(tmp_path / "a.tiktoken")) == 2
    assert "a.tiktoken" in capsys.readouterr().err


def test_a_full_disk_is_one_sentence_and_it_goes_on_when_there_is_room(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "a.jsonl", texts(900))
    out = tmp_path / "out"
    command = [sys.executable, "-m", "training.tokenise", "--source", str(source), "--out", str(out)]
    command += ["--tokenizer", str(byte_ranks(tmp_path)), "--processes", "1", "--validation", "0.5"]

    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    full = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, preexec_fn=small)
    assert full.returncode == 2
    assert full.stderr.splitlines()[-1] == (
        "The disk is full: make room, then the same command goes on where it was."
    )
    assert run(source, out, tmp_path, "--validation", "0.5") == 0
    assert both(out) == sorted(texts(900))


def test_two_at_once_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = write_jsonl(tmp_path / "a.jsonl", texts(9)), tmp_path / "out"
    out.mkdir()
    with locked(out / ".lock", lambda: None):
        assert run(source, out, tmp_path) == 2
    assert "Another process writes" in capsys.readouterr().err


def test_the_package_of_dialogues_becomes_lines_of_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package itself is not fetched here: what it holds is made in its format."""
    turn = [{"text": "Hello"}, {"text": "how are you? "}]
    dialogues = {str(i): {"messages": [turn, [{"text": f"fine, {i}"}]]} for i in range(40)}

    def fetch(title: str, wheel: object, size: int, sha256: str, target: Path, report: object) -> None:
        target.write_text(json.dumps(dialogues))

    monkeypatch.setenv("AKANE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sources, "fetch_member", fetch)
    assert run("chitchat", tmp_path / "out", tmp_path, "--validation", "0.5") == 0
    assert both(tmp_path / "out") == sorted(f"A: Hello how are you?\nB: fine, {i}" for i in range(40))
    assert [path.name for path in (tmp_path / "cache" / "datasets").iterdir() if path.suffix != ".lock"] == [
        "chitchat.jsonl"
    ]
