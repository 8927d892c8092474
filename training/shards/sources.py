"""Where text comes from: files and folders, a package of the Python index, datasets of the hub."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

from shared.model.fetch import fetch_member
from shared.model.hub_name import HubName
from shared.model.locking import locked
from shared.model.presets import Wheel, cache_dir
from shared.model.progress import Progress
from training.errors import TrainingError
from training.shards.documents import FORMATS, Format, Piece, pieces_of

HUB = {
    "fineweb": "HuggingFaceFW/fineweb/sample/10BT",
    "fineweb-edu": "HuggingFaceFW/fineweb-edu/sample/10BT",
    "tinystories": "roneneldan/TinyStories/data",
}
"""Datasets by name: repository, and the folder of it that is read when none is named."""
CHITCHAT = "chitchat"
NAMES = (*HUB, CHITCHAT)

_HUB = re.compile(r"([\w.-]+/[\w.-]+)((?:/[\w.=-]+)*)(?:@([\w./-]+))?", re.ASCII)
_CHITCHAT = Wheel(
    requirement="chitchat-dataset==0.9.0", member="chitchat_dataset/dataset.json", size_bytes=8_105_664
)
_CHITCHAT_BYTES = 40_303_934
_CHITCHAT_SHA256 = "d2a5d0bf6acf354fef51f3af39cbece2220d3b8f6086b658c3d335105798312a"


@dataclass(frozen=True)
class SourceFile:
    """One file; `stamp` is another when its content is."""

    name: str
    format: Format
    size_bytes: int
    stamp: str


Pieces = Callable[[SourceFile, str, int], Iterator[Piece]]
"""Of a file, for a field: its pieces from a number on, each when it can be read."""


@dataclass(frozen=True)
class Source:
    """Files in a fixed order; `pieces` brings them to the disk, `release` is told when one was read."""

    name: str
    files: Sequence[SourceFile]
    pieces: Pieces
    release: Callable[[SourceFile], None] = lambda file: None
    stopping: threading.Event = field(default_factory=threading.Event)
    """Set when no more is wanted: a download is broken off."""


def find_source(name: str, scratch: Path, progress: Progress) -> Source:
    """What `--source` means; files of the hub lie in `scratch` while they are read.

    Raises TrainingError, ModelError when something cannot be fetched, OSError.
    """
    first, _, folder = name.partition("/")
    if first in HUB and not name.startswith(f"{first}//"):
        return _hub(name, _with_folder(first, folder), scratch)
    if name.startswith("hub:"):
        return _hub(name, name.removeprefix("hub:"), scratch)
    if name == CHITCHAT:
        return _local(name, _chitchat(progress))
    path = Path(name).expanduser()
    if not path.exists():
        raise TrainingError(
            f"There is no source {name!r}: give a file, a folder, hub:ORG/DATASET/FOLDER, "
            f"or one of {', '.join(NAMES)}."
        )
    return _local(name, path)


def _local(name: str, path: Path) -> Source:
    if path.is_dir():
        found = sorted(
            one
            for one in path.rglob("*")
            if one.suffix.lower() in FORMATS
            and one.is_file()
            and not any(part.startswith(".") for part in one.relative_to(path).parts)
        )
        if not found:
            raise TrainingError(f"{path} holds no file of text: these are read: {', '.join(FORMATS)}.")
        base = path
    else:
        found, base = [path], path.parent
    files = []
    for one in found:
        status = one.stat()
        relative = one.relative_to(base).as_posix()
        format = FORMATS.get(one.suffix.lower(), "text")
        files.append(SourceFile(relative, format, status.st_size, str(status.st_mtime_ns)))
    if not sum(file.size_bytes for file in files):
        raise TrainingError(f"{path} is empty: there is nothing to learn from.")
    return Source(name, files, partial(_pieces_on_disk, base))


def _pieces_on_disk(folder: Path, file: SourceFile, field: str, first: int) -> Iterator[Piece]:
    return islice(pieces_of(folder / file.name, file.format, field), first, None)


def _chitchat(progress: Progress) -> Path:
    """7,168 dialogues of people (MIT), a line each; the package is fetched once."""
    folder = cache_dir() / "datasets"
    folder.mkdir(parents=True, exist_ok=True)
    target, raw = folder / "chitchat.jsonl", folder / "chitchat.json"
    with locked(folder / "chitchat.lock", lambda: progress("waiting for another process", 0, 1)):
        if target.exists():
            return target
        fetch_member("The chitchat dataset", _CHITCHAT, _CHITCHAT_BYTES, _CHITCHAT_SHA256, raw, progress)
        dialogues = json.loads(raw.read_bytes())
        part = target.with_suffix(".part")
        with part.open("w", encoding="utf-8", newline="\n") as file:
            for dialogue in dialogues.values():
                turns = [" ".join(one["text"].strip() for one in turn) for turn in dialogue["messages"]]
                text = "\n".join(f"{'AB'[i % 2]}: {turn}" for i, turn in enumerate(turns))
                file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
        os.replace(part, target)
        raw.unlink()
    return target


def _with_folder(first: str, folder: str) -> str:
    """A named dataset with the folder that was named behind it, else its own."""
    if not folder:
        return HUB[first]
    return f"{'/'.join(HUB[first].split('/')[:2])}/{folder}"


def _hub(name: str, address: str, scratch: Path) -> Source:
    from training.shards.hub_files import HubFiles  # needs the HTTP library

    match = _HUB.fullmatch(address)
    if match is None or ".." in address:
        raise TrainingError(f"{name!r} names no dataset: write hub:ORG/DATASET/FOLDER, @REVISION may follow.")
    hub = HubFiles(HubName(match[1], match[2].strip("/"), match[3] or "main", kind="dataset"), scratch)
    known = {
        SourceFile(file.path, format, file.size_bytes, file.sha256 or file.blob): file
        for file, format in hub.formats.items()
    }
    return Source(
        name,
        list(known),
        lambda file, field, first: hub.pieces(known[file], field, first),
        lambda file: hub.release(known[file]),
        hub.stopping,
    )
