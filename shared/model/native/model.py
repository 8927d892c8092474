"""A GPT that lives in the native engine and is called like the PyTorch one."""

from __future__ import annotations

import ctypes
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from gguf import GGMLQuantizationType
from torch import Tensor

from shared.cores import physical_cores
from shared.model.adapter import Adapter
from shared.model.config import GPTConfig
from shared.model.gguf_file import GgufFile
from shared.model.gguf_model import ROPE_FACTORS, akane_name
from shared.model.kv_cache import KVCache
from shared.model.native.build import NATIVE, NativeUnavailableError, load_library
from shared.model.native.cache import CacheView, NativeCache
from shared.model.rotary import RotaryEmbedding

MAX_COLUMNS = 192
"""Tokens of a prompt that pass through the layers together: what they need stays in the core's own cache."""

NO_MEMORY = "the native engine got no memory for this batch"

_TOP_SLOTS = {
    "transformer.wte.weight": 0,
    "lm_head.weight": 1,
    "emb_norm.weight": 9,
    "transformer.ln_f.weight": 10,
}
_LAYER_SLOTS = {
    "attn.c_q.weight": 2,
    "attn.c_k.weight": 3,
    "attn.c_v.weight": 4,
    "attn.c_proj.weight": 5,
    "mlp.w1.weight": 6,
    "mlp.w2.weight": 7,
    "mlp.c_proj.weight": 8,
    "ln_1.weight": 11,
    "ln_2.weight": 12,
    "attn.q_norm.weight": 13,
    "attn.k_norm.weight": 14,
    "attn.c_q.bias": 15,
    "attn.c_k.bias": 16,
    "attn.c_v.bias": 17,
}
"""`Slot` of engine.cpp."""
_QK_NORM = {"none": 0, "before_rope": 1, "after_rope": 2}


