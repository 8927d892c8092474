"""Reads GGUF files (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), believing nothing they say.

Every count, length and offset is checked against the file's size before anything is allocated or read.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize

from shared.model.errors import ModelError

MAX_ENTRIES = 1 << 16
"""Metadata keys, and tensors; the largest real models have a few thousand."""
MAX_STRING_BYTES = 1 << 24
MAX_ARRAY_ITEMS = 1 << 22
MAX_TENSOR_ITEMS = 1 << 38
PIECE_ITEMS = 1 << 18
"""Values dequantised at once: few enough to stay in the processor's cache."""

_SCALARS = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}
_STRING, _ARRAY = 8, 9


@dataclass(frozen=True)
class TensorInfo:
    """Where one tensor lies: `shape` outermost dimension first, `offset` from the start of the file."""

    shape: tuple[int, ...]
    kind: GGMLQuantizationType
    offset: int
    size_bytes: int


@dataclass(frozen=True)
class GgufHeader:
    """Everything but the weights themselves."""

    version: int
    metadata: dict[str, Any]
    tensors: dict[str, TensorInfo]


class _Damaged(ValueError):
    """What the file says cannot be; the reader turns it into a ModelError that names the file."""


class _Cursor:
    def __init__(self, data: Any, size: int) -> None:
        self.data, self.size, self.at = data, size, 0

    def take(self, count: int) -> bytes:
        end = self.at + count
        if end > self.size:
            raise _Damaged("it ends in the middle of its header")
        piece = self.data[self.at : end]
        self.at = end
        return bytes(piece)

    def scalar(self, layout: str) -> Any:
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def count(self, what: str, largest: int) -> int:
        value = self.scalar("<Q")
        if value > largest:
            raise _Damaged(f"it claims {value} {what}")
        return int(value)

    def string(self) -> str:
        try:
            return self.take(self.count("bytes of one string", MAX_STRING_BYTES)).decode("utf-8")
        except UnicodeDecodeError:
            raise _Damaged("one of its strings is not UTF-8") from None

    def strings(self, count: int) -> list[str]:
        """A vocabulary has a hundred thousand of them, hence the short loop."""
        data, size, at, length = self.data, self.size, self.at, struct.Struct("<Q").unpack_from
        items: list[bytes] = []
        for _ in range(count):
            if at + 8 > size:
                raise _Damaged("it ends in the middle of a list")
            end = at + 8 + length(data, at)[0]
            if end > size:
                raise _Damaged("it ends in the middle of a list")
            items.append(data[at + 8 : end])
            at = end
        self.at = at
        try:
            return [str(item, "utf-8") for item in items]
        except UnicodeDecodeError:
            raise _Damaged("one of its strings is not UTF-8") from None

    def value(self) -> Any:
        kind = self.scalar("<I")
        if kind == _STRING:
            return self.string()
        if kind in _SCALARS:
            return self.scalar(_SCALARS[kind])
        if kind != _ARRAY:
            raise _Damaged(f"it has a value of unknown type {kind}")
        item = self.scalar("<I")
        count = self.count("items of one list", MAX_ARRAY_ITEMS)
        if item == _STRING:
            if count * 8 > self.size - self.at:
                raise _Damaged("it ends in the middle of a list")
            return self.strings(count)
        if item not in _SCALARS:
            raise _Damaged(f"it has a list of unknown type {item}")
        layout = _SCALARS[item]
        return list(struct.unpack(f"<{count}{layout[1]}", self.take(count * struct.calcsize(layout))))


