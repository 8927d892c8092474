"""A real but tiny model for tests of any room: written in a moment, loaded by `load_model(path)` in another.

Embedding and head together hold the letter pairs of a few sentences, and small random layers lie between: what
it says is nonsense in words and sentences, ends by itself, and is the same for the same prompt and seed. On shared
cores run it with `llm.threads=1` and `llm.dtype=float32`.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import torch

from shared.model.checkpoint import save_checkpoint
from shared.model.config import GPTConfig
from shared.model.gpt import GPT

SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
END = 256 + SPECIALS.index("<|im_end|>")
SENTENCES = (
    "Hello there my dear friends.",
    "I am so happy that you came to see me today!",
    "The moon is bright and the stars are out.",
    "Let us play a game and sing a little song.",
    "What a lovely thing to say!",
    "We will read all of your questions one after the other.",
    "My favourite colour is the red of an autumn leaf.",
)


def make_tiny_model(folder: Path, *, block_size: int = 8192, seed: int = 0) -> Path:
    """Write `tiny.safetensors` into `folder`; returns its path. One token is one byte; the turns are ChatML."""
    config = GPTConfig(
        block_size=block_size, vocab_size=264, n_layer=2, n_head=4, n_kv_head=2, n_embd=64, token_limit=259
    )
    generator = torch.Generator().manual_seed(seed)
    model = GPT(config)
    left, right = _factors(config.n_embd - 1)
    # RMSNorm makes all embeddings equally long: a last coordinate, which the head ignores, fills each up.
    length = left.square().sum(1).max()
    fill = (length - left.square().sum(1)).sqrt()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".h." in name and parameter.ndim == 2:
                parameter.copy_(0.02 * torch.randn(parameter.shape, generator=generator))
        model.transformer["wte"].weight.copy_(torch.cat((left, fill[:, None]), 1))
        model.lm_head.weight.zero_()
        model.lm_head.weight[:, :-1] = right * (length / config.n_embd).sqrt()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "tiny.safetensors"
    tokenizer = {"kind": "bytes", "specials": SPECIALS}
    save_checkpoint(path, config, dict(model.named_parameters()), tokenizer=tokenizer)
    return path


def _factors(rank: int) -> tuple[torch.Tensor, torch.Tensor]:
    """`left @ right.T` is the logarithm of how often one id follows another, both (264, rank)."""
    counts = torch.full((264, 264), 1e-6)
    for sentence in SENTENCES:
        ids = [10, *sentence.encode(), END]
        for one, other in pairwise(ids):
            counts[one, other] += 1
    for ender in b".!":
        counts[ender, ord(" ")] += 3
    for sentence in SENTENCES:
        counts[ord(" "), ord(sentence[0])] += 2
    scores = (counts / counts.sum(1, keepdim=True)).log()
    scores -= scores.mean(1, keepdim=True)
    u, s, v = torch.linalg.svd(scores)
    return u[:, :rank] * s[:rank].sqrt(), v[:rank].T * s[:rank].sqrt()
