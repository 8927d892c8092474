"""How far a quantised path strays from float32 on the same weights: teacher-forced on a committed chat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from shared.config import ROOT
from shared.model.chat_template import ChatTemplate

CHAT_PATH = ROOT / "tests" / "data" / "chat_2k.txt"
ROLES = {"viewer": "user", "akane": "assistant"}
WIDE_GAP = 0.05
"""A flip counts as wide when the reference preferred its own token by more probability than this."""

LogitsOf = Callable[[Sequence[int]], Tensor]


@dataclass(frozen=True)
class Exactness:
    """Over all positions: mean KL divergence (nats), share of equal top tokens, share of wide flips."""

    positions: int
    kl: float
    top1: float
    wide_flips: float


def chat_tokens(template: ChatTemplate) -> list[list[int]]:
    """The committed conversations, each rendered by the model's own template."""
    conversations = []
    for block in CHAT_PATH.read_text(encoding="utf-8").strip().split("\n\n"):
        turns = (line.partition(": ") for line in block.splitlines())
        messages = [{"role": ROLES[who], "content": text} for who, _, text in turns]
        conversations.append(template.render(messages, add_generation_prompt=False))
    return conversations


def exactness(reference: LogitsOf, tested: LogitsOf, conversations: Sequence[Sequence[int]]) -> Exactness:
    """Compare the logits (T, V) that both give after every token of every conversation."""
    kl = top1 = wide = 0.0
    count = 0
    for tokens in conversations:
        expected, got = reference(tokens).log_softmax(-1), tested(tokens).log_softmax(-1)
        kl += float((expected.exp() * (expected - got)).sum())
        wanted, chosen = expected.argmax(-1, keepdim=True), got.argmax(-1, keepdim=True)
        gap = expected.gather(-1, wanted).exp() - expected.gather(-1, chosen).exp()
        top1 += int((wanted == chosen).sum())
        wide += int((gap > WIDE_GAP).sum())
        count += len(tokens)
    return Exactness(count, kl / count, top1 / count, wide / count)


def logits_of(model: Callable[..., Tensor]) -> LogitsOf:
    """All logits of a sequence from a `GPT` or a `NativeModel`."""

    @torch.inference_mode()
    def logits(tokens: Sequence[int]) -> Tensor:
        return model(torch.tensor([list(tokens)]))[0].float()

    return logits
