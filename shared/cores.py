"""How many processor cores there are to share out."""

from __future__ import annotations

import os

import psutil


def physical_cores() -> int:
    """Cores this process may run on; two threads of one core share its vector units and gain nothing."""
    cores = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = min(cores, len(os.sched_getaffinity(0)))
    return max(1, cores)
