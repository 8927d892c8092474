"""One folder of logs for each run of the show, the last ten kept, `latest` leading to the newest."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from pathlib import Path

KEPT_RUNS = 10
_NAME = re.compile(r"\d{8}-\d{6}-\d+")


def open_run(log_dir: Path) -> Path:
    """Make the folder of this run (`20260131-235959-PID`) and drop the oldest. Raises OSError."""
    run = log_dir / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    run.mkdir(parents=True, exist_ok=True)
    latest = log_dir / "latest"
    with contextlib.suppress(OSError):  # Windows lets only some users make links; the folder is enough
        fresh = log_dir / f".latest-{os.getpid()}"
        fresh.symlink_to(run.name, target_is_directory=True)
        fresh.replace(latest)
    runs = sorted(each for each in log_dir.iterdir() if each.is_dir() and _NAME.fullmatch(each.name))
    for old in runs[:-KEPT_RUNS]:
        shutil.rmtree(old, ignore_errors=True)
    return run
