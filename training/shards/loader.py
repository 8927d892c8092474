"""Batches out of shards: what is in one follows from seed and step, so that nothing need be saved."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.errors import TrainingError
from training.shards.manifest import Manifest, Split, read_manifest, require_whole
from training.shards.shuffle import drawn, permuted

NOTHING = -100
"""A target that is not learned, as `torch.nn.functional.cross_entropy` has it."""

Batch = tuple[Tensor, Tensor, Tensor | None]
"""Inputs and targets (batch, context) int64, and segments (batch, context) int32 or None."""


class TokenLoader:
    """Rows of `context` tokens, each one behind the other in a shard; `batch` of them a step on each rank.

    Together the ranks read rows step * batch * world … of the data's order, rank r its r-th `batch` of them:
    one rank with a batch of 8 and two with 4 read the same. Training data is shuffled, each epoch anew and
    cut at other places. Validation data is read in its own order, whatever the seed.

    With `documents` nothing is predicted across their ends: targets are -100 there, and `segments` numbers
    the documents of a row from 0, for an attention that stays inside them.
    """

    def __init__(
        self,
        folder: Path | str,
        split: Split,
        batch: int,
        context: int,
        rank: int = 0,
        world: int = 1,
        seed: int = 0,
        documents: bool = True,
    ) -> None:
        """Raises TrainingError for shards that are not whole, or too few tokens for one row."""
        folder = Path(folder)
        self.manifest: Manifest = read_manifest(folder)
        require_whole(folder, self.manifest, split)
        self.split, self.batch, self.context = split, batch, context
        self.rank, self.world, self.seed, self.documents = rank, world, seed, documents
        self._shards = self.manifest.of(split)
        dtype = np.dtype(self.manifest.dtype).newbyteorder("<")
        self._tokens = [np.memmap(folder / shard.name, dtype, "r") for shard in self._shards]
        # A row and the token behind it, which its last place predicts.
        rows = [(shard.tokens - 1) // context for shard in self._shards]
        self._ends = np.cumsum(rows)
        self.rows = sum(rows)
        """Of one epoch."""
        if not self.rows:
            raise TrainingError(
                f"The {split} split of {folder} has {self.manifest.tokens[split]} tokens, too few for a "
                f"context of {context}: add text, or take a smaller context"
                f"{' or a larger --validation' if split == 'validation' else ''}."
            )

    def batch_at(self, step: int) -> Batch:
        """The batch of a step, the first being 0; the same whenever and wherever it is asked for."""
        first = (step * self.world + self.rank) * self.batch
        rows = np.stack([self._row(*place) for place in self._places(first)])
        inputs, targets = rows[:, :-1], rows[:, 1:]
        if not self.documents:
            return torch.from_numpy(inputs.copy()), torch.from_numpy(targets.copy()), None
        ends = inputs == self.manifest.eot
        # The end belongs to its document.
        segments = (np.cumsum(ends, axis=1) - ends).astype(np.int32)
        targets = np.where(ends, NOTHING, targets)
        return torch.from_numpy(inputs.copy()), torch.from_numpy(targets), torch.from_numpy(segments)

    def first(self, n_rows: int) -> Iterator[Batch]:
        """Batches with the first rows, each once among all ranks, whatever batch and number of ranks are.

        Every rank has equally many batches, of one shape: in rows that are too many no target is learned.
        """
        for step in range(math.ceil(n_rows / (self.batch * self.world))):
            inputs, targets, segments = self.batch_at(step)
            targets[max(0, n_rows - (step * self.world + self.rank) * self.batch) :] = NOTHING
            yield inputs, targets, segments

    def _places(self, first: int) -> Iterator[tuple[int, int]]:
        """Shard and first token of this rank's rows."""
        epochs, at = np.divmod(np.arange(first, first + self.batch, dtype=np.int64), self.rows)
        for epoch in np.unique(epochs):
            number, chosen = int(epoch), at[epochs == epoch].astype(np.uint64)
            if self.split == "train":
                chosen = permuted(chosen, self.rows, f"{self.seed}/{number}")
            for row in chosen.astype(np.int64):
                shard = int(np.searchsorted(self._ends, row, side="right"))
                before = int(self._ends[shard - 1]) if shard else 0
                yield shard, self._offset(number, shard) + (int(row) - before) * self.context

    def _offset(self, epoch: int, shard: int) -> int:
        """Tokens left out before the first row: as many as would be left over behind the last, or fewer."""
        if self.split != "train":
            return 0
        left_over = (self._shards[shard].tokens - 1) % self.context
        return drawn(left_over + 1, f"{self.seed}/{epoch}/{self._shards[shard].name}")

    def _row(self, shard: int, start: int) -> NDArray[np.int64]:
        return self._tokens[shard][start : start + self.context + 1].astype(np.int64)


def prefetch(loader: TokenLoader, first_step: int, ahead: int = 4) -> Generator[Batch, None, None]:
    """Batches from `first_step` on, without an end; a thread keeps `ahead` ready. Close it when done."""
    with ThreadPoolExecutor(1, thread_name_prefix="loader") as pool:
        waiting = deque(pool.submit(loader.batch_at, first_step + i) for i in range(ahead))
        step = first_step + ahead
        try:
            while True:
                batch = waiting.popleft().result()
                waiting.append(pool.submit(loader.batch_at, step))
                step += 1
                yield batch
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