class _Config(ctypes.Structure):
    """`Config` of forward.h."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in ("n_layer", "n_head", "n_kv_head", "n_embd", "head_size")),
        *((name, ctypes.c_int32) for name in ("hidden", "vocab", "emb_norm", "qk_norm", "tied_head")),
        ("interleaved", ctypes.c_int32),
        ("eps", ctypes.c_float),
    )


class RawTensor:
    """Weights as they lie in a file: `kind` of ggml, `shape` outermost first, `data` their bytes."""

    __slots__ = ("data", "kind", "shape")

    def __init__(self, kind: GGMLQuantizationType, shape: tuple[int, ...], data: np.ndarray) -> None:
        self.kind, self.shape, self.data = kind, shape, data


class NativeModel:
    """Same calls as `GPT`; logits are float32 whatever the weights are, keys and values float16."""

    device: torch.device = torch.device("cpu")
    dtype: torch.dtype = torch.float32

    def __init__(
        self,
        config: GPTConfig,
        tensors: Iterable[tuple[str, RawTensor]],
        *,
        threads: int = 0,
        target: tuple[str, ...] = NATIVE,
    ) -> None:
        """Pack `tensors`, named as in Akane's checkpoints, one after the other.

        Raises NativeUnavailableError where this machine or a weight type is not for the native engine,
        ValueError in one sentence when a tensor is missing, unknown, or of another shape.
        """
        self.config = config
        self.threads = threads or physical_cores()
        self._library = _signatures(load_library(target))
        self.isa = str(self._library.akane_isa().decode())
        native = _Config(
            config.n_layer,
            config.n_head,
            config.n_kv_head,
            config.n_embd,
            config.head_size,
            config.hidden_size,
            config.vocab_size,
            config.emb_norm,
            _QK_NORM[config.qk_norm],
            config.tied_head,
            config.rope_interleaved,
            config.eps,
        )
        self._handle = self._library.akane_new(ctypes.byref(native), self.threads)
        if not self._handle:
            raise NativeUnavailableError("the native engine got no memory or no threads")
        self._finalizer = weakref.finalize(self, self._library.akane_free, self._handle)
        self._rotary_rows = 0
        self.kind = ""
        """The type of most weights, as ggml calls it."""
        bytes_of: Counter[str] = Counter()
        missing = dict(wanted_shapes(config))
        for name, tensor in tensors:
            if name not in missing:
                raise ValueError(f"the checkpoint's tensor {name[:80]!r} belongs to another architecture")
            if tensor.shape != missing[name]:
                raise ValueError(
                    f"the checkpoint's tensor {name!r} is {tensor.shape}, the config needs {missing[name]}"
                )
            del missing[name]
            self._put(name, tensor)
            bytes_of[tensor.kind.name] += tensor.data.nbytes
        if missing:
            raise ValueError(f"the checkpoint lacks the tensor {min(missing)!r} ({len(missing)} missing)")
        self.kind = bytes_of.most_common(1)[0][0]

    @classmethod
    def from_gguf(cls, file: GgufFile, config: GPTConfig, **options: Any) -> NativeModel:
        """The model of an open file; its blocks are packed as they are, never widened."""

        def tensors() -> Iterator[tuple[str, RawTensor]]:
            for name in file.header.tensors:
                if name == ROPE_FACTORS:
                    continue
                yield akane_name(name), _raw(file, name)
                file.release(name)  # packed by now: the file's pages would count as this process's memory

        return cls(config, tensors(), **options)

    @classmethod
    def from_state(
        cls, config: GPTConfig, tensors: Iterable[tuple[str, Tensor]], **options: Any
    ) -> NativeModel:
        """From tensors; matrices keep bfloat16, everything else becomes float32."""
        return cls(config, ((name, _raw_of(tensor)) for name, tensor in tensors), **options)

    def _put(self, name: str, tensor: RawTensor) -> None:
        layer = 0
        slot = _TOP_SLOTS.get(name)
        if slot is None:
            _, _, number, leaf = name.split(".", 3)
            layer, slot = int(number), _LAYER_SLOTS[leaf]
        if len(tensor.shape) == 1:
            values = np.ascontiguousarray(tensor.data, np.float32)
            self._library.akane_vector(self._handle, slot, layer, len(values), values.ctypes.data)
            return
        rows, columns = tensor.shape
        size = self._library.akane_row_bytes(int(tensor.kind), columns)
        if not size:
            raise NativeUnavailableError(f"the native engine has no kernel for {tensor.kind.name} weights")
        if size * rows != tensor.data.nbytes:
            raise ValueError(f"the checkpoint's tensor {name!r} has the wrong number of bytes")
        raw = np.ascontiguousarray(tensor.data)
        failed = self._library.akane_matrix(
            self._handle, slot, layer, int(tensor.kind), rows, columns, raw.ctypes.data
        )
        if failed:
            raise NativeUnavailableError("the native engine got no memory for the weights")

    def set_adapter(self, adapter: Adapter | None) -> None:
        """As `GPT.set_adapter`, in bfloat16. Raises MemoryError: then nothing has changed."""
        if adapter is None:
            self._library.akane_adapter_clear(self._handle)
            return
        layers = []
        for name, a, b in adapter.pairs():
            _, _, number, leaf = name.split(".", 3)
            halves = [one.bfloat16().contiguous().view(torch.int16).numpy() for one in (a, b)]
            layers.append((int(number), _LAYER_SLOTS[f"{leaf}.weight"], *halves))
        layers.sort(key=lambda layer: layer[:2])
        numbers, slots = (np.array([layer[index] for layer in layers], np.int32) for index in (0, 1))
        matrices = (
            (ctypes.c_void_p * len(layers))(*(layer[i].ctypes.data for layer in layers)) for i in (2, 3)
        )
        failed = self._library.akane_adapter_set(
            self._handle,
            len(layers),
            slots.ctypes.data,
            numbers.ctypes.data,
            adapter.info.rank,
            adapter.info.scale,
            *matrices,
        )
        if failed:
            raise MemoryError("the native engine got no memory for the adapter")

    def new_cache(self, batch: int = 1, max_seq_len: int | None = None) -> NativeCache:
        """A cache of this model's shape."""
        return NativeCache(self.config, batch, max_seq_len)

    def __call__(
        self,
        tokens: Tensor,
        cache: KVCache | None = None,
        rows: Sequence[int] | None = None,
        last_only: bool = False,
    ) -> Tensor:
        """As `GPT.forward`: logits (B, T, vocab_size), or (B, 1, vocab_size) with `last_only`."""
        batch, length = tokens.shape
        if cache is None:
            if length > self.config.block_size:
                raise ValueError(f"{length} tokens do not fit the context of {self.config.block_size}")
            cache = self.new_cache(batch, length)
        rows = range(batch) if rows is None else rows
        ids = tokens.tolist()
        if length == 1:
            return self.decode(cache, rows, [token for (token,) in ids])[:, None]
        cache = self._checked(cache, rows, ids)
        logits = torch.empty((batch, 1 if last_only else length, self.config.vocab_size))
        for index, row in enumerate(rows):
            self._sequence(cache, ids[index], row, logits[index], last_only)
        cache.advance(rows, length)
        return logits

    def decode(self, cache: KVCache, rows: Sequence[int], tokens: Sequence[int]) -> Tensor:
        """One token more in each of `rows`: logits (B, vocab_size).

        Plain numbers, no tensors: the weights push everything else out of the processor's caches, and then
        each of PyTorch's operators costs tens of microseconds.
        """
        cache = self._checked(cache, rows, [[token] for token in tokens])
        logits = torch.empty((len(tokens), self.config.vocab_size))
        starts = [cache.lengths[row] for row in rows]
        self._forward(cache, tokens, rows, starts, range(len(tokens)), logits)
        cache.advance(rows, 1)
        return logits

    def _checked(self, cache: KVCache, rows: Sequence[int], ids: list[list[int]]) -> NativeCache:
        """Raise what `__call__` raises before anything is written; make the rotary tables long enough."""
        assert isinstance(cache, NativeCache), "the native engine needs a cache of its own"
        if len(rows) != len(ids) or len(set(rows)) != len(ids):
            raise ValueError(f"{len(ids)} sequences need as many different cache rows, not {list(rows)}")
        length = len(ids[0])
        cache.require_room(rows, length)
        if not all(0 <= token < self.config.vocab_size for row in ids for token in row):
            raise ValueError(f"a token id lies outside the vocabulary of {self.config.vocab_size}")
        self._need_rotary(max(cache.lengths[row] for row in rows) + length)
        return cache

    def _sequence(
        self, cache: NativeCache, ids: list[int], row: int, logits: Tensor, last_only: bool
    ) -> None:
        for begin in range(0, len(ids), MAX_COLUMNS):
            part = ids[begin : begin + MAX_COLUMNS]
            start = begin + cache.lengths[row]
            wanted: Sequence[int] = range(len(part))
            out = logits[begin : begin + len(part)]
            if last_only:
                wanted = (len(part) - 1,) if begin + len(part) == len(ids) else ()
                out = logits
            self._forward(cache, part, [row] * len(part), range(start, start + len(part)), wanted, out)

    def _forward(
        self,
        cache: NativeCache,
        tokens: Sequence[int],
        rows: Sequence[int],
        positions: Sequence[int],
        wanted: Sequence[int],
        logits: Tensor,
    ) -> None:
        failed = self._library.akane_forward(
            self._handle,
            cache.view,
            len(tokens),
            _int32(tokens),
            _int32(rows),
            _int32(positions),
            len(wanted),
            _int32(wanted),
            logits.data_ptr(),
        )
        if failed:
            raise MemoryError(NO_MEMORY)

    def _need_rotary(self, positions: int) -> None:
        """Make the rotary tables reach `positions`; a long context is only paid for when it is used."""
        if positions <= self._rotary_rows:
            return
        rows = min(self.config.block_size, max(2 * positions, 2048))
        tables = RotaryEmbedding(replace(self.config, block_size=rows))
        cos, sin = tables.cos.contiguous(), tables.sin.contiguous()
        self._library.akane_rotary(self._handle, rows, cos.data_ptr(), sin.data_ptr())
        self._rotary_rows = rows

    def generate(self, tokens: Sequence[int], max_tokens: int, **options: Any) -> Iterator[int]:
        """As `GPT.generate`."""
        from shared.model.generate import generate

        return generate(self, tokens, max_tokens, **options)


