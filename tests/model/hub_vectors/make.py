"""Makes the folders beside this file: tiny random hub models with the logits that `transformers` gives for them.

Run by hand where `pip install transformers` is possible: `python tests/model/hub_vectors/make.py [CASE …]`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    MistralConfig,
    Qwen2Config,
    Qwen3Config,
    __version__,
)

SIZES = {
    "vocab_size": 272,
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 16384,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
PLAIN = {"rope_type": "default", "rope_theta": 100000.0}
CASES = {
    "llama": LlamaConfig(
        **SIZES, head_dim=12, tie_word_embeddings=True, rope_parameters=PLAIN, rms_norm_eps=1e-5
    ),
    "llama3": LlamaConfig(**SIZES, head_dim=16, tie_word_embeddings=False, rope_parameters=LLAMA3),
    "qwen2": Qwen2Config(**SIZES, tie_word_embeddings=True, rope_parameters=PLAIN),
    "qwen3": Qwen3Config(**SIZES, head_dim=20, tie_word_embeddings=False, rope_parameters=PLAIN),
    # A window shorter than the 24 tokens: past it the logits are those of a model that forgets.
    "mistral": MistralConfig(
        **SIZES, head_dim=16, tie_word_embeddings=False, rope_parameters=PLAIN, sliding_window=16
    ),
}


@torch.no_grad()
def make(name: str, folder: Path) -> None:
    """Write config.json, model.safetensors (bfloat16) and expected.safetensors (float32 arithmetic)."""
    torch.manual_seed(list(CASES).index(name))
    config = CASES[name]
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="eager").eval()
    for parameter in model.parameters():
        scale = 0.5 if parameter.ndim == 1 else 0.15
        noise = torch.randn_like(parameter) * scale + (1.0 if parameter.ndim == 1 else 0.0)
        parameter.copy_(noise.bfloat16().float())
    ids = torch.randint(0, config.vocab_size, (1, 24))
    logits = model(ids).logits
    folder.mkdir(exist_ok=True)
    state = {key: value.bfloat16().contiguous() for key, value in model.state_dict().items()}
    if config.tie_word_embeddings:
        del state["lm_head.weight"]
    save_file(state, folder / "model.safetensors")
    save_file(
        {"input_ids": ids, "logits": logits}, folder / "expected.safetensors", {"transformers": __version__}
    )
    (folder / "config.json").write_text(json.dumps(config.to_dict(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    for case in sys.argv[1:] or CASES:
        make(case, Path(__file__).parent / case)
