"""Which GPT a GGUF file describes: its metadata as a GPTConfig, its tensors under Akane's names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from shared.model.chat_template import ChatTemplate, choose_template
from shared.model.config import GPTConfig, RopeScaling
from shared.model.errors import ModelError
from shared.model.gguf_file import GgufFile, GgufHeader
from shared.model.tokenizer import Tokenizer

ARCHITECTURES = {
    "llama": {"rope_interleaved": True, "qk_norm": "none"},
    "qwen2": {"rope_interleaved": False, "qk_norm": "none"},
    "qwen3": {"rope_interleaved": False, "qk_norm": "before_rope"},
}
"""llama.cpp's converter permutes the query and key rows of llama alone into interleaved rotary pairs."""

_LAYER_NAMES = {
    "attn_norm.weight": "ln_1.weight",
    "ffn_norm.weight": "ln_2.weight",
    "attn_q.weight": "attn.c_q.weight",
    "attn_k.weight": "attn.c_k.weight",
    "attn_v.weight": "attn.c_v.weight",
    "attn_q.bias": "attn.c_q.bias",
    "attn_k.bias": "attn.c_k.bias",
    "attn_v.bias": "attn.c_v.bias",
    "attn_q_norm.weight": "attn.q_norm.weight",
    "attn_k_norm.weight": "attn.k_norm.weight",
    "attn_output.weight": "attn.c_proj.weight",
    "ffn_gate.weight": "mlp.w1.weight",
    "ffn_up.weight": "mlp.w2.weight",
    "ffn_down.weight": "mlp.c_proj.weight",
}
_TOP_NAMES = {
    "token_embd.weight": "transformer.wte.weight",
    "output_norm.weight": "transformer.ln_f.weight",
    "output.weight": "lm_head.weight",
}
ROPE_FACTORS = "rope_freqs.weight"
LLAMA3_FACTORS = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_context": 8192}
"""The same in every Llama 3 release; files keep only the resulting divisors."""


def gguf_config(header: GgufHeader) -> GPTConfig:
    """Shape of the described model. Raises ValueError, in one sentence, when it is not one of ours."""
    metadata = header.metadata
    architecture = metadata.get("general.architecture")
    if not isinstance(architecture, str) or architecture not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise ValueError(f"it is a model of the architecture {str(architecture)[:40]!r}, not one of {known}")
    if metadata.get("split.count", 1) != 1:
        raise ValueError("it is one part of a split model: join the parts first")

    def number(key: str, default: Any = None) -> Any:
        value = metadata.get(f"{architecture}.{key}", default)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"it lacks a number for {architecture}.{key}")
        return value

    scaling = metadata.get(f"{architecture}.rope.scaling.type", "none")
    if scaling != "none":
        raise ValueError(f"it needs the rotary scaling {str(scaling)[:40]!r}, which is not supported")
    embedding = header.tensors.get("token_embd.weight")
    if embedding is None:
        raise ValueError("it has no token embedding")
    n_head, n_embd = number("attention.head_count"), number("embedding_length")
    head_dim = number("attention.key_length", n_embd // n_head if n_head else 0)
    if number("attention.value_length", head_dim) != head_dim:
        raise ValueError("it has values of another width than its keys, which is not supported")
    if number("rope.dimension_count", head_dim) != head_dim:
        raise ValueError("it rotates only a part of each head, which is not supported")
    # Up to the length of its window, sliding attention sees all there is.
    context = number("context_length")
    window = number("attention.sliding_window", 0)
    return GPTConfig(
        block_size=min(context, window) if window > 0 else context,
        vocab_size=embedding.shape[0],
        n_layer=number("block_count"),
        n_head=n_head,
        n_kv_head=number("attention.head_count_kv", n_head),
        n_embd=n_embd,
        rope_theta=float(number("rope.freq_base", 10000.0)),
        eps=float(number("attention.layer_norm_rms_epsilon")),
        head_dim=head_dim,
        intermediate_size=number("feed_forward_length"),
        emb_norm=False,
        tied_head="output.weight" not in header.tensors,
        qkv_bias="blk.0.attn_q.bias" in header.tensors,
        rope_dtype="float32",
        token_limit=None,
        **ARCHITECTURES[architecture],  # type: ignore[arg-type]
    )


def rope_scaling_of(factors: np.ndarray, config: GPTConfig) -> RopeScaling:
    """The Llama 3 scaling that divides the rotary frequencies by `factors`. Raises ValueError without one."""
    half = np.arange(0, config.head_size, 2) / config.head_size
    scaling = RopeScaling(factor=float(factors.max()), **LLAMA3_FACTORS)  # type: ignore[arg-type]
    turns = scaling.original_context / (2 * np.pi) * config.rope_theta**-half
    keep = np.clip(
        (turns - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor), 0, 1
    )
    expected = 1 / (keep + (1 - keep) / scaling.factor)
    if factors.shape != expected.shape or not np.allclose(factors, expected, rtol=1e-3):
        raise ValueError("it needs a rotary scaling other than Llama 3's, which is not supported")
    return scaling


def gguf_tensors(file: GgufFile, dtype: torch.dtype) -> Iterator[tuple[str, torch.Tensor]]:
    """Akane's name and values of one tensor after the other; unknown ones keep the file's name."""
    for name in file.header.tensors:
        if name != ROPE_FACTORS:
            yield akane_name(name), file.tensor(name, dtype)


def akane_name(name: str) -> str:
    """Akane's parameter name for a GGUF tensor name; a name without a counterpart is returned as it is."""
    if name in _TOP_NAMES:
        return _TOP_NAMES[name]
    prefix, _, rest = name.partition(".")
    layer, _, leaf = rest.partition(".")
    if prefix == "blk" and layer.isdecimal() and leaf in _LAYER_NAMES:
        return f"transformer.h.{int(layer)}.{_LAYER_NAMES[leaf]}"
    return name


def read_gguf_config(file: GgufFile) -> GPTConfig:
    """Config of an open file, rotary scaling included. Raises ModelError."""
    try:
        config = gguf_config(file.header)
        if ROPE_FACTORS in file.header.tensors:
            config = replace(config, rope_scaling=rope_scaling_of(file.tensor(ROPE_FACTORS).numpy(), config))
    except ValueError as error:
        raise ModelError(f"{file.path} cannot be used: {error}.") from None
    return config


def gguf_template(metadata: Mapping[str, Any], tokenizer: Tokenizer) -> ChatTemplate:
    """The file's chat template, or what suits its tokens. Raises ModelError."""
    tokens = metadata["tokenizer.ggml.tokens"]

    def token(role: str) -> str:
        number = metadata.get(f"tokenizer.ggml.{role}_token_id")
        return tokens[number] if isinstance(number, int) and 0 <= number < len(tokens) else ""

    source = metadata.get("tokenizer.chat_template")
    if source is not None and not isinstance(source, str):
        raise ModelError("The chat template is not a text: take another file.")
    return choose_template(tokenizer, source, bos_token=token("bos"), eos_token=token("eos"))
