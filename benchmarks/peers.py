"""Programs that ours are compared with, each in an environment of its own in the cache."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from shared.model.presets import cache_dir


def peer_python(name: str, requirements: Sequence[str], package: str) -> Path:
    """The interpreter of an environment that has `package`; it is made and filled if it is not there."""
    home = cache_dir() / "peers" / name
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not any(home.glob(f"**/{package}/__init__.py")):
        print(f"installing {' '.join(requirements)}: once, some minutes", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *requirements], check=True)
    return python
