"""Small folders of shards, made by the command itself with one token a byte."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

from training import tokenise
from training.shards.ranks import write_ranks

EOT = 256
WORDS = ["the", "cat", "sat", "on", "a", "mat", "naïve", "東京", "🙂", "2,048", "it's", "   ", "\n"]


def byte_ranks(folder: Path) -> Path:
    """A vocabulary of the 256 bytes; the end of a text is 256."""
    path = folder / "bytes.tiktoken"
    if not path.exists():
        write_ranks(path, {bytes([one]): one for one in range(256)})
    return path


def texts(count: int, seed: int = 0, words: int = 40) -> list[str]:
    """Made-up documents, no two alike."""
    draw = random.Random(seed)
    return [
        f"{i}: " + " ".join(draw.choice(WORDS) for _ in range(draw.randint(1, words))) for i in range(count)
    ]


def write_jsonl(path: Path, documents: Sequence[str]) -> Path:
    path.write_text("".join(json.dumps({"text": one}) + "\n" for one in documents), encoding="utf-8")
    return path


def make_shards(tmp_path: Path, documents: Sequence[str], *flags: str) -> Path:
    """The folder of shards of these documents; half of them are to validate by."""
    source = write_jsonl(tmp_path / "source.jsonl", documents)
    out = tmp_path / "shards"
    assert run(source, out, tmp_path, "--validation", "0.5", *flags) == 0
    return out


def run(source: Path | str, out: Path, tmp_path: Path, *flags: str) -> int:
    """Exit status of the command, in this process."""
    common = ["--tokenizer", str(byte_ranks(tmp_path)), "--processes", "1"]
    return tokenise.main(["--source", str(source), "--out", str(out), *common, *flags])
