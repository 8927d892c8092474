"""The viewer's own model: the one VRM file that the settings name, checked before a page is given it."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any, BinaryIO

ADDRESS = "/model.vrm"
LARGEST_BYTES = 256 * 2**20
LARGEST_HEAD_BYTES = 32 * 2**20
EXTENSIONS = ("VRMC_vrm", "VRM")
"""Of VRM 1.0 and 0.x in the glTF's `extensions`."""
PACKINGS = {
    "KHR_draco_mesh_compression": "Draco",
    "EXT_meshopt_compression": "meshopt",
    "KHR_texture_basisu": "KTX2",
}
"""Extensions that the page has no decoder for; programs that write VRMs do not use them."""
INSTEAD = "set stage.vrm to a .vrm file, or leave it empty for the drawn Akane"


class ModelError(Exception):
    """One sentence: why a file cannot be shown."""


def model_of(path: str) -> Path | None:
    """The file if it is a VRM, None for an empty `path`; only its JSON chunk is read. Raises ModelError."""
    if not path:
        return None
    file = Path(path).expanduser()
    try:
        with open(file, "rb") as opened:
            reason = _fault(opened, file.stat().st_size)
    except FileNotFoundError:
        raise ModelError(f"There is no file {file}: {INSTEAD}.") from None
    except OSError as error:
        raise ModelError(f"{file} cannot be read ({error.strerror}): {INSTEAD}.") from None
    if reason:
        raise ModelError(f"{file} {reason}: {INSTEAD}.")
    return file


def _fault(file: BinaryIO, size: int) -> str:
    """What is wrong with a binary glTF (https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html#binary-gltf-layout)."""
    if size > LARGEST_BYTES:
        return f"has {size / 2**20:.0f} MB, more than the {LARGEST_BYTES // 2**20} that a page is given"
    head = file.read(20)
    if len(head) < 20 or head[:4] != b"glTF" or head[16:] != b"JSON":
        return "is not a VRM model"
    version, length, json_bytes = struct.unpack_from("<III", head, 4)
    if version != 2:
        return f"is binary glTF {version}, not 2"
    if length > size or json_bytes > length - 20:
        return "is cut off"
    if json_bytes > LARGEST_HEAD_BYTES:
        return f"describes itself in {json_bytes / 2**20:.0f} MB, more than any model needs"
    try:
        document = json.loads(file.read(json_bytes))
    except (ValueError, RecursionError):
        return "is damaged (its description is not JSON)"
    if not isinstance(document, dict) or not _has_any(document.get("extensions"), EXTENSIONS):
        return "is a glTF model without a VRM's description of its bones"
    named = [*_rows(document.get("extensionsRequired")), *_rows(document.get("extensionsUsed"))]
    if packed := next((title for name, title in PACKINGS.items() if name in named), ""):
        return f"is compressed ({packed}), which the page cannot read"
    if any(_is_elsewhere(part) for kind in ("buffers", "images") for part in _rows(document.get(kind))):
        return "keeps parts of itself in other files"
    return ""


def _has_any(table: Any, names: tuple[str, ...]) -> bool:
    return isinstance(table, dict) and any(name in table for name in names)


def _rows(table: Any) -> list[Any]:
    return table if isinstance(table, list) else []


def _is_elsewhere(part: Any) -> bool:
    """No page could fetch it: only this one file is served, and nothing comes from the internet."""
    return isinstance(part, dict) and "uri" in part
