"""Numbers of what a model says and of how it reads: pure functions of replies, and perplexity of texts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from training.rendering import Sample
from training.wording import words

LogitsOf = Callable[[Sequence[int]], Tensor]
"""Ids (T,) to logits (T, V) that follow each."""
WINDOW = 512


def perplexity(logits_of: LogitsOf, samples: Sequence[Sample]) -> float:
    """exp of the mean negative log-likelihood, in nats a token, of what the samples mark as learned."""
    total, count = 0.0, 0
    for sample in samples:
        likelihoods = logits_of(sample.ids).float().log_softmax(-1)
        for start, end in sample.learned:
            wanted = torch.tensor(sample.ids[start:end])
            total -= float(likelihoods[start - 1 : end - 1].gather(1, wanted[:, None]).sum())
            count += end - start
    return math.exp(total / count)


def windows(ids: Sequence[int], first: int, longest: int = WINDOW) -> list[Sample]:
    """A long text as samples of at most `longest` tokens, each headed by the token `first`."""
    parts = [ids[at : at + longest] for at in range(0, len(ids), longest)]
    return [Sample((first, *part), ((1, len(part) + 1),)) for part in parts]


def said_twice(replies: Sequence[tuple[str, str]]) -> float:
    """Share of (prompt, reply) whose reply was also given to another prompt."""
    givers: dict[str, set[str]] = {}
    for prompt, reply in replies:
        givers.setdefault(" ".join(words(reply)), set()).add(prompt)
    return sum(len(givers[" ".join(words(reply))]) > 1 for _, reply in replies) / len(replies)


def copied(replies: Sequence[str], known: Sequence[str]) -> float:
    """Share of replies that stand word for word among the `known`."""
    texts = {" ".join(words(text)) for text in known}
    return sum(" ".join(words(reply)) in texts for reply in replies) / len(replies)


def openings(replies: Sequence[str], length: int = 2) -> float:
    """Share of replies that begin with the most frequent `length` words."""
    counts = Counter(tuple(words(reply)[:length]) for reply in replies)
    return counts.most_common(1)[0][1] / len(replies)
