"""The token that VTube Studio gave once its user had clicked Allow: kept, so that it asks once only."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from shared.state import state_dir

log = logging.getLogger(__name__)


def token_path() -> Path:
    """Where it is kept."""
    return state_dir() / "vtube_studio.token"


def kept_token() -> str:
    """Empty when there is none that can be read: VTube Studio then asks its user again."""
    try:
        return token_path().read_text("ascii").strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        log.warning("%s cannot be read (%s): VTube Studio will ask again.", token_path(), error)
        return ""


def keep_token(token: str) -> None:
    """Keep it for its owner's eyes only; empty removes it. A file that cannot be written is logged."""
    path = token_path()
    try:
        if not token:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(token + "\n")
        fresh.replace(path)
    except OSError as error:
        log.warning("%s cannot be written (%s): VTube Studio will ask again.", path, error.strerror)
