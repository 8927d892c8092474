"""One question, one answer, no bus: the quickest way to see that a model works."""

from __future__ import annotations

import threading
from typing import TextIO

from services.llm.backend import Backend
from services.llm.outputs import Ended, Piece
from services.llm.runner import Runner
from shared.commands import ChatTurn, Generate
from shared.config import LlmSettings
from shared.service import StartError

IDLE_S = 0.1


def answer_once(settings: LlmSettings, text: str, max_tokens: int, out: TextIO, err: TextIO) -> int:
    """Print the reply to `out` as it comes and a line of figures to `err`; returns the exit status."""
    messages = [ChatTurn(role="user", content=text)]
    command = Generate(generation="once", messages=messages, max_tokens=max_tokens)
    woken = threading.Event()
    runner: Runner
    if settings.backend_url:
        runner = Backend(settings, woken.set)
    else:
        from services.llm.inference import Inference  # brings torch, which a backend does not need

        runner = Inference.load(settings)
    print(runner.describe(), file=err, flush=True)
    return _stream(runner, woken, command, out, err)


def _stream(runner: Runner, woken: threading.Event, command: Generate, out: TextIO, err: TextIO) -> int:
    runner.submit(command)
    while any(runner.occupancy()):
        if not runner.busy:
            woken.wait(IDLE_S)
            woken.clear()
        for output in runner.step():
            if isinstance(output, Piece):
                print(output.text, end="", file=out, flush=True)
            elif isinstance(output, Ended):
                print(file=out, flush=True)
                print(figures(output), file=err, flush=True)
                if output.reason == "error":
                    raise StartError(f"the model failed: {output.error}")
    return 0


def figures(ended: Ended) -> str:
    """`[42 tokens, 61.0 tokens/s, first after 120 ms, 0.8 s, stop]`"""
    return (
        f"[{ended.completion_tokens} tokens, {ended.tokens_per_s:.1f} tokens/s, "
        f"first after {ended.first_token_ms:.0f} ms, {ended.elapsed_ms / 1000:.1f} s, {ended.reason}]"
    )
