"""Choosing an id in one native call instead of a dozen of PyTorch's; the same id for the same numbers."""

from __future__ import annotations

import ctypes
import logging
from array import array
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

from torch import Tensor

from shared.model.native.build import NATIVE, NativeUnavailableError, load_library

if TYPE_CHECKING:
    from shared.model.sampling import SamplingParams

Choose = Callable[[Tensor, "SamplingParams", float, "array[int]"], int]
"""As `shared.model.sampling.sample`."""

NO_CHOICE = "the logits leave no choice: one is not a number or infinite, or all are forbidden"

log = logging.getLogger(__name__)


class _Draw(ctypes.Structure):
    """`Draw` of sample.h."""

    _fields_ = (
        *((name, ctypes.c_double) for name in ("temperature", "top_p", "min_p", "uniform")),
        ("penalty", ctypes.c_float),
        ("top_k", ctypes.c_int32),
    )


@lru_cache
def native_sample(target: tuple[str, ...] = NATIVE) -> Choose | None:
    """`shared.model.sampling.sample` in the native library; None where that cannot be had."""
    try:
        call = load_library(target).akane_sample
    except NativeUnavailableError as error:
        log.info("PyTorch chooses the tokens: %s", error)
        return None
    pointer, whole = ctypes.c_void_p, ctypes.c_int
    call.restype, call.argtypes = whole, (pointer, whole, ctypes.POINTER(_Draw), pointer, whole)

    def sample(row: Tensor, params: SamplingParams, uniform: float, seen: array[int]) -> int:
        draw = _Draw(
            params.temperature, params.top_p, params.min_p, uniform, params.repetition_penalty, params.top_k
        )
        row = row.contiguous()
        address, count = seen.buffer_info()
        if params.repetition_penalty == 1.0:
            count = 0
        chosen = int(call(row.data_ptr(), len(row), draw, address, count))
        if chosen == -1:
            raise ValueError(NO_CHOICE)
        if chosen < 0:
            raise MemoryError("the native sampler got no memory")
        return chosen

    return sample
