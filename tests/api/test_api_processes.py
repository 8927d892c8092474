"""The door as people start it: by the launcher, alone with its model, and before a server elsewhere."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import psutil
import pytest
from bad_server import BadServer
from door_helpers import client_of, free_ports
from waiting import until_true

from shared.process import family

pytest_plugins = ("door_fixtures",)

ROOT = Path(__file__).parents[2]
HELLO: Any = [{"role": "user", "content": "Hello!"}]
START_S = 90.0


class Program:
    """A started command and what it prints."""

    def __init__(self, *arguments: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            [sys.executable, *arguments], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        self.output = ""
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with contextlib.suppress(ValueError):
            for line in self.process.stdout:
                self.output += line.decode("utf-8", "replace")

    def until_ready(self, *names: str) -> None:
        def ready() -> bool:
            assert self.process.poll() is None, self.output
            return all(re.search(rf"^{name} +ready in", self.output, re.MULTILINE) for name in names)

        until_true(ready, START_S)

    def child(self, name: str) -> psutil.Process:
        return next(one for one in family(self.process.pid) if f"services.{name}" in one.cmdline())

    def close(self) -> None:
        for one in family(self.process.pid):
            with contextlib.suppress(psutil.Error):
                one.kill()
        self.process.wait()


@pytest.fixture
def program() -> Iterator[Callable[..., Program]]:
    started: list[Program] = []

    def start(*arguments: str) -> Program:
        started.append(Program(*arguments))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def port() -> int:
    return free_ports(1)[0]


def settings(port: int, tiny: Path, logs: Path) -> list[str]:
    publish, subscribe, commands = free_ports(3)
    values = {
        "bus.publish": f"tcp://127.0.0.1:{publish}", "bus.subscribe": f"tcp://127.0.0.1:{subscribe}",
        "bus.commands": f"tcp://127.0.0.1:{commands}", "api.port": port, "llm.model": tiny, "llm.threads": 1,
        "llm.device": "cpu", "llm.dtype": "float32", "launcher.log_dir": logs,
    }  # fmt: skip
    return [part for key, value in values.items() for part in ("--set", f"{key}={value}")]


def ready_client(port: int) -> openai.OpenAI:
    client = client_of(f"http://127.0.0.1:{port}/v1")

    def listed() -> bool:
        with contextlib.suppress(openai.APIConnectionError):
            return bool(client.models.list().data)
        return False

    until_true(listed, START_S)
    return client


def answer(client: openai.OpenAI) -> str:
    found = client.chat.completions.create(model="akane", messages=HELLO, max_tokens=12, seed=1)
    return found.choices[0].message.content or ""


def test_the_launcher_runs_bus_llm_and_api(
    program: Callable[..., Program], port: int, tiny: Path, tmp_path: Path
) -> None:
    """Answers; ends its streams and comes back when its llm is killed; leaves in order."""
    flags = settings(port, tiny, tmp_path)
    show = program("launcher.py", "--only", "bus,llm,api", *flags)
    show.until_ready("bus", "llm", "api")
    with ready_client(port) as client:
        said = answer(client)
        assert said
        stream = client.chat.completions.create(model="tiny", messages=HELLO, temperature=0, stream=True)
        for _ in range(5):
            next(stream)
        show.child("llm").kill()
        with pytest.raises(openai.APIError, match="died in the middle"):
            list(stream)

        def answered_again() -> str | None:
            with contextlib.suppress(openai.InternalServerError):
                return answer(client)
            return None

        assert until_true(answered_again, START_S) == said
    show.process.send_signal(signal.SIGTERM)
    assert show.process.wait(20) == 0


def test_standalone_is_model_and_door_in_one_command(
    program: Callable[..., Program], port: int, tiny: Path, tmp_path: Path
) -> None:
    flags = settings(port, tiny, tmp_path)
    door = program("-m", "services.api", "--standalone", *flags)
    door.until_ready("llm", "api")
    assert f"http://127.0.0.1:{port}/v1" in door.output
    with ready_client(port) as client:
        assert answer(client)
    children = family(door.process.pid)[:-1]
    door.process.send_signal(signal.SIGTERM)
    assert door.process.wait(20) == 0
    assert not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in children)


def test_before_a_backend_no_torch_is_loaded(
    program: Callable[..., Program], port: int, tmp_path: Path
) -> None:
    bad = BadServer()
    try:
        flags = settings(port, Path("unused"), tmp_path)
        backend = ["--set", f"llm.backend_url={bad.url}", "--set", "llm.backend_model=good"]
        door = program("-m", "services.api", "--standalone", *flags, *backend)
        door.until_ready("llm", "api")
        with ready_client(port) as client:
            assert answer(client) == "Hello you"
        for name in ("llm", "api"):
            loaded = {Path(one.path).name for one in door.child(name).memory_maps()}
            assert not any(one.startswith(("libtorch", "libc10")) for one in loaded)
            assert any("msgpack" in one or "_cmsgpack" in one for one in loaded)  # the list is not empty
    finally:
        bad.close()


def test_the_show_does_not_know_that_its_model_is_elsewhere(port: int, tmp_path: Path) -> None:
    bad = BadServer()
    try:
        flags = settings(port, Path("unused"), tmp_path)
        backend = ["--set", f"llm.backend_url={bad.url}", "--set", "llm.backend_model=polite"]
        show = subprocess.run(
            [sys.executable, "launcher.py", "--plain", "--voice", "silent", *flags, *backend],
            input=b"Hello!\n", capture_output=True, cwd=ROOT, timeout=START_S,
        )  # fmt: skip
        assert show.returncode == 0, show.stderr
        assert b"I am so happy that you came to see me today!" in show.stdout
        assert bad.requests[-1]["messages"][-1] == {"role": "user", "content": "Hello!"}
        assert bad.requests[-1]["messages"][0]["role"] == "system"
    finally:
        bad.close()


def test_check_prints_what_the_launcher_reads(
    program: Callable[..., Program], port: int, tiny: Path, tmp_path: Path
) -> None:
    check = program("-m", "services.api", "--check", *settings(port, tiny, tmp_path))
    assert check.process.wait(30) == 0
    until_true(lambda: "\n" in check.output)
    assert json.loads(check.output)["detail"] == f"http://127.0.0.1:{port}/v1"
