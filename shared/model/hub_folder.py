"""Model folders as the Hugging Face hub stores them: Llama, SmolLM2, Mistral, Qwen2 and Qwen3."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared.model.checkpoint import Tensors, open_tensors
from shared.model.config import GPTConfig, RopeScaling
from shared.model.errors import ModelError
from shared.model.json_file import read_json

FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {"qk_norm": "none", "qkv_bias": False},
    "mistral": {"qk_norm": "none", "qkv_bias": False},
    "qwen2": {"qk_norm": "none", "qkv_bias": True},
    "qwen3": {"qk_norm": "before_rope", "qkv_bias": False},
}
_LAYER_NAMES = {
    "input_layernorm.": "ln_1.",
    "post_attention_layernorm.": "ln_2.",
    "self_attn.q_proj.": "attn.c_q.",
    "self_attn.k_proj.": "attn.c_k.",
    "self_attn.v_proj.": "attn.c_v.",
    "self_attn.o_proj.": "attn.c_proj.",
    "self_attn.q_norm.": "attn.q_norm.",
    "self_attn.k_norm.": "attn.k_norm.",
    "mlp.gate_proj.": "mlp.w1.",
    "mlp.up_proj.": "mlp.w2.",
    "mlp.down_proj.": "mlp.c_proj.",
}
_TOP_NAMES = {
    "model.embed_tokens.weight": "transformer.wte.weight",
    "model.norm.weight": "transformer.ln_f.weight",
}
HEAD = "lm_head.weight"
log = logging.getLogger(__name__)

# What changes the computation and is not done here: key, and the values under which it changes nothing.
_UNSUPPORTED: dict[str, tuple[Any, ...]] = {
    "attention_bias": (False, None),
    "mlp_bias": (False, None),
    "quantization_config": (None,),
    "hidden_act": ("silu", None),
    "partial_rotary_factor": (1, 1.0, None),
    "pretraining_tp": (1, None),
}


def hub_config(values: Mapping[str, Any]) -> GPTConfig:
    """Shape of the model that a hub `config.json` describes. Raises ValueError in one sentence."""
    family = values.get("model_type")
    if not isinstance(family, str) or family not in FAMILIES:
        raise ValueError(f"it is a model of the type {str(family)[:40]!r}, not one of {', '.join(FAMILIES)}")
    for key, harmless in _UNSUPPORTED.items():
        if values.get(key) not in harmless:
            raise ValueError(f"it has {key} = {str(values[key])[:40]}, which is not supported")
    rope = values.get("rope_parameters") or values.get("rope_scaling") or {}
    if not isinstance(rope, dict):
        raise ValueError("its rotary parameters are not an object")
    n_head = values.get("num_attention_heads")
    return GPTConfig(
        block_size=_context(values, family),
        vocab_size=values.get("vocab_size"),  # type: ignore[arg-type]
        n_layer=values.get("num_hidden_layers"),  # type: ignore[arg-type]
        n_head=n_head,  # type: ignore[arg-type]
        n_kv_head=values.get("num_key_value_heads") or n_head,  # type: ignore[arg-type]
        n_embd=values.get("hidden_size"),  # type: ignore[arg-type]
        rope_theta=values.get("rope_theta") or rope.get("rope_theta") or 10000.0,
        eps=values.get("rms_norm_eps", 1e-6),
        head_dim=values.get("head_dim") or (128 if family == "qwen3" else None),
        intermediate_size=values.get("intermediate_size"),
        emb_norm=False,
        tied_head=values.get("tie_word_embeddings") is True,
        rope_dtype="float32",
        rope_interleaved=False,
        rope_scaling=_rope_scaling(rope),
        token_limit=None,
        **FAMILIES[family],
    )


def _context(values: Mapping[str, Any], family: str) -> Any:
    """Longest context, at most a layer's window: up to its length, sliding attention sees all there is."""
    context, window = values.get("max_position_embeddings", 2048), values.get("sliding_window")
    layers = values.get("layer_types")
    slides = (
        "sliding_attention" in layers
        if isinstance(layers, list)
        else values.get("use_sliding_window") is True or (family == "mistral" and window is not None)
    )
    if not slides:
        return context
    if type(window) is not int or window < 1:
        raise ValueError(
            f"its layers attend to a window of {str(window)[:40]} tokens, which is no number of them"
        )
    return min(context, window) if type(context) is int else context


def _rope_scaling(rope: Mapping[str, Any]) -> RopeScaling | None:
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind == "default":
        return None
    if kind != "llama3":
        raise ValueError(f"it needs the rotary scaling {str(kind)[:40]!r}, which is not supported")
    return RopeScaling(
        factor=rope.get("factor"),  # type: ignore[arg-type]
        low_freq_factor=rope.get("low_freq_factor"),  # type: ignore[arg-type]
        high_freq_factor=rope.get("high_freq_factor"),  # type: ignore[arg-type]
        original_context=rope.get("original_max_position_embeddings"),  # type: ignore[arg-type]
    )


def read_hub_config(folder: Path) -> GPTConfig:
    """Config of a hub folder. Raises ModelError."""
    described = read_json(folder / "config.json")
    try:
        config = hub_config(described)
    except ValueError as error:
        raise ModelError(f"{folder} cannot be used: {error}.") from None
    if config.block_size < described.get("max_position_embeddings", 0):
        log.warning(
            "%s slides over its last %d tokens: conversations may be so long", folder, config.block_size
        )
    return config


def weights_files(folder: Path) -> list[Path]:
    """The folder's safetensors files, in order. Raises ModelError when there are none or one is missing."""
    index = folder / "model.safetensors.index.json"
    if not index.exists():
        single = folder / "model.safetensors"
        if not single.exists():
            raise ModelError(f"{folder} has no model.safetensors: only safetensors weights can be loaded.")
        return [single]
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ModelError(f"{index} has no weight_map: take another copy.")
    names = sorted({str(name) for name in weight_map.values()})
    for name in names:
        # The index comes from outside: a name with a folder in it could point anywhere.
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise ModelError(f"{index} names the file {name[:80]!r}, which is not one of the folder's.")
        if not (folder / name).exists():
            raise ModelError(f"{folder} lacks {name}: download the whole folder.")
    return [folder / name for name in names]


def hub_tensors(folder: Path, tied_head: bool) -> Tensors:
    """Akane's name and values of one tensor after the other; unknown names stay. Raises ModelError."""
    for path in weights_files(folder):
        with open_tensors(path) as (_, tensors):
            for name, tensor in tensors:
                if name.endswith(".rotary_emb.inv_freq") or (tied_head and name == HEAD):
                    continue
                yield akane_name(name), tensor


def akane_name(name: str) -> str:
    """Akane's parameter name for a hub tensor name; a name without a counterpart is returned as it is."""
    if name in _TOP_NAMES:
        return _TOP_NAMES[name]
    prefix, _, rest = name.partition("model.layers.")
    layer, _, leaf = rest.partition(".")
    if prefix or not layer.isdecimal():
        return name
    for theirs, ours in _LAYER_NAMES.items():
        if leaf.startswith(theirs):
            return f"transformer.h.{int(layer)}.{ours}{leaf.removeprefix(theirs)}"
    return name
