"""JSON that came with a model: of bounded size, and an object or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from shared.model.errors import ModelError

MAX_BYTES = 64 << 20


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file. Raises ModelError when it is missing, too large or no JSON object."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ModelError(f"{path} is larger than {MAX_BYTES >> 20} MiB: this is not a file of a model.")
        return parse_json(path.read_bytes(), str(path))
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}. The model's folder needs it.") from None


def parse_json(text: str | bytes, where: str) -> dict[str, Any]:
    """The object in `text`, which stands in `where`. Raises ModelError."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{where} is not valid JSON ({str(error)[:80]}): take another copy.") from None
    if not isinstance(value, dict):
        raise ModelError(f"{where} is not a JSON object: take another copy.")
    return value
