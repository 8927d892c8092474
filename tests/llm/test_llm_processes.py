"""`python -m services.llm` as a person runs it: once, standalone, and with things that are wrong."""

from __future__ import annotations

import json
import logging
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from tiny_model import make_tiny_model

from services.llm.__main__ import main
from services.llm.engine import Output
from services.llm.generation import Ended
from services.llm.inference import Inference
from shared.bus import Bus, Message
from shared.commands import ChatTurn, Generate
from shared.config import BusSettings, LlmSettings
from shared.events import Finished
from shared.model.presets import DEFAULT_PRESET, load_preset
from shared.service import guarded

ROOT = Path(__file__).parents[2]
FAST = ("--set", "llm.threads=1", "--set", "llm.device=cpu")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model"))


@dataclass
class Done:
    """How a run of the command ended."""

    returncode: int
    stdout: str
    stderr: str


RunLlm = Callable[..., Done]


@pytest.fixture
def llm(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[RunLlm]:
    """Run the command to its end, inside this process: loading torch again takes seconds."""
    root, threads = logging.getLogger(), torch.get_num_threads()
    handlers, level = root.handlers[:], root.level

    def run(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["services.llm", *FAST, *arguments])
        try:
            status = guarded("llm", main)
        except SystemExit as leave:  # argparse's own way
            status = int(leave.code or 0)
        out, err = capsys.readouterr()
        return Done(status, out, err)

    yield run
    root.handlers[:] = handlers
    root.setLevel(level)
    torch.set_num_threads(threads)


def test_once_prints_the_reply_and_the_figures_apart(llm: RunLlm, tiny: Path) -> None:
    done = llm("--model", str(tiny), "--once", "Hello!", "--max-tokens", "12")
    assert done.returncode == 0
    assert done.stdout.strip()
    assert "tiny: 0.2 M parameters" in done.stderr
    assert "tokens/s" in done.stderr
    assert "tokens/s" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--model", "no-such-model", "--once", "hi"), "There is no model 'no-such-model'"),
        (("--once", "hi", "--max-tokens", "0"), "max_tokens is wrong"),
        (("--once", "x" * 40_000), "content is wrong"),
        (("--set", "llm.device=abacus", "--once", "hi"), "unknown device 'abacus'"),
        (("--set", "llm.slots=0", "--once", "hi"), "llm.slots"),
        (("--set", "llm.colour=red", "--once", "hi"), "colour"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(
    llm: RunLlm, tiny: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    given = arguments if "--model" in arguments else ("--model", str(tiny), *arguments)
    done = llm(*given)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_prompt_that_fits_no_context_is_refused_by_once(llm: RunLlm, tiny: Path) -> None:
    done = llm("--model", str(tiny), "--once", "x" * 3000)
    assert done.returncode == 2
    assert "do not fit the context of 2048" in done.stderr


def test_check_prints_findings_as_json(llm: RunLlm, tiny: Path) -> None:
    done = llm("--model", str(tiny), "--check")
    assert done.returncode == 0
    (finding,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert finding["ok"]
    assert finding["part"] == "llm model"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def standalone(tiny: Path) -> Iterator[tuple[subprocess.Popen[bytes], BusSettings]]:
    """`--standalone` on ports of its own."""
    publish, subscribe, commands = (f"tcp://127.0.0.1:{free_port()}" for _ in range(3))
    settings = BusSettings(publish=publish, subscribe=subscribe, commands=commands)
    places = [part for key, value in settings for part in ("--set", f"bus.{key}={value}")]
    command = [sys.executable, "-m", "services.llm", "--standalone", "--model", str(tiny), *FAST, *places]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield process, settings
    process.kill()
    process.wait()


def test_standalone_answers_on_the_bus_and_leaves_when_asked(
    standalone: tuple[subprocess.Popen[bytes], BusSettings],
) -> None:
    process, settings = standalone
    with Bus.open("tester", ["llm.finished", "llm.stats"], settings=settings, wait_s=60) as bus:
        seen = bus.snapshot()
        for item in bus.events(60):
            seen.append(item)
            if any(one.topic == "llm.stats" for one in seen):
                break
        hello = [ChatTurn(role="user", content="Hello!")]
        bus.request(Generate(generation="a", messages=hello, max_tokens=8), timeout_s=10)
        ended = next(
            item.payload
            for item in bus.events(30)
            if isinstance(item, Message) and isinstance(item.payload, Finished)
        )
        assert ended.generation == "a"
        assert ended.completion_tokens > 0
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


@pytest.mark.skipif(
    not load_preset(DEFAULT_PRESET).path.exists(),
    reason="the default model is not in the cache: `python -m shared.model.fetch` brings it",
)
def test_the_default_model_answers_a_question() -> None:
    inference = Inference.load(LlmSettings(context=256, threads=1, device="cpu"))
    assert "134.5 M parameters" in inference.describe()
    question = [ChatTurn(role="user", content="What is the capital of France?")]
    inference.submit(Generate(generation="a", messages=question, max_tokens=96, temperature=0.0))
    outputs: list[Output] = []
    while inference.engine.busy:
        outputs += inference.engine.step()
    ended = outputs[-1]
    assert isinstance(ended, Ended)
    assert "Paris" in ended.text, ended.text
    assert ended.reason == "stop"
