"""Text into shards of tokens, once, for training.pretrain.

python -m training.tokenise --source books/ --out data/books
python -m training.tokenise --source fineweb-edu --limit 1_000_000_000 --out data/edu

Stopped in any way, the same command goes on where it was: no document is lost or written twice.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from shared.config import Section
from shared.cores import physical_cores
from shared.model.integrity import write_atomically
from shared.model.locking import locked
from shared.model.progress import terminal_progress
from shared.model.saved_tokenizer import describe_tokenizer
from training.arguments import parse
from training.errors import TrainingError
from training.guard import ended
from training.progress import Display, display
from training.shards import manifest, state
from training.shards.documents import Piece
from training.shards.manifest import SPLITS, TOKENIZER_FILE, Manifest, Shard
from training.shards.ranks import end_of_text, find_tokenizer
from training.shards.sources import NAMES, Source, find_source
from training.shards.tokenising import Rules, tokenise_all
from training.shards.writing import ShardWriter

COMMIT_EVERY_S = 1.0
"""That much work is done again after a crash."""
AHEAD = 16
"""Pieces that are fetched before somebody asks for them."""
SHOWN_BAD = 10
_GOES_ON = "the same command goes on where it was"


class Arguments(Section):
    """One folder of shards."""

    source: str = Field(
        min_length=1,
        description=f"file or folder of text, JSONL, parquet; hub:ORG/DATASET/FOLDER; {', '.join(NAMES)}",
    )
    out: str = Field(min_length=1, description="folder to write, its own")
    tokenizer: str = Field("gpt2", description="gpt2, a .tiktoken file, or a model whose tokenizer is meant")
    field: str = Field("text", min_length=1, description="that holds the text, in JSONL and parquet")
    processes: int = Field(0, ge=0, description="that tokenise; 0 takes the physical cores")
    shard_tokens: int = Field(100_000_000, ge=1, description="in a file at the most")
    validation: float = Field(0.005, gt=0, lt=1, description="share of the documents, by their hash")
    limit: int = Field(0, ge=0, description="stop behind so many tokens; 0: at the end of the source")
    bad: Literal["stop", "skip"] = Field("stop", description="at what is no UTF-8 text or has no such field")


Place = tuple[int, int]
"""Number of a file in its source, and of a piece in its file."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 2 and one sentence for wrong arguments, data or a full disk, 130 for Ctrl-C."""

    def job() -> int:
        return run(parse(Arguments, "python -m training.tokenise", __doc__ or "", argv, presets=None))

    return ended(job, f"Stopped: {_GOES_ON}.", full=f"The disk is full: make room, then {_GOES_ON}.")


def run(arguments: Arguments) -> int:
    """Make the folder, or go on with it. Raises TrainingError, ModelError, OSError."""
    folder = Path(arguments.out).expanduser()
    state.require_ours(folder)
    folder.mkdir(parents=True, exist_ok=True)

    def refuse() -> None:
        raise TrainingError(f"Another process writes {folder}: wait for it, or give another --out.")

    with locked(folder / state.LOCK_FILE, refuse):
        state.clear_half_written(folder)
        result = _make(arguments, folder)
    (folder / state.LOCK_FILE).unlink(missing_ok=True)
    print(_told(folder, result))
    return 0


