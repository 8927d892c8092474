"""The user's folder for what is to be kept and cannot be made again: tokens."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def state_dir() -> Path:
    """Akane's folder, which may not exist yet; the environment's AKANE_STATE moves it."""
    override = os.environ.get("AKANE_STATE")
    return Path(override or platformdirs.user_state_dir("akane", appauthor=False))
