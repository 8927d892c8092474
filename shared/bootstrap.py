"""For a start with the wrong interpreter: goes on with the checkout's own one. Standard library only."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def with_packages(missing: ModuleNotFoundError) -> int:
    """Run this program again with `.venv`, which has the packages; a sentence when there is none."""
    own = ROOT / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if own.exists() and not Path(sys.prefix).samefile(own.parents[1]):
        command = [str(own), *sys.argv]
        if os.name != "nt":
            os.execv(command[0], command)
        return subprocess.call(command)
    print(
        f"akane: the package {missing.name!r} is not installed here: run `make run`, or see README.md "
        "for Windows.",
        file=sys.stderr,
    )
    return 2
