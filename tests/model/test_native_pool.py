"""The threads of the native engine, by themselves and more of them than processors."""

from __future__ import annotations

import subprocess
from pathlib import Path

from shared.model.native.build import find_compiler


def test_every_piece_runs_once_and_no_phase_begins_before_the_last_is_over(tmp_path: Path) -> None:
    made = tmp_path / "check"
    source = Path(__file__).with_name("native_pool_check.cpp")
    subprocess.run(
        [find_compiler(), "-std=c++17", "-O2", "-pthread", str(source), "-o", str(made)], check=True
    )
    done = subprocess.run([str(made)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")
