"""Writes shards so that a crash at any moment loses nothing that was committed, and doubles nothing."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from shared.model.integrity import file_sha256
from training.shards.manifest import ITEM_BYTES, SPLITS, Shard, Split


@dataclass
class Written:
    """What lies on the disk; files beyond it are what a crash left."""

    shards: list[Shard] = field(default_factory=list)
    """The full ones."""
    open_tokens: dict[Split, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))
    """In the file behind the last full one."""


class ShardWriter:
    """Documents go to the shard of their split that is open; one that would grow too long is closed first."""

    def __init__(self, folder: Path, dtype: str, shard_tokens: int, written: Written) -> None:
        """Goes on behind `written`. Raises OSError."""
        self._folder, self._dtype, self._limit = folder, np.dtype(dtype).newbyteorder("<"), shard_tokens
        self._item_bytes = ITEM_BYTES[dtype]
        self.written = written
        self._files: dict[Split, BinaryIO] = {}
        kept = {shard.name for shard in written.shards}
        for split in SPLITS:
            if written.open_tokens[split]:
                kept.add(self._name(split))
                file = (folder / self._name(split)).open("r+b")
                self._files[split] = file
                file.truncate(written.open_tokens[split] * self._item_bytes)
                file.seek(0, os.SEEK_END)
            for path in folder.glob(f"{split}-*.bin"):
                if path.name not in kept:
                    path.unlink()

    def add(self, split: Split, tokens: NDArray[Any], lengths: list[int]) -> None:
        """Append documents, whose tokens lie behind one another."""
        ends = np.cumsum(lengths)
        start = 0
        while start < len(tokens):
            room = self._limit - self.written.open_tokens[split]
            fitting = int(np.searchsorted(ends, start + room, side="right"))
            stop = int(ends[fitting - 1]) if fitting and ends[fitting - 1] > start else start
            if stop == start and self.written.open_tokens[split]:
                self._close(split)
                continue
            if stop == start:  # one document longer than a shard
                stop = int(ends[np.searchsorted(ends, start, side="right")])
            if split not in self._files:
                self._files[split] = (self._folder / self._name(split)).open("wb")
            self._files[split].write(tokens[start:stop].astype(self._dtype).tobytes())
            self.written.open_tokens[split] += stop - start
            start = stop

    def commit(self) -> Written:
        """Put everything on the disk, and say what is there."""
        for file in self._files.values():
            file.flush()
            os.fsync(file.fileno())
        return self.written

    def close(self) -> list[Shard]:
        """Close what is open; all shards, by split and in order."""
        for split in SPLITS:
            if self.written.open_tokens[split]:
                self._close(split)
        return sorted(self.written.shards, key=lambda shard: (SPLITS.index(shard.split), shard.name))

    def abandon(self) -> None:
        """Let the files go as they are."""
        for file in self._files.values():
            file.close()

    def _close(self, split: Split) -> None:
        path = self._folder / self._name(split)
        file = self._files.pop(split)
        file.flush()
        os.fsync(file.fileno())
        file.close()
        self.written.shards.append(
            Shard(path.name, split, self.written.open_tokens[split], file_sha256(path))
        )
        self.written.open_tokens[split] = 0

    def _name(self, split: Split) -> str:
        return f"{split}-{sum(shard.split == split for shard in self.written.shards):05d}.bin"
