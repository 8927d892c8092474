"""The examples together on one bus with a real, tiny model: all print the same words."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import OpenBus, until
from example_helpers import Program, python
from tiny_model import make_tiny_model

from services.llm.service import LlmService
from shared.config import BusSettings, LlmSettings, Settings
from shared.events import Finished
from shared.service import StopSignal, serve

START_S = 40.0


@pytest.fixture
def llm(broker: BusSettings, open_bus: OpenBus, tmp_path: Path) -> Iterator[None]:
    """The real llm service with a model that speaks nonsense, ready."""
    model = LlmSettings(model=str(make_tiny_model(tmp_path)), dtype="float32", threads=1, device="cpu")
    stop = StopSignal()
    thread = threading.Thread(target=serve, args=(LlmService, Settings(bus=broker, llm=model), stop))
    watcher = open_bus("watcher", "sys.health")
    thread.start()
    until(watcher, lambda items: any(item.payload.phase == "ready" for item in items), START_S)
    yield
    stop.set()
    thread.join()


@pytest.mark.usefixtures("llm")
def test_who_asks_and_who_listens_read_the_same_reply(
    broker: BusSettings, open_bus: OpenBus, tmp_path: Path
) -> None:
    listener = Program(python("print_tokens.py"), tmp_path, broker)
    watcher = open_bus("overlay", "llm.finished")
    replies: list[Finished] = []
    asking: list[Program] = [Program(python("ask.py", "Hello?"), tmp_path, broker)]
    try:

        def both_heard(items: list[object]) -> bool:
            """Ask again until the listener, which may have started later, has a reply too."""
            replies[:] = [item.payload for item in items]  # type: ignore[attr-defined]
            if asking[-1].status is not None and not listener.output:
                asking.append(Program(python("ask.py", "Hello?"), tmp_path, broker))
            return asking[-1].status is not None and replies and replies[-1].text in listener.output

        until(watcher, both_heard, START_S)
        reply = replies[-1]
        assert reply.text.strip()
        assert reply.completion_tokens > 3
        printed, figures = asking[-1].output.rsplit("\n[", 1)
        assert printed == reply.text
        assert figures.startswith(f"{reply.reason}, {reply.completion_tokens} tokens, ")
    finally:
        for program in (*asking, listener):
            program.close()
