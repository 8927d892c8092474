"""Brings a model of the hub into the cache once; from then on it is used as it is, without a network.

`models/hub/<org>--<name>/<commit>/` holds the files; a record beside it says which of them a name means.
"""

from __future__ import annotations

import errno
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from shared.model.errors import ModelError
from shared.model.hub_listing import WEIGHTS_INDEX, HubFile, Listing, choose_file, shard_files, small_files
from shared.model.hub_name import HubName, is_safe_path
from shared.model.integrity import file_sha256, write_atomically, write_stamp
from shared.model.json_file import read_json
from shared.model.locking import locked
from shared.model.presets import models_dir
from shared.model.progress import Progress

SPARE_BYTES = 64 << 20
"""Disk that a download leaves free."""


def ensure_hub(
    name: HubName, *, sha256: str | None = None, progress: Progress | None = None, offline: bool = False
) -> Path:
    """Path of the GGUF file or of the folder of safetensors that `name` means, fetched first if need be.

    With `sha256` only a file of this hash is taken, whatever the hub says.

    A model that is here is never asked for again: a revision that moved on is fetched by its commit
    (`@<commit>`), or when the folder was deleted. Raises ModelError.
    """
    report = progress or (lambda stage, done, total: None)
    folder = hub_dir(name)
    try:
        if (path := _recorded(name)) is not None:
            return path
        if offline:
            raise ModelError(f"{name} is not on this machine yet: connect to the network and start again.")
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / ".lock", lambda: report("waiting for another process to fetch it", 0, 1)):
            return _recorded(name) or _fetch(name, folder, sha256, report)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise ModelError(
                f"The disk of {folder} is full: make room and start again, it goes on there."
            ) from None
        where = error.filename or folder
        raise ModelError(f"{where} cannot be used for the model: {error.strerror or error}.") from None


def hub_present(name: HubName) -> bool:
    """Whether `ensure_hub` would need no network."""
    try:
        return _recorded(name) is not None
    except (OSError, ModelError):
        return False


def hub_dir(name: HubName) -> Path:
    """Folder of the cache for one repository."""
    return models_dir() / "hub" / name.repository.replace("/", "--")


def _fetch(name: HubName, folder: Path, sha256: str | None, report: Progress) -> Path:
    from shared.model.hub_client import (
        HubClient,
    )  # the HTTP library is not needed by those who have their model

    client = HubClient()
    listing = client.listing(name)
    into = folder / listing.commit
    into.mkdir(exist_ok=True)

    def get(files: Sequence[HubFile]) -> dict[str, str]:
        _require_room(name, files, into)
        total = sum(file.size_bytes for file in files)
        hashes: dict[str, str] = {}
        before = 0
        for file in files:
            hashes[file.path] = _get(file, into / file.path, _shifted(report, before, total))
            before += file.size_bytes
        return hashes

    def _get(file: HubFile, target: Path, moved: Callable[[str, int], None]) -> str:
        if target.exists() and _is_whole(file, target):
            return file_sha256(target)
        sha256 = client.download(name, listing.commit, file, target, moved)
        write_stamp(target, sha256)
        return sha256

    if name.wanted:
        chosen = choose_file(listing, name)
        if sha256 and chosen.sha256 != sha256:
            raise ModelError(
                f"The hub has another {chosen.path} than is known here ({chosen.sha256[:12]}… instead of "
                f"{sha256[:12]}…): name it as {name.repository}:{chosen.path} to take it all the same."
            )
        hashes, path = get([chosen]), chosen.path
    else:
        hashes, path = _get_folder(name, listing, into, get), ""
    _record(name, listing.commit, path, hashes, into)
    return into / path


def _get_folder(
    name: HubName, listing: Listing, into: Path, get: Callable[[Sequence[HubFile]], dict[str, str]]
) -> dict[str, str]:
    small = small_files(listing, name)
    hashes = get(small)
    from shared.model.hub_folder import read_hub_config
    from shared.model.hub_tokenizer import hub_template, hub_tokenizer

    # A model that cannot be run is refused before its gigabytes are fetched.
    read_hub_config(into)
    hub_template(into, hub_tokenizer(into))
    index = read_json(into / WEIGHTS_INDEX) if WEIGHTS_INDEX in hashes else None
    return hashes | get(shard_files(listing, index, name))


def _is_whole(file: HubFile, target: Path) -> bool:
    if target.stat().st_size != file.size_bytes:
        return False
    if file.sha256:
        return file_sha256(target) == file.sha256
    data = target.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest() == file.blob


def _require_room(name: HubName, files: Sequence[HubFile], into: Path) -> None:
    from shared.model.hub_client import part_size

    needed = sum(
        file.size_bytes - part_size(into / file.path) for file in files if not (into / file.path).exists()
    )
    free = shutil.disk_usage(into).free
    if needed > 0 and needed + SPARE_BYTES > free:
        raise ModelError(
            f"{name} needs {needed / 1e9:.1f} GB more on the disk of {into}, where {free / 1e9:.1f} GB are "
            "free: make room, or move the cache with AKANE_CACHE."
        )


def _shifted(report: Progress, before: int, total: int) -> Callable[[str, int], None]:
    return lambda stage, done: report(stage, before + done, total)


# -- records ---------------------------------------------------------------------------------------


def _record_path(name: HubName) -> Path:
    slug = re.sub(r"[^A-Za-z0-9._-]", "_", f"{name.wanted or 'safetensors'}@{name.revision}")
    key = hashlib.sha256(str(name).encode()).hexdigest()[:8]
    return hub_dir(name) / f"{slug[:100]}-{key}.json"


def _record(name: HubName, commit: str, path: str, hashes: dict[str, str], into: Path) -> None:
    files = [
        {"path": file, "size_bytes": (into / file).stat().st_size, "sha256": sha256}
        for file, sha256 in hashes.items()
    ]
    record = {"name": str(name), "commit": commit, "path": path, "files": files}
    write_atomically(_record_path(name), json.dumps(record, indent=1) + "\n")


def _recorded(name: HubName) -> Path | None:
    """Path of a model that is here, None when it must be fetched. Raises ModelError when it was changed."""
    try:
        record: Any = json.loads(_record_path(name).read_text(encoding="utf-8"))
        into = hub_dir(name) / str(record["commit"])
        files = [
            (str(file["path"]), int(file["size_bytes"]), str(file["sha256"])) for file in record["files"]
        ]
        path = str(record["path"])
        known = record["name"] == str(name) and re.fullmatch(r"[0-9a-f]{40}", str(record["commit"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    if not known or not files or not all(is_safe_path(file) for file, _, _ in files):
        return None
    for file, size_bytes, sha256 in files:
        where = into / file
        if not where.exists():
            return None
        if where.stat().st_size != size_bytes or file_sha256(where) != sha256:
            raise ModelError(f"{where} was changed since it was fetched: delete it and start again.")
    return into / path if not path or is_safe_path(path) else None
