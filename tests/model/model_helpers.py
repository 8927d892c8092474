"""Small models that the tests of this folder share, and the committed vector of Akane's own architecture."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from shared.model.config import GPTConfig
from shared.model.gpt import GPT

torch.set_num_threads(1)  # models this small only lose by sharing their work

VECTOR_PATH = Path(__file__).parent.parent / "data" / "akane_tiny.safetensors"

FAMILIES = {
    "akane": {},
    "llama": {"emb_norm": False, "qk_norm": "none", "tied_head": True, "rope_dtype": "float32"},
    "llama_hub": {"emb_norm": False, "qk_norm": "none", "rope_dtype": "float32", "rope_interleaved": False},
    "qwen2": {
        "emb_norm": False,
        "qk_norm": "none",
        "qkv_bias": True,
        "rope_dtype": "float32",
        "rope_interleaved": False,
    },
    "qwen3": {
        "emb_norm": False,
        "qk_norm": "before_rope",
        "head_dim": 24,
        "intermediate_size": 80,
        "rope_dtype": "float32",
        "rope_interleaved": False,
        "tied_head": True,
    },
}


@cache
def vector() -> tuple[GPT, dict[str, Tensor]]:
    """The model of the committed vector, and its expected tensors."""
    with safe_open(VECTOR_PATH, framework="pt") as file:
        config = GPTConfig.from_dict(json.loads(file.metadata()["config"]))
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    state = {name[6:]: tensor for name, tensor in tensors.items() if name.startswith("param.")}
    return GPT.from_state(config, state), tensors


def random_model(family: str = "akane", seed: int = 0, **changes: object) -> GPT:
    """A tiny model of a family with all weights random, the zero-initialised ones too."""
    sizes = {"block_size": 64, "vocab_size": 96, "n_layer": 2, "n_head": 4, "n_kv_head": 2, "n_embd": 64}
    config = GPTConfig.from_dict({**sizes, "token_limit": None, **FAMILIES[family], **changes})
    generator = torch.Generator().manual_seed(seed)
    model = GPT(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            spread = 0.2 if parameter.ndim > 1 else 0.5
            parameter.copy_(parameter.mean() + spread * torch.randn(parameter.shape, generator=generator))
    return model


def random_tokens(count: int, vocab_size: int = 96, seed: int = 0) -> list[int]:
    """Reproducible token ids."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(vocab_size, (count,), generator=generator).tolist()
