"""The most memory that a process has ever held."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psutil


def peak_bytes(pid: int) -> int:
    """Of a running process, in bytes. Raises OSError where the system tells only of the asking process.

    Linux hands `ru_maxrss` down from whoever started a process, so it is not asked there.
    """
    if sys.platform == "linux":
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    if sys.platform == "win32":
        return int(psutil.Process(pid).memory_info().peak_wset)
    if pid != os.getpid():
        raise OSError(f"The peak of process {pid} is not told on {sys.platform}")
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