def _make(arguments: Arguments, folder: Path) -> Manifest:
    with terminal_progress() as progress:
        tokenizer = find_tokenizer(arguments.tokenizer, progress)
        source = find_source(arguments.source, folder / state.DOWNLOADS, progress)
    described = describe_tokenizer(tokenizer)
    text = json.dumps(described)
    tokenizer_sha256 = hashlib.sha256(text.encode()).hexdigest()
    rules = Rules(
        field=arguments.field,
        eot=end_of_text(tokenizer),
        dtype="uint16" if tokenizer.vocab_size <= 1 << 16 else "uint32",
        validation=arguments.validation,
    )
    free = {"out", "processes", "bad", "tokenizer"}
    settings = {**arguments.model_dump(exclude=free), "tokenizer": tokenizer_sha256[:12]}
    done = state.load(folder, settings, source.files)
    write_atomically(folder / TOKENIZER_FILE, text)
    state.save(folder, done, source.files)
    writer = ShardWriter(folder, rules.dtype, arguments.shard_tokens, done.written)
    total = sum(file.size_bytes for file in source.files)
    try:
        with display(-(-total // 1_000_000)) as screen:
            screen.say(f"{total / 1e6:,.0f} MB in {len(source.files)} files of {source.name}")
            if done.source_bytes:
                screen.say(f"going on behind {sum(done.documents.values()):,} documents")
            work = tokenise_all(
                _pieces(source, (done.file, done.piece), rules.field),
                rules,
                tokenizer,
                described,
                arguments.processes or physical_cores(),
            )
            _write_all(arguments, folder, source, done, writer, work, screen)
            shards = writer.close()
    finally:
        source.stopping.set()
        writer.abandon()
    if problem := _problem(done, source):
        _discard(folder, shards)
        raise TrainingError(problem)
    result = Manifest(
        version=manifest.VERSION,
        tokenizer=arguments.tokenizer,
        tokenizer_sha256=tokenizer_sha256,
        vocab_size=tokenizer.vocab_size,
        eot=rules.eot,
        dtype="uint16" if rules.dtype == "uint16" else "uint32",
        source=source.name,
        source_sha256=done.source_sha256,
        tokens=done.tokens,
        bytes=done.bytes,
        documents=done.documents,
        shards=tuple(shards),
    )
    manifest.write_manifest(folder, result)
    (folder / manifest.PROGRESS_FILE).unlink()
    shutil.rmtree(folder / state.DOWNLOADS, ignore_errors=True)
    return result


def _pieces(source: Source, first: Place, field: str) -> Iterator[tuple[Place, Piece]]:
    """Pieces from `first` on; while some are tokenised a thread fetches the next."""
    with ThreadPoolExecutor(1, thread_name_prefix="fetch") as fetching:
        coming = _places(source, first, field)
        waiting = deque(fetching.submit(next, coming, None) for _ in range(AHEAD))
        while (placed := waiting.popleft().result()) is not None:
            waiting.append(fetching.submit(next, coming, None))
            yield placed


def _places(source: Source, first: Place, field: str) -> Iterator[tuple[Place, Piece]]:
    for i, file in enumerate(source.files[first[0] :], first[0]):
        begins = first[1] if i == first[0] else 0
        for number, piece in enumerate(source.pieces(file, field, begins), begins):
            yield (i, number), piece


def _write_all(
    arguments: Arguments,
    folder: Path,
    source: Source,
    done: state.Done,
    writer: ShardWriter,
    work: Iterator[tuple[Place, Piece, Any]],
    screen: Display,
) -> None:
    def enough() -> bool:
        return 0 < arguments.limit <= sum(done.tokens.values())

    if enough():  # killed when all was written, but for the manifest
        return
    committed, released = time.monotonic(), done.file
    began: tuple[float, int] | None = None
    for (file, number), piece, result in work:
        if result.bad and arguments.bad == "stop":
            raise TrainingError(f"{result.bad[0]}: mend it, or leave out what is like it with --bad skip.")
        for reason in result.bad[: max(0, SHOWN_BAD - done.bad)]:
            screen.say(f"left out: {reason}")
        for split in SPLITS:
            writer.add(split, result.tokens[split], result.lengths[split])
        done.count(result)
        done.file, done.piece = file, number + 1
        done.source_bytes += piece.size_bytes
        now, tokens = time.monotonic(), sum(done.tokens.values())
        if now - committed >= COMMIT_EVERY_S:
            writer.commit()
            state.save(folder, done, source.files)
            committed = now
            for one in source.files[released:file]:
                source.release(one)
            released = file
        # From the first result on: before it the processes began.
        began = began or (now, tokens)
        rate = (tokens - began[1]) / max(now - began[0], 1e-9)
        screen.step(done.source_bytes // 1_000_000, f"{tokens / 1e6:,.1f}M tokens · {rate:,.0f} tokens/s")
        if enough():
            break


def _problem(done: state.Done, source: Source) -> str:
    """Why the shards would be of no use."""
    documents = sum(done.documents.values())
    if not documents:
        left_out = f" ({done.bad} things could not be read)" if done.bad else ""
        return f"There is no text in {source.name}{left_out}: nothing was written."
    for split in SPLITS:
        if not done.documents[split]:
            way = "larger" if split == "validation" else "smaller"
            return (
                f"None of the {documents} documents of {source.name} came into the {split} split: "
                f"give a {way} --validation, or more documents."
            )
    return ""


def _discard(folder: Path, shards: Sequence[Shard]) -> None:
    for name in (*(shard.name for shard in shards), TOKENIZER_FILE, manifest.PROGRESS_FILE):
        (folder / name).unlink(missing_ok=True)


def _told(folder: Path, result: Manifest) -> str:
    tokens, documents = sum(result.tokens.values()), sum(result.documents.values())
    return (
        f"{folder}: {tokens:,} tokens of {documents:,} documents in {len(result.shards)} shards, "
        f"{result.tokens['validation']:,} of them to validate by; "
        f"{result.bytes_per_token('train'):.2f} bytes a token"
    )


if __name__ == "__main__":
    sys.exit(main())
