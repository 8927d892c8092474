"""Texts that a model in training goes on with, from a copy in half precision: it is itself left alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from shared.model.config import GPTConfig
from shared.model.device import pick_dtype
from shared.model.generate import generate
from shared.model.gpt import GPT
from shared.model.tokenizer import Tokenizer

TOKENS = 48
"""Of each sample."""
TEMPERATURE, TOP_P = 0.8, 0.95


def continued(
    config: GPTConfig,
    tensors: Mapping[str, Tensor],
    tokenizer: Tokenizer,
    first: int,
    openings: Sequence[str],
    device: str,
    seed: int,
) -> Iterator[str]:
    """Each opening with its continuation, on one line; `first` is the id that begins a document."""
    where = torch.device(device)
    model = GPT.from_state(config, tensors, device=where, dtype=pick_dtype(where))
    for number, opening in enumerate(openings):
        ids = [first, *tokenizer.encode(opening)]
        room = min(TOKENS, config.block_size - len(ids))
        ends = {*tokenizer.end_ids, first}
        found = generate(
            model, ids, room, temperature=TEMPERATURE, top_p=TOP_P, stop_tokens=ends, seed=seed + number
        )
        yield " ".join((opening + tokenizer.decode(found)).split())
