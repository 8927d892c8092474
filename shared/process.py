"""Starts one child process so that it, and whatever it starts, can be ended for certain."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from shared.windows_job import job_for

LIFELINE_ENV = "AKANE_LIFELINE"
"""Names the descriptor of a pipe whose end of file tells a child that its parent is gone."""
_TAIL_BYTES = 65_536
_LOOKS = 5
_HALF_GONE = (IndexError, ValueError)
"""What psutil raises when a process ends between the opening and the reading of its (then empty) entry."""


@dataclass(frozen=True)
class Spec:
    """How a process is started; `inherit` names the standard streams that it shares with its parent."""

    name: str
    command: tuple[str, ...]
    inherit: frozenset[str] = frozenset()

    @property
    def foreground(self) -> bool:
        """It takes part in the terminal: it stays in the parent's session, where Ctrl-Z reaches it."""
        return bool(self.inherit)


class Lifeline:
    """A pipe that nobody writes to: the children hold the reading end, the kernel closes the other."""

    def __init__(self) -> None:
        self.read_fd, self._write_fd = os.pipe()

    def close(self) -> None:
        """Tell all children to leave."""
        for descriptor in (self._write_fd, self.read_fd):
            with contextlib.suppress(OSError):
                os.close(descriptor)


class Process:
    """A started child with its log; `shared.supervisor.Child` is what the supervisor sees of it."""

    def __init__(self, spec: Spec, log: Path, lifeline: Lifeline, env: Mapping[str, str]) -> None:
        self._spec, self._log = spec, log
        self._log_start = log.stat().st_size if log.exists() else 0
        with log.open("ab") as output:
            self._popen = _popen(spec, output, lifeline, dict(env))
        self._job = job_for(self._popen)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._popen.pid

    def poll(self) -> int | None:
        """Exit code once it is gone, None before; what it left behind of its group is ended then."""
        code = self._popen.poll()
        if code is not None and not self._spec.foreground:
            self._kill_group()
        return code

    def terminate(self) -> None:
        """SIGTERM to the process alone (it ends its own children); on Windows the whole job ends."""
        if self._job is None:
            self._popen.terminate()
        else:
            self._job.end()

    def kill(self) -> None:
        """End the process and whatever it started at once."""
        if not self._spec.foreground:
            self._kill_group()
            return
        for process in family(self.pid):
            with contextlib.suppress(psutil.Error):
                process.kill()

    def suspended(self) -> bool:
        """Stopped by Ctrl-Z or SIGSTOP."""
        try:
            return bool(psutil.Process(self.pid).status() == psutil.STATUS_STOPPED)
        except (psutil.Error, *_HALF_GONE):
            return False

    def resume(self) -> None:
        """Let a suspended process go on."""
        if sys.platform != "win32":
            with contextlib.suppress(OSError):
                os.kill(self.pid, signal.SIGCONT)

    def last_line(self) -> str:
        """Last line it wrote to its log since it was started."""
        return last_line(self._log, self._log_start)

    def _kill_group(self) -> None:
        if self._job is not None:
            self._job.end()
        elif sys.platform != "win32":
            with contextlib.suppress(OSError):
                os.killpg(self.pid, signal.SIGKILL)


def last_line(log: Path, start: int = 0) -> str:
    """The last line of a log from byte `start` on; of a JSON record its message. Empty when there is none."""
    try:
        with log.open("rb") as lines:
            end = lines.seek(0, os.SEEK_END)
            lines.seek(max(start, end - _TAIL_BYTES))
            text = lines.read().decode("utf-8", "replace")
    except OSError:
        return ""
    for line in reversed(text.splitlines()):
        if line.strip():
            return _message(line.strip())[:500]
    return ""


def _message(line: str) -> str:
    try:
        record = json.loads(line)
        return str(record.get("message") or record.get("event") or line)
    except (ValueError, AttributeError):
        return line


def _popen(spec: Spec, output: IO[bytes], lifeline: Lifeline, env: dict[str, str]) -> subprocess.Popen[bytes]:
    command = list(spec.command)
    stdin = None if "stdin" in spec.inherit else subprocess.DEVNULL
    stdout = None if "stdout" in spec.inherit else output
    stderr = None if "stderr" in spec.inherit else output
    if sys.platform == "win32":
        # The python.exe of a virtual environment is a stub that starts the real one: its pid is not the
        # service's. Start the real one as multiprocessing does.
        base = getattr(sys, "_base_executable", sys.executable)
        if command[0] == sys.executable != base:
            command[0], env["__PYVENV_LAUNCHER__"] = base, sys.executable
        flags = 0 if spec.foreground else subprocess.CREATE_NEW_PROCESS_GROUP
        return subprocess.Popen(
            command, env=env, creationflags=flags, stdin=stdin, stdout=stdout, stderr=stderr
        )
    env[LIFELINE_ENV] = str(lifeline.read_fd)
    return subprocess.Popen(
        command,
        env=env,
        start_new_session=not spec.foreground,
        pass_fds=(lifeline.read_fd,),
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
    )


def family(pid: int) -> list[psutil.Process]:
    """A process and all that it started, itself last. Empty when it is gone."""
    try:
        parent = psutil.Process(pid)
    except (psutil.Error, *_HALF_GONE):
        return []
    for _ in range(_LOOKS):
        try:
            return [*parent.children(recursive=True), parent]
        except psutil.Error:
            return []
        except _HALF_GONE:
            continue  # any process of the machine may be that one
    return [parent]
