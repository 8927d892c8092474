"""Prefill once, then decode one token at a time; text, templates and scheduling live elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

from shared.model.adapter import Adapter
from shared.model.config import GPTConfig
from shared.model.kv_cache import KVCache
from shared.model.native import NativeModel
from shared.model.sampling import Sampler, SamplingParams


class LanguageModel(Protocol):
    """What can be prefilled and decoded: `GPT`, or the native engine's model."""

    @property
    def config(self) -> GPTConfig:
        """Its shape."""

    @property
    def device(self) -> torch.device:
        """Where ids and logits are."""

    def set_adapter(self, adapter: Adapter | None) -> None:
        """Compute with this adapter from now on, or with none."""

    def new_cache(self, batch: int = 1, max_seq_len: int | None = None) -> KVCache:
        """A cache that this model can use."""

    def __call__(
        self, tokens: Tensor, cache: KVCache, rows: Sequence[int] | None = None, last_only: bool = False
    ) -> Tensor:
        """Logits (B, T, vocab_size) that follow tokens (B, T), or (B, 1, vocab_size) of the last."""


@torch.inference_mode()
def prefill(model: LanguageModel, cache: KVCache, row: int, tokens: Sequence[int]) -> Tensor:
    """Add `tokens` to a cache row in one pass; returns the logits (V,) that follow the last."""
    batch = torch.tensor([list(tokens)], dtype=torch.long, device=model.device)
    return model(batch, cache, rows=(row,), last_only=True)[0, -1]


def decode(model: LanguageModel, cache: KVCache, rows: Sequence[int], tokens: Sequence[int]) -> Tensor:
    """Add one token to each of `rows`; returns the logits (B, V) that follow."""
    if isinstance(model, NativeModel):
        return model.decode(cache, rows, tokens)
    with torch.inference_mode():
        batch = torch.tensor(list(tokens), dtype=torch.long, device=model.device)[:, None]
        return model(batch, cache, rows=rows, last_only=True)[:, -1]


def generate(
    model: LanguageModel,
    tokens: Sequence[int],
    max_tokens: int,
    *,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    min_p: float = 0.0,
    repetition_penalty: float = 1.0,
    stop_tokens: Collection[int] = (),
    stop_sequences: Sequence[Sequence[int]] = (),
    seed: int | None = None,
    cache: KVCache | None = None,
    row: int = 0,
) -> Iterator[int]:
    """Yield the ids that follow `tokens`: at most `max_tokens`, ending before a stop token or sequence.

    A sequence may arrive over several steps: ids that could be its beginning are held back until they are
    not. Without `cache` one is made for exactly this call; with it, row `row` is used from where it stands.
    When the generator ends or is closed, the row is again as it was found. Raises ValueError at the first
    step when the prompt is empty and CacheOverflowError when prompt and `max_tokens` cannot fit.
    """
    params = SamplingParams(temperature, top_k, top_p, min_p, repetition_penalty)
    if not tokens:
        raise ValueError("nothing to continue: the prompt has no tokens")
    if max_tokens < 1:
        return
    needed = len(tokens) + max_tokens - 1
    if cache is None:
        cache = model.new_cache(max_seq_len=needed)
    cache.require_room((row,), needed)
    sampler = Sampler(params, model.config.n_tokens, seed)
    found = cache.lengths[row]
    held: list[int] = []
    try:
        logits = prefill(model, cache, row, tokens)
        for step in range(max_tokens):
            token = sampler.choose(logits)
            if token in stop_tokens:
                break
            held.append(token)
            n_held, stopped = held_back(held, stop_sequences)
            yield from held[: len(held) - n_held]
            del held[: len(held) - n_held]
            if stopped:
                return
            if step + 1 < max_tokens:
                logits = decode(model, cache, (row,), (token,))[0]
        yield from held
    finally:
        cache.truncate(row, found)


def held_back(ids: Sequence[int], sequences: Sequence[Sequence[int]]) -> tuple[int, bool]:
    """How many of the last ids may belong to a stop sequence, and whether that sequence is complete."""
    longest = 0
    for sequence in sequences:
        whole = list(sequence)
        for size in range(min(len(whole), len(ids)), 0, -1):
            if list(ids[-size:]) == whole[:size]:
                if size == len(whole):
                    return size, True
                longest = max(longest, size)
                break
    return longest, False