def parse_header(data: Any, size: int) -> GgufHeader:
    """Header of a GGUF file from its `size` bytes, anything that can be sliced. Raises ValueError."""
    cursor = _Cursor(data, size)
    if size < 24 or cursor.take(4) != b"GGUF":
        raise _Damaged("it is not a GGUF file")
    version = cursor.scalar("<I")
    if version not in (2, 3):
        raise _Damaged(f"its GGUF version is {version}, only little-endian 2 and 3 can be read")
    n_tensors = cursor.count("tensors", MAX_ENTRIES)
    n_keys = cursor.count("metadata keys", MAX_ENTRIES)
    metadata: dict[str, Any] = {}
    for _ in range(n_keys):
        key = cursor.string()
        if key in metadata:
            raise _Damaged(f"it has the key {key[:80]!r} twice")
        metadata[key] = cursor.value()
    relative: dict[str, TensorInfo] = {}
    for _ in range(n_tensors):
        name, info = _tensor_info(cursor)
        if name in relative:
            raise _Damaged(f"it has the tensor {name[:80]!r} twice")
        relative[name] = info
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or not 1 <= alignment <= 1 << 16 or alignment & (alignment - 1):
        raise _Damaged(f"its alignment is {str(alignment)[:40]}")
    start = (cursor.at + alignment - 1) // alignment * alignment
    tensors = {}
    for name, info in relative.items():
        offset = start + info.offset
        if offset + info.size_bytes > size:
            raise _Damaged(f"it is cut off: the tensor {name[:80]!r} lies past its end")
        if info.offset % alignment:
            raise _Damaged(f"the tensor {name[:80]!r} is not aligned")
        tensors[name] = TensorInfo(info.shape, info.kind, offset, info.size_bytes)
    return GgufHeader(version, metadata, tensors)


def _tensor_info(cursor: _Cursor) -> tuple[str, TensorInfo]:
    name = cursor.string()
    n_dims = cursor.scalar("<I")
    if not 1 <= n_dims <= 4:
        raise _Damaged(f"the tensor {name[:80]!r} has {n_dims} dimensions")
    dims = [cursor.scalar("<Q") for _ in range(n_dims)]
    number = cursor.scalar("<I")
    offset = cursor.scalar("<Q")
    if min(dims) < 1 or prod(dims) > MAX_TENSOR_ITEMS:
        raise _Damaged(f"the tensor {name[:80]!r} has the size {dims}")
    try:
        kind = GGMLQuantizationType(number)
    except ValueError:
        raise _Damaged(f"the tensor {name[:80]!r} has the unknown number type {number}") from None
    block_items, block_bytes = GGML_QUANT_SIZES[kind]
    if dims[0] % block_items:
        raise _Damaged(f"the tensor {name[:80]!r} has rows of {dims[0]}, not a multiple of {block_items}")
    return name, TensorInfo(tuple(reversed(dims)), kind, offset, prod(dims) // block_items * block_bytes)


class GgufFile:
    """An open GGUF file; tensors are read from the mapped file one at a time, as float32."""

    def __init__(self, path: Path, mapped: mmap.mmap, header: GgufHeader) -> None:
        self.path, self.header, self._mapped = path, header, mapped

    def raw(self, name: str) -> np.ndarray:
        """The named tensor's blocks as bytes, not copied: valid while the file is open."""
        info = self.header.tensors[name]
        return np.frombuffer(self._mapped, np.uint8, info.size_bytes, info.offset)

    def release(self, name: str) -> None:
        """Let go of the memory that reading the named tensor took; reading it again is possible."""
        if not hasattr(mmap, "MADV_DONTNEED"):
            return
        info = self.header.tensors[name]
        start = info.offset // mmap.PAGESIZE * mmap.PAGESIZE
        self._mapped.madvise(mmap.MADV_DONTNEED, start, info.offset + info.size_bytes - start)

    def tensor(self, name: str, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """The named tensor, dequantised piece by piece. Raises ModelError, or KeyError for its name."""
        info = self.header.tensors[name]
        block_items, block_bytes = GGML_QUANT_SIZES[info.kind]
        count = info.size_bytes // block_bytes
        blocks = self.raw(name).reshape(count, block_bytes)
        out = torch.empty(count * block_items, dtype=dtype)
        step = max(1, PIECE_ITEMS // block_items)
        for start in range(0, count, step):
            piece = np.array(blocks[start : start + step]).reshape(1, -1)
            try:
                values = dequantize(piece, info.kind).reshape(-1)
            except NotImplementedError:
                raise ModelError(
                    f"{self.path} has weights of the unreadable type {info.kind.name}: take another file."
                ) from None
            at = start * block_items
            out[at : at + len(values)].copy_(torch.from_numpy(values))
        return out.view(info.shape)


@contextmanager
def open_gguf(path: Path) -> Iterator[GgufFile]:
    """Open and check a GGUF file. Raises ModelError with one sentence about what is wrong with it."""
    try:
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is empty"
        raise ModelError(f"{path} cannot be read as a model: {reason}.") from None
    try:
        header = parse_header(mapped, len(mapped))
    except _Damaged as error:
        raise ModelError(f"{path} cannot be used: {error}. Fetch it again or take another file.") from None
    yield GgufFile(path, mapped, header)
