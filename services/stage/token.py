"""The secret that lets a browser command her: from the settings, or made once and kept for the user."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from shared.config import StageSettings
from shared.state import state_dir


class TokenError(Exception):
    """One sentence: why there is no token."""


def token_path() -> Path:
    """Where a token that was made is kept."""
    return state_dir() / "stage.token"


def token_of(settings: StageSettings) -> str:
    """The token; the file is made at the first start, for its owner's eyes only. Raises TokenError."""
    if settings.token:
        return settings.token
    path = token_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            kept = path.read_text("ascii").strip()
        else:
            kept = secrets.token_urlsafe(24)
            with open(descriptor, "w", encoding="ascii") as file:
                file.write(kept + "\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a token"
        raise TokenError(f"{path} cannot be used ({reason}): mend it, or set stage.token.") from None
    if not kept:
        raise TokenError(f"{path} is empty: delete it, and a new token is made.")
    return kept
