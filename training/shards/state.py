"""How far a folder of shards has come, so that tokenising goes on behind what is safely on the disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from shared.model.integrity import write_atomically
from training.errors import TrainingError
from training.shards.manifest import MANIFEST_FILE, PROGRESS_FILE, SPLITS, TOKENIZER_FILE, Split
from training.shards.sources import SourceFile
from training.shards.tokenising import Tokenised
from training.shards.writing import Written

DOWNLOADS, LOCK_FILE = "download", ".lock"
HALF_WRITTEN = "tmp*.part"
"""As `write_atomically` names a file that it is about to put in another's place."""


def _zeros() -> dict[Split, int]:
    return dict.fromkeys(SPLITS, 0)


@dataclass
class Done:
    """All that was written; the next piece is number `piece` of file number `file`."""

    settings: dict[str, str | int | float]
    """What has to be the same when it is gone on with."""
    file: int = 0
    piece: int = 0
    source_bytes: int = 0
    files_sha256: str = ""
    """Of names, sizes and stamps of the files begun."""
    source_sha256: str = hashlib.sha256().hexdigest()
    """Chained over the documents."""
    tokens: dict[Split, int] = field(default_factory=_zeros)
    bytes: dict[Split, int] = field(default_factory=_zeros)
    documents: dict[Split, int] = field(default_factory=_zeros)
    bad: int = 0
    written: Written = field(default_factory=Written)

    def count(self, result: Tokenised) -> None:
        """Take in what a piece held."""
        for split in SPLITS:
            self.tokens[split] += len(result.tokens[split])
            self.bytes[split] += result.sizes[split]
            self.documents[split] += len(result.lengths[split])
        digest = bytes.fromhex(self.source_sha256)
        for one in result.hashes:
            digest = hashlib.sha256(digest + one).digest()
        self.source_sha256 = digest.hex()
        self.bad += len(result.bad)


_ADAPTER = TypeAdapter(Done)


def save(folder: Path, done: Done, files: Sequence[SourceFile]) -> None:
    """What `load` gives back. Raises OSError."""
    done.files_sha256 = _files_sha256(files, done)
    write_atomically(folder / PROGRESS_FILE, json.dumps(asdict(done)))


def load(folder: Path, settings: dict[str, str | int | float], files: Sequence[SourceFile]) -> Done:
    """Where the folder left off, or a beginning. Raises TrainingError when it is something else's."""
    path = folder / PROGRESS_FILE
    if not path.exists():
        return Done(settings)
    try:
        done = _ADAPTER.validate_json(path.read_bytes())
    except (OSError, ValidationError):
        raise TrainingError(f"{path} is damaged: delete {folder} and start again.") from None
    for key, value in settings.items():
        if done.settings.get(key) != value:
            raise TrainingError(
                f"{folder} was begun with {key} {done.settings.get(key)}, not {value}: "
                "go on with the same arguments, or give another --out."
            )
    if done.files_sha256 != _files_sha256(files, done):
        raise TrainingError(
            f"Files of {settings['source']} that were read already have changed since: "
            f"delete {folder} and start again, or give another --out."
        )
    return done


def require_ours(folder: Path) -> None:
    """Raise TrainingError when the folder holds anything but an unfinished run of the same kind."""
    if (folder / MANIFEST_FILE).exists():
        raise TrainingError(f"{folder} holds finished shards: give another --out, or delete it first.")
    if folder.exists() and not folder.is_dir():
        raise TrainingError(f"{folder} is a file: give another --out.")
    others = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    begun = {LOCK_FILE, TOKENIZER_FILE, DOWNLOADS, PROGRESS_FILE}
    begun |= {path.name for path in folder.glob(HALF_WRITTEN)}
    if PROGRESS_FILE not in others and (strange := sorted(set(others) - begun)):
        raise TrainingError(f"{folder} holds other files ({strange[0]}): give an --out of its own.")


def clear_half_written(folder: Path) -> None:
    """Delete what a process that was killed while it wrote has left; the caller holds the lock."""
    for path in folder.glob(HALF_WRITTEN):
        path.unlink(missing_ok=True)


def _files_sha256(files: Sequence[SourceFile], done: Done) -> str:
    begun = files[: done.file + (done.piece > 0)]
    facts = [[file.name, file.size_bytes, file.stamp] for file in begun]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
