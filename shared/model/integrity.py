"""Files that are what they should be: written whole, on the disk, and of a SHA-256 that is remembered."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from pathlib import Path

from shared.model.presets import cache_dir

CHUNK_BYTES = 1 << 20


def file_sha256(path: Path) -> str:
    """Hash of a file's bytes, taken from its stamp when size and modification time are still the same.

    Raises OSError when the file cannot be read. A cache that cannot be written only costs time.
    """
    status = path.stat()
    stamp_path = _stamp_path(path)
    facts = {"path": str(path.resolve()), "size_bytes": status.st_size, "mtime_ns": status.st_mtime_ns}
    try:
        stamp = json.loads(stamp_path.read_text(encoding="utf-8"))
        if {key: stamp[key] for key in facts} == facts and len(stamp["sha256"]) == 64:
            return str(stamp["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    write_stamp(path, digest.hexdigest())
    return digest.hexdigest()


def write_stamp(path: Path, sha256: str) -> None:
    """Remember the hash of a file as it is now."""
    status = path.stat()
    stamp = {
        "path": str(path.resolve()),
        "size_bytes": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "sha256": sha256,
    }
    with contextlib.suppress(OSError):
        write_atomically(_stamp_path(path), json.dumps(stamp))


def synced(path: Path) -> None:
    """Wait until a file or a folder's list of names is on the disk: only that survives a power cut.

    Raises OSError. Windows syncs no folders.
    """
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomically(path: Path, text: str) -> None:
    """Write a small file that is the old one or the new one, whoever reads it whenever. Raises OSError.

    Who may read it is up to the umask, as with any file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"tmp{secrets.token_hex(8)}.part")
    try:
        with part.open("x", encoding="utf-8") as file:
            file.write(text)
        os.replace(part, path)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


def _stamp_path(path: Path) -> Path:
    key = hashlib.sha256(str(path.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:24]
    return cache_dir() / "stamps" / f"{key}.json"
