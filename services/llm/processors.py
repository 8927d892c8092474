"""What changes or reads a row of logits beside the sampler: OpenAI's penalties, log probabilities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from services.llm.generation import LogitsProcessor
from shared.events import TokenLogprob


def penalties(presence: float, frequency: float) -> LogitsProcessor:
    """OpenAI's two penalties: from the logit of each id that was generated `count` times,
    `presence + count * frequency` is taken (https://platform.openai.com/docs/api-reference/chat)."""

    def process(logits: Tensor, generated: Sequence[int]) -> Tensor:
        if not generated:
            return logits
        counts = Counter(generated)
        ids = torch.tensor(list(counts), dtype=torch.long, device=logits.device)
        times = torch.tensor(list(counts.values()), dtype=torch.float32, device=logits.device)
        row = logits.float().clone()
        row[ids] -= presence + frequency * times
        return row

    return process


def log_probabilities(
    alternatives: int, n_tokens: int, token_bytes: Callable[[int], bytes]
) -> Callable[[Tensor, int], TokenLogprob]:
    """Reads the log probability of a chosen id and of the `alternatives` best from unchanged logits (V,)."""

    def observe(logits: Tensor, token: int) -> TokenLogprob:
        row = logits[:n_tokens].float()
        total = float(row.logsumexp(0))
        top: list[tuple[bytes, float]] = []
        if alternatives:
            values, ids = row.topk(min(alternatives, n_tokens))
            pairs = zip(values.tolist(), ids.tolist(), strict=True)
            top = [(token_bytes(number), value - total) for value, number in pairs]
        return TokenLogprob(raw=token_bytes(token), logprob=float(row[token]) - total, top=top)

    return observe
