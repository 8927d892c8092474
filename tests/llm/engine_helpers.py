"""A real but tiny model and a text stream of one character a token, for tests of the engine alone."""

from __future__ import annotations

from typing import Any

import torch

from services.llm.engine import Engine, Output
from services.llm.generation import Ended, Piece, Request
from shared.clock import FakeClock
from shared.model.config import GPTConfig
from shared.model.gpt import GPT

torch.set_num_threads(1)  # models this small only lose by sharing their work

VOCAB = 96


def random_gpt(block_size: int = 128) -> GPT:
    """All weights random, so that every prompt continues in its own way."""
    config = GPTConfig(
        block_size=block_size, vocab_size=VOCAB, n_layer=2, n_head=4, n_kv_head=2, n_embd=64, token_limit=None
    )
    generator = torch.Generator().manual_seed(0)
    model = GPT(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            spread = 0.2 if parameter.ndim > 1 else 0.5
            parameter.copy_(parameter.mean() + spread * torch.randn(parameter.shape, generator=generator))
    return model


class Letters:
    """One visible character for each id; `stop` ends it like a stop string, held back until complete."""

    def __init__(self, stop: str = "", fail_at: int | None = None) -> None:
        self.stop, self.fail_at = stop, fail_at
        self.stopped = False
        self.held = ""
        self.fed = 0

    def feed(self, token: int) -> str:
        self.fed += 1
        if self.fed == self.fail_at:
            raise RuntimeError("no such letter")
        self.held += chr(token + 32)
        if self.stop and self.stop in self.held:
            self.stopped = True
            text, self.held = self.held.split(self.stop)[0], ""
            return text
        keep = max((n for n in range(len(self.stop)) if self.held.endswith(self.stop[:n])), default=0)
        text, self.held = self.held[: len(self.held) - keep], self.held[len(self.held) - keep :]
        return text

    def finish(self) -> str:
        text, self.held = self.held, ""
        return text


def letters(tokens: list[int]) -> str:
    """What `Letters` makes of ids."""
    return "".join(chr(token + 32) for token in tokens)


def request(name: str, tokens: list[int], **changes: Any) -> Request:
    """A greedy request for 10 tokens unless changed."""
    return Request(**{"generation": name, "tokens": tokens, "text": Letters(), "max_tokens": 10, **changes})


def engine_of(model: GPT, **changes: Any) -> tuple[Engine, FakeClock]:
    """An engine of two slots on a clock that stands still."""
    clock = FakeClock()
    return Engine(model, clock=clock, **{"slots": 2, "prefill_chunk": 32, **changes}), clock


def run(engine: Engine, limit: int = 1000) -> list[Output]:
    """Step until nothing is left to do."""
    outputs: list[Output] = []
    for _ in range(limit):
        if not engine.busy:
            return outputs
        outputs += engine.step()
    raise AssertionError("the engine never came to rest")


def ends(outputs: list[Output]) -> dict[str, Ended]:
    """The endings by generation."""
    return {one.request.generation: one for one in outputs if isinstance(one, Ended)}


def text_of(outputs: list[Output], name: str) -> str:
    """The pieces of one generation, joined; their indices must have no holes."""
    pieces = [one for one in outputs if isinstance(one, Piece) and one.request.generation == name]
    assert [piece.index for piece in pieces] == list(range(len(pieces)))
    return "".join(piece.text for piece in pieces)