def wanted_shapes(config: GPTConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape of every tensor of a model, in no order that matters."""
    query, kv, width = config.n_head * config.head_size, config.n_kv_head * config.head_size, config.n_embd
    yield "transformer.wte.weight", (config.vocab_size, width)
    yield "transformer.ln_f.weight", (width,)
    if config.emb_norm:
        yield "emb_norm.weight", (width,)
    if not config.tied_head:
        yield "lm_head.weight", (config.vocab_size, width)
    leaves: dict[str, tuple[int, ...]] = {"ln_1.weight": (width,), "ln_2.weight": (width,)}
    leaves |= {f"{name}.weight": shape for name, shape in config.linear_shapes.items()}
    if config.qkv_bias:
        leaves |= {"attn.c_q.bias": (query,), "attn.c_k.bias": (kv,), "attn.c_v.bias": (kv,)}
    if config.qk_norm != "none":
        leaves |= {"attn.q_norm.weight": (config.head_size,), "attn.k_norm.weight": (config.head_size,)}
    for layer in range(config.n_layer):
        for leaf, shape in leaves.items():
            yield f"transformer.h.{layer}.{leaf}", shape


def _int32(values: Sequence[int]) -> ctypes.Array[ctypes.c_int32]:
    return (ctypes.c_int32 * len(values))(*values)


def _raw(file: GgufFile, name: str) -> RawTensor:
    info = file.header.tensors[name]
    data = file.tensor(name).numpy() if len(info.shape) == 1 else file.raw(name)
    return RawTensor(info.kind, info.shape, data)


def _raw_of(tensor: Tensor) -> RawTensor:
    shape = tuple(tensor.shape)
    if tensor.dtype == torch.bfloat16 and tensor.ndim == 2:
        data = tensor.contiguous().view(torch.int16).numpy()
        return RawTensor(GGMLQuantizationType.BF16, shape, data)
    return RawTensor(GGMLQuantizationType.F32, shape, tensor.float().contiguous().numpy())


def _signatures(library: ctypes.CDLL) -> ctypes.CDLL:
    """Declare what engine.cpp exports."""
    pointer, whole = ctypes.c_void_p, ctypes.c_int
    table: dict[str, tuple[Any, tuple[Any, ...]]] = {
        "akane_isa": (ctypes.c_char_p, ()),
        "akane_new": (pointer, (pointer, whole)),
        "akane_free": (None, (pointer,)),
        "akane_row_bytes": (ctypes.c_int64, (whole, whole)),
        "akane_matrix": (whole, (pointer, whole, whole, whole, whole, whole, pointer)),
        "akane_vector": (whole, (pointer, whole, whole, whole, pointer)),
        "akane_rotary": (None, (pointer, whole, pointer, pointer)),
        "akane_forward": (
            whole,
            (pointer, ctypes.POINTER(CacheView), whole, pointer, pointer, pointer, whole, pointer, pointer),
        ),
        "akane_adapter_set": (
            whole,
            (pointer, whole, pointer, pointer, whole, ctypes.c_float, pointer, pointer),
        ),
        "akane_adapter_clear": (None, (pointer,)),
        "akane_unpacked": (None, (pointer, whole, whole, whole, pointer)),
    }
    for name, (result, arguments) in table.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
