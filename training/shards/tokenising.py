"""Pieces of text into tokens, in several processes; the results come in the order of the pieces."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import re
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from shared.model.saved_tokenizer import described_tokenizer
from shared.model.tokenizer import Tokenizer
from training.errors import TrainingError
from training.shards.documents import Bad, Piece, read_documents
from training.shards.manifest import SPLITS, Split
from training.splitting import place

SLICE_CHARS = 1 << 16
"""Encoded at once: tiktoken's patterns overflow their stack on some hundred thousand spaces."""
_BREAK = re.compile(r"\S(?= \S)")
"""A place where every pre-tokenizer cuts anyway."""

Place = TypeVar("Place")


@dataclass(frozen=True)
class Rules:
    """What becomes of a document."""

    field: str
    eot: int
    dtype: str
    validation: float
    """The share of documents, by their hash, that is not learned from."""


@dataclass
class Tokenised:
    """A piece's documents, by split."""

    tokens: dict[Split, NDArray[Any]] = field(default_factory=dict)
    """One document behind the other, the end-of-text token behind each."""
    lengths: dict[Split, list[int]] = field(default_factory=dict)
    """Tokens of each document, with its end."""
    sizes: dict[Split, int] = field(default_factory=dict)
    """Bytes of the documents."""
    hashes: list[bytes] = field(default_factory=list)
    """SHA-256 of each document in order."""
    bad: list[str] = field(default_factory=list)
    """Why something could not be read."""


def encode(tokenizer: Tokenizer, text: str) -> list[int]:
    """Ids of a text of any length, in which the names of special tokens are text like any other."""
    ids: list[int] = []
    start = 0
    while len(text) - start > SLICE_CHARS:
        limit = start + SLICE_CHARS
        breaks = deque(_BREAK.finditer(text, limit - 4096, limit), maxlen=1)
        stop = breaks[0].end() if breaks else limit
        ids += tokenizer.encode(text[start:stop])
        start = stop
    return ids + tokenizer.encode(text[start:]) if start else tokenizer.encode(text)


def tokenise(piece: Piece, rules: Rules, tokenizer: Tokenizer) -> Tokenised:
    """Read a piece and encode its documents. Raises OSError."""
    result = Tokenised()
    ids: dict[Split, list[int]] = {split: [] for split in SPLITS}
    result.lengths = {split: [] for split in SPLITS}
    result.sizes = dict.fromkeys(SPLITS, 0)
    for document in read_documents(piece, rules.field):
        if isinstance(document, Bad):
            result.bad.append(document.reason)
            continue
        if not document or document.isspace():
            continue
        data = document.encode("utf-8", "replace")
        split: Split = "validation" if place(data) < rules.validation else "train"
        before = len(ids[split])
        ids[split] += encode(tokenizer, document)
        ids[split].append(rules.eot)
        result.lengths[split].append(len(ids[split]) - before)
        result.sizes[split] += len(data)
        result.hashes.append(hashlib.sha256(data).digest())
    result.tokens = {split: np.array(values, rules.dtype) for split, values in ids.items()}
    return result


def tokenise_all(
    pieces: Iterable[tuple[Place, Piece]],
    rules: Rules,
    tokenizer: Tokenizer,
    described: Mapping[str, Any],
    processes: int,
) -> Iterator[tuple[Place, Piece, Tokenised]]:
    """Every piece's tokens in order; `described` is the tokenizer for other processes.

    Raises OSError, and TrainingError when a process was killed.
    """
    if processes == 1:
        for where, piece in pieces:
            yield where, piece, tokenise(piece, rules, tokenizer)
        return
    # Spawned, not forked: this process may have threads.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, initializer=_begin, initargs=(described, rules))
    waiting: deque[tuple[Place, Piece, Future[Tokenised]]] = deque()
    try:
        for where, piece in pieces:
            waiting.append((where, piece, pool.submit(_tokenise_here, piece)))
            if len(waiting) >= 3 * processes:
                first = waiting.popleft()
                yield first[0], first[1], first[2].result()
        while waiting:
            first = waiting.popleft()
            yield first[0], first[1], first[2].result()
    except BrokenProcessPool:
        raise TrainingError(
            "A process that tokenised was ended from outside (out of memory?): the same command goes on, "
            "fewer --processes need less memory."
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_here: dict[str, Any] = {}
"""Tokenizer and rules of a process of the pool."""


def _begin(described: Mapping[str, Any], rules: Rules) -> None:
    # Ctrl-C is for the process that writes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    _here["tokenizer"], _here["rules"] = described_tokenizer(described), rules


def _leave_with_parent() -> None:
    """A pool's processes would wait for work for ever when the one that gives it was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _tokenise_here(piece: Piece) -> Tokenised:
    return tokenise(piece, _here["rules"], _here["tokenizer"])
