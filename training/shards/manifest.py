"""What lies in a folder of shards: `manifest.json`, the files that it names, and their tokenizer.

A shard is raw little-endian uint16 or uint32 tokens; each document is followed by the end-of-text token.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from shared.model.errors import ModelError
from shared.model.integrity import file_sha256, write_atomically
from shared.model.saved_tokenizer import described_tokenizer
from shared.model.tokenizer import Tokenizer
from training.errors import TrainingError

VERSION = 1
MANIFEST_FILE, TOKENIZER_FILE, PROGRESS_FILE = "manifest.json", "tokenizer.json", "progress.json"
ITEM_BYTES = {"uint16": 2, "uint32": 4}

Split = Literal["train", "validation"]
SPLITS: tuple[Split, Split] = ("train", "validation")
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class Shard:
    """One file of tokens. The pattern of its name keeps it inside the folder, whoever wrote the manifest."""

    name: Annotated[str, Field(pattern=r"^(train|validation)-\d{5,}\.bin$")]
    split: Split
    tokens: Annotated[int, Field(gt=0)]
    sha256: Sha256


@dataclass(frozen=True)
class Manifest:
    """The folder as a whole; mappings are by split and count what is in its shards."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    version: int
    tokenizer: str
    """As it was named to `training.tokenise`."""
    tokenizer_sha256: Sha256
    """Of `tokenizer.json`, which is all that is needed to make the tokenizer again."""
    vocab_size: Annotated[int, Field(gt=0)]
    eot: Count
    """Id of the token that ends a document."""
    dtype: Literal["uint16", "uint32"]
    source: str
    source_sha256: Sha256
    """Chained over the hashes of all documents in order."""
    tokens: Mapping[Split, Count]
    """Ends of documents included."""
    bytes: Mapping[Split, Count]
    """Of the documents in UTF-8, without their ends."""
    documents: Mapping[Split, Count]
    shards: tuple[Shard, ...]

    def of(self, split: Split) -> list[Shard]:
        """The shards of one split, in order."""
        return [shard for shard in self.shards if shard.split == split]

    def bytes_per_token(self, split: Split = "validation") -> float:
        """What turns nats per token into bits per byte: nats / log 2 / bytes_per_token."""
        return self.bytes[split] / self.tokens[split]


_AGAIN = "copy it again, or tokenise into a new folder"
_ADAPTER = TypeAdapter(Manifest)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """The folder is complete from here on. Raises OSError."""
    write_atomically(folder / MANIFEST_FILE, json.dumps(asdict(manifest), indent=1) + "\n")


def read_manifest(folder: Path) -> Manifest:
    """Raises TrainingError when there is none, or none that can be used."""
    path = folder / MANIFEST_FILE
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        unfinished = (folder / PROGRESS_FILE).exists()
        then = (
            "is not finished: run the same training.tokenise again, it goes on"
            if unfinished
            else "holds no tokens: make them with python -m training.tokenise"
        )
        raise TrainingError(f"{folder} {then}.") from None
    except OSError as error:
        raise TrainingError(f"{path} cannot be read: {error.strerror or error}.") from None
    try:
        manifest = _ADAPTER.validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise TrainingError(
            f"{path} is damaged ({where}: {first['msg']}): tokenise into a new folder."
        ) from None
    if manifest.version != VERSION:
        raise TrainingError(
            f"{path} is of version {manifest.version}, not {VERSION}: tokenise into a new folder."
        )
    if not manifest.eot < manifest.vocab_size <= 256 ** ITEM_BYTES[manifest.dtype]:
        raise TrainingError(f"{path} contradicts itself (vocab_size): tokenise into a new folder.")
    if any(set(counts) != set(SPLITS) for counts in (manifest.tokens, manifest.bytes, manifest.documents)):
        raise TrainingError(f"{path} lacks a split: tokenise into a new folder.")
    return manifest


def require_whole(folder: Path, manifest: Manifest, split: Split) -> None:
    """Raise TrainingError unless every shard of the split has its length and its hash.

    A hash is computed once and remembered as long as the file is not changed.
    """
    for shard in manifest.of(split):
        path = folder / shard.name
        try:
            size, wanted = path.stat().st_size, shard.tokens * ITEM_BYTES[manifest.dtype]
            if size != wanted:
                raise TrainingError(f"{path} has {size} bytes instead of {wanted}: {_AGAIN}.")
            if file_sha256(path) != shard.sha256:
                raise TrainingError(f"{path} is not what the manifest says (sha256): {_AGAIN}.")
        except OSError as error:
            raise TrainingError(f"{path} cannot be read: {error.strerror or error}.") from None


def load_tokenizer(folder: Path, manifest: Manifest) -> Tokenizer:
    """The tokenizer that the shards were made by. Raises TrainingError."""
    path = folder / TOKENIZER_FILE
    try:
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != manifest.tokenizer_sha256:
            raise TrainingError(f"{path} is not the tokenizer of these shards: copy it again.")
        return described_tokenizer(json.loads(data))
    except (OSError, ValueError, ModelError) as error:
        raise TrainingError(f"{path} cannot be read ({str(error)[:120]}): copy it again.") from None
