"""What lies in a repository of the hub, as its API lists it, and which of it is needed. No network here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from shared.model.errors import ModelError
from shared.model.hub_name import HubName, is_safe_path
from shared.model.json_file import MAX_BYTES

MAX_FILE_BYTES = 1 << 40
NEEDED_FILES = ("config.json", "tokenizer.json")
OPTIONAL_FILES = ("tokenizer_config.json", "generation_config.json", "chat_template.jinja")
WEIGHTS, WEIGHTS_INDEX = "model.safetensors", "model.safetensors.index.json"
_SPLIT = re.compile(r"-\d{5}-of-\d{5}$")
_SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")


@dataclass(frozen=True)
class HubFile:
    """A file's path in its repository, and what proves that a copy is whole."""

    path: str
    size_bytes: int
    sha256: str = ""
    """Of the content, known for files in large-file storage."""
    blob: str = ""
    """Git's object id, known for the others."""


@dataclass(frozen=True)
class Listing:
    """The usable files of a repository at one commit."""

    commit: str
    files: Mapping[str, HubFile]

    @property
    def gguf(self) -> list[str]:
        """Paths of the GGUF files, sorted."""
        return sorted(path for path in self.files if path.endswith(".gguf"))


def read_listing(data: object) -> Listing:
    """The answer of `/api/models/<repository>/revision/<revision>?blobs=true`. Raises ValueError.

    Files whose name could lead out of a folder, or which cannot be checked, are left out.
    """
    if not isinstance(data, dict):
        raise ValueError("it is no JSON object")
    commit, siblings = data.get("sha"), data.get("siblings")
    if not isinstance(commit, str) or not re.fullmatch(r"[0-9a-f]{40}", commit):
        raise ValueError("it names no commit")
    if not isinstance(siblings, list):
        raise ValueError("it lists no files")
    found = (_read_file(sibling) for sibling in siblings if isinstance(sibling, dict))
    return Listing(commit, {file.path: file for file in found if file is not None})


def read_tree(data: object) -> list[HubFile]:
    """The answer of `/api/<kind>s/<repository>/tree/<revision>/<folder>`, one page. Raises ValueError."""
    if not isinstance(data, list):
        raise ValueError("it is no JSON list")
    entries = [entry for entry in data if isinstance(entry, dict) and entry.get("type") == "file"]
    found = (_read_file(_as_sibling(entry)) for entry in entries)
    return [file for file in found if file is not None]


def _as_sibling(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A tree's entry with the names that a listing has for the same things."""
    sibling = {"rfilename": entry.get("path"), "size": entry.get("size"), "blobId": entry.get("oid")}
    large = entry.get("lfs")
    return sibling | ({"lfs": {"sha256": large.get("oid")}} if isinstance(large, dict) else {})


def _read_file(sibling: Mapping[str, Any]) -> HubFile | None:
    path, size = sibling.get("rfilename"), sibling.get("size")
    if not isinstance(path, str) or not is_safe_path(path):
        return None
    if type(size) is not int or not 0 <= size <= MAX_FILE_BYTES:
        return None
    large = sibling.get("lfs")
    sha256 = large.get("sha256") if isinstance(large, dict) else None
    if isinstance(sha256, str) and re.fullmatch(r"[0-9a-f]{64}", sha256):
        return HubFile(path, size, sha256=sha256)
    blob = sibling.get("blobId")
    if large is None and isinstance(blob, str) and re.fullmatch(r"[0-9a-f]{40}", blob):
        return HubFile(path, size, blob=blob)
    return None


def choose_file(listing: Listing, name: HubName) -> HubFile:
    """The one GGUF file that `name` means, or the file of another kind at exactly this path.

    Raises ModelError with the names that would do.
    """
    if "." in name.wanted and not name.wanted.endswith(".gguf"):
        if name.wanted not in listing.files:
            raise ModelError(f"{name} is not there: the repository has changed.")
        return listing.files[name.wanted]
    if name.wanted.endswith(".gguf"):
        found = [path for path in listing.gguf if path == name.wanted]
    else:
        ending = re.compile(rf"(?:^|[-._]){re.escape(name.wanted)}$", re.IGNORECASE)
        stems = {path: _SPLIT.sub("", PurePosixPath(path).stem) for path in listing.gguf}
        found = [path for path, stem in stems.items() if ending.search(stem)]
    if any(_SPLIT.search(PurePosixPath(path).stem) for path in found):
        raise ModelError(
            f"{name} is split into several files, which cannot be loaded: {_choice(listing, name)}."
        )
    if len(found) != 1:
        wrong = "names more than one file" if found else "is not there"
        raise ModelError(f"{name} {wrong}: {_choice(listing, name)}.")
    return listing.files[found[0]]


def small_files(listing: Listing, name: HubName) -> list[HubFile]:
    """What says which model a repository of safetensors holds. Raises ModelError when it is none of ours."""
    weights = [path for path in (WEIGHTS_INDEX, WEIGHTS) if path in listing.files]
    if not weights:
        if listing.gguf:
            raise ModelError(f"{name} has GGUF files: {_choice(listing, name)}.")
        raise ModelError(f"{name} has no safetensors and no GGUF file: take another model.")
    missing = [path for path in NEEDED_FILES if path not in listing.files]
    if missing:
        raise ModelError(f"{name} has no {missing[0]}: take another model.")
    wanted = [*NEEDED_FILES, *OPTIONAL_FILES, *(path for path in weights[:1] if path == WEIGHTS_INDEX)]
    files = [listing.files[path] for path in wanted if path in listing.files]
    for file in files:
        if file.size_bytes > MAX_BYTES:
            raise ModelError(f"{name} has a {file.path} of {file.size_bytes} bytes: take another model.")
    return files


def shard_files(listing: Listing, index: Mapping[str, Any] | None, name: HubName) -> list[HubFile]:
    """The safetensors: all that `index` names, or the single file. Raises ModelError."""
    if index is None:
        return [listing.files[WEIGHTS]]
    shards = index.get("weight_map")
    names = sorted({str(shard) for shard in shards.values()}) if isinstance(shards, dict) else []
    # Only the names that the hub's own tools write: whatever else an index says is not ours to fetch.
    wrong = [shard for shard in names if shard not in listing.files or not _SHARD.fullmatch(shard)]
    if wrong or not names:
        missing = wrong[0][:80] if wrong else "its weights"
        raise ModelError(f"{name} lacks {missing!r}, which its index names: take another model.")
    return [listing.files[shard] for shard in names]


def _choice(listing: Listing, name: HubName) -> str:
    whole = [path for path in listing.gguf if not _SPLIT.search(PurePosixPath(path).stem)]
    if not whole:
        return "it has no GGUF file of its own; name its safetensors, or another model"
    named = ", ".join(f"{name.repository}:{path}" for path in whole[:12])
    return f"choose one of {named}{', …' if len(whole) > 12 else ''}"
