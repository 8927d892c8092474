"""The end of a process of training, alone and as one of several."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from training_helpers import ROOT

CODE = """
import atexit, sys
from training.guard import leave
atexit.register(print, "cleared away")
print("said", end="")
print("warned", end="", file=sys.stderr)
leave(3)
"""


@pytest.mark.parametrize(("ranks", "clears_away"), [("1", True), ("2", False)])
def test_all_is_said_and_the_status_given(ranks: str, clears_away: bool) -> None:
    """Of several no C++ thread may meet Python's end, and so that end is left out."""
    env = {**os.environ, "WORLD_SIZE": ranks}
    done = subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 3
    assert done.stderr == "warned"
    assert done.stdout == "said" + "cleared away\n" * clears_away
