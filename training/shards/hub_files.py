"""A dataset's files on the hub: of parquet the text alone, as it is wanted; of anything else whole files."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path

from shared.model.hub_client import HubClient, NoRanges
from shared.model.hub_listing import HubFile
from shared.model.hub_name import HubName
from training.errors import TrainingError
from training.shards.documents import FORMATS, Format, Piece, pieces_of
from training.shards.streaming import begin, stream

STREAMED = "streamed"
"""Folder of the files that are here in part; the others are whole and checked."""


class HubFiles:
    """What `Source` needs of the files under `dataset.wanted`; they lie in `scratch` while they are read."""

    def __init__(self, dataset: HubName, scratch: Path) -> None:
        """Raises ModelError when the hub does not list it, TrainingError when no file of it is text."""
        self._dataset, self._scratch, self._client = dataset, scratch, HubClient()
        self.formats: dict[HubFile, Format] = {}
        for file in self._client.files_in(dataset):
            if (format := FORMATS.get(Path(file.path).suffix.lower())) in ("parquet", "jsonl"):
                self.formats[file] = format
        if not self.formats:
            raise TrainingError(f"{dataset} has no parquet or JSONL file: name a folder of it that has some.")
        self.stopping = threading.Event()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="download")
        self._coming: dict[HubFile, Future[Path]] = {}
        self._ranges = True

    def pieces(self, file: HubFile, field: str, first: int) -> Iterator[Piece]:
        """Its pieces from number `first` on. Raises ModelError, TrainingError, OSError."""
        if self._streams(file):
            path, read = self._scratch / STREAMED / file.path, partial(self._read, file)
            try:
                begin(read, file.size_bytes, path)
            except NoRanges:
                self._ranges = False
            else:
                yield from stream(read, path, field, first)
                return
        yield from islice(pieces_of(self._whole(file), self.formats[file], field), first, None)

    def release(self, file: HubFile) -> None:
        """It was read."""
        for folder in (self._scratch, self._scratch / STREAMED):
            (folder / file.path).unlink(missing_ok=True)

    def _streams(self, file: HubFile) -> bool:
        here = (self._scratch / file.path).exists()
        return self._ranges and self.formats[file] == "parquet" and file.sha256 != "" and not here

    def _read(self, file: HubFile, start: int, stop: int) -> bytes:
        self._go_on()
        return self._client.span(self._dataset, self._dataset.revision, file, start, stop)

    def _whole(self, file: HubFile) -> Path:
        """While it is read, the next one comes."""
        path = self._ask(file).result()
        files = list(self.formats)
        for following in files[files.index(file) + 1 :][:1]:
            if not self._streams(following):
                self._ask(following)
        return path

    def _ask(self, file: HubFile) -> Future[Path]:
        if file not in self._coming:
            self._coming[file] = self._pool.submit(self._download, file)
        return self._coming[file]

    def _download(self, file: HubFile) -> Path:
        target = self._scratch / file.path
        if not target.exists():  # it has this name only once it was checked
            self._client.download(self._dataset, self._dataset.revision, file, target, self._go_on)
        return target

    def _go_on(self, *_: object) -> None:
        if self.stopping.is_set():
            raise TrainingError("The download was broken off.")
