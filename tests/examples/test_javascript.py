"""The wire document suffices: a JavaScript program written from it reads a reply and asks for one."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import OpenBus, until
from example_helpers import EXAMPLES, Program

from shared.bus import Request
from shared.commands import Generate, GenerateReply
from shared.config import BusSettings
from shared.events import Finished, LlmStats, Token

START_S = 30.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example and its two packages."""
    if not shutil.which("node"):
        pytest.skip("node is not installed")
    if (EXAMPLES / "node_modules" / "zeromq").is_dir():
        return EXAMPLES
    npm = shutil.which("npm")
    if not npm:
        pytest.skip("the packages of examples/package.json are not installed and there is no npm to do it")
    made: Path = tmp_path_factory.mktemp("javascript")
    for name in ("package.json", "subscriber.mjs"):
        shutil.copy(EXAMPLES / name, made)
    install = [npm, "install", "--no-audit", "--no-fund", "--no-package-lock"]
    try:
        done = subprocess.run(install, cwd=made, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        pytest.skip("npm install did not end within a minute: the registry is out of reach")
    if done.returncode:
        pytest.skip(f"npm install failed: {done.stderr.strip().splitlines()[-1:]}")
    return made


@pytest.fixture
def run(folder: Path, broker: BusSettings, tmp_path: Path) -> Iterator[list[Program]]:
    """Programs to be ended after the test."""
    programs: list[Program] = []
    yield programs
    for program in programs:
        program.close()


def finished(generation: str, text: str, pieces: int) -> Finished:
    return Finished(generation=generation, reason="stop", text=text, pieces=pieces)


def test_it_asks_and_prints_only_its_own_answer(
    folder: Path, run: list[Program], broker: BusSettings, open_bus: OpenBus, tmp_path: Path
) -> None:
    llm = open_bus("llm", register=True)
    asked: list[Generate] = []

    def generate(command: Generate, _: Request) -> GenerateReply:
        asked.append(command)
        llm.publish("llm.token", Token(generation="other", index=0, text="NOT OURS", tokens=1))
        for index, text in enumerate(["Blue", " like", " あか", "ね 🙂."]):
            piece = Token(generation=command.generation, index=index, text=text, tokens=index + 1)
            llm.publish("llm.token", piece)
        llm.publish("llm.finished", finished(command.generation, "Blue like あかね 🙂.", 4))
        return GenerateReply(generation=command.generation)

    llm.handle(Generate, generate)
    stats = LlmStats(model="tiny", device="cpu", dtype="float32", parameters=1, context=64)
    llm.publish("llm.stats", stats)
    llm.publish("llm.finished", finished("old", "said long ago", 3))
    run.append(Program(["node", str(folder / "subscriber.mjs"), "Why", "blue?"], tmp_path, broker))
    until(llm, lambda _: run[0].status is not None, START_S)
    assert run[0].output.splitlines() == ["[tiny on cpu]", "Blue like あかね 🙂."]
    assert run[0].status == 0
    assert asked[0].messages[0].content == "Why blue?"


def test_it_prints_replies_as_they_come_and_repairs_them(
    folder: Path, run: list[Program], broker: BusSettings, open_bus: OpenBus, tmp_path: Path
) -> None:
    llm = open_bus("llm")
    program = Program(["node", str(folder / "subscriber.mjs")], tmp_path, broker)
    run.append(program)

    def heard(_: object) -> bool:
        llm.publish("llm.finished", finished("late", "joined too late", 3))
        return "joined too late" in program.output

    until(llm, heard, START_S)
    for index, text in ((0, "with "), (2, "hole")):
        llm.publish("llm.token", Token(generation="g", index=index, text=text, tokens=index + 1))
    until(llm, lambda _: "with hole" in program.output, START_S)
    llm.publish("llm.finished", finished("g", "with a hole", 3))
    until(llm, lambda _: "with hole\nwith a hole\n" in program.output, START_S)


def test_no_model_and_no_bus_are_one_sentence_each(
    folder: Path, run: list[Program], broker: BusSettings, open_bus: OpenBus, tmp_path: Path
) -> None:
    nowhere = BusSettings(
        publish="tcp://127.0.0.1:1", subscribe="tcp://127.0.0.1:1", commands="tcp://127.0.0.1:1"
    )
    for bus in (broker, nowhere):
        run.append(Program(["node", str(folder / "subscriber.mjs"), "hi"], tmp_path, bus))
    assert [program.wait(START_S) for program in run] == [2, 2]
    no_model, no_bus = [program.output.splitlines() for program in run]
    assert len(no_model) == len(no_bus) == 1
    assert "llm" in no_model[0]
    assert no_bus == ["No answer from bus at tcp://127.0.0.1:1: start Akane with python launcher.py."]
