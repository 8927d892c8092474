"""What each process holds in memory, and that no engine outlives its service."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]

_PARENT = """
from services.tts.child_process import ChildProcess
child = ChildProcess("silent", lambda: None)
while {"ready": True} not in child.receive():
    pass
print(child.pid, flush=True)
input()
"""


def imported_by(code: str) -> set[str]:
    script = f"{code}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(run.stdout.splitlines()[-1].split())


def test_the_service_holds_no_engine() -> None:
    held = imported_by("import services.tts.service, services.tts.checks")
    assert not held & {"onnxruntime", "hibari", "pyttsx3", "torch", "textual", "rich"}


def test_the_engine_holds_no_bus() -> None:
    held = imported_by(
        "import services.tts.engine_child\nfrom services.tts.voices import load_voice\nload_voice('neural')"
    )
    assert "onnxruntime" in held
    assert not held & {"torch", "zmq", "pydantic", "pyttsx3"}


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("stopped", [False, pytest.param(True, marks=pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux kills a stopped child with its parent"
))])  # fmt: skip
def test_a_killed_service_takes_its_engine_along(stopped: bool) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout
    assert parent.stdin
    child = psutil.Process(int(parent.stdout.readline()))
    if stopped:
        os.kill(child.pid, signal.SIGSTOP)
    parent.kill()
    parent.wait()
    gone, alive = psutil.wait_procs([child], timeout=5)
    parent.stdin.close()
    parent.stdout.close()
    assert gone
    assert not alive
