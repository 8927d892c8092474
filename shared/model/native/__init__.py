"""The CPU engine in one native call a token: compiled where it runs, by that machine's own compiler."""

from __future__ import annotations

from shared.model.native.build import NativeUnavailableError
from shared.model.native.cache import NativeCache
from shared.model.native.model import NativeModel

__all__ = ["NativeCache", "NativeModel", "NativeUnavailableError"]
