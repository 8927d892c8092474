"""Model files made on the spot: the committed hub folders as GGUF, and tiny vocabularies to go with them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from shared.model.errors import ModelError
from shared.model.fetch import ensure_weights
from shared.model.presets import DEFAULT_PRESET, load_preset
from shared.model.tokenizer import _LETTERS

torch.set_num_threads(1)  # models this small only lose by sharing their work

HUB_VECTORS = Path(__file__).parent / "hub_vectors"
FAMILIES = ("llama", "llama3", "qwen2", "qwen3")
SPELLING = {byte: chr(letter) for letter, byte in _LETTERS.items() if byte < 256}
MERGES = ["h e", "l l", "he ll", "Ġ t", "hell o", "Ġ Ġ", "i n", "Ġt he", "a n", "i s", "e r", "o n"]
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool>"]
TOKENS = [SPELLING[byte] for byte in range(256)] + [merge.replace(" ", "") for merge in MERGES] + SPECIALS
"""272 tokens, as many as the hub vectors have rows."""


def default_weights() -> Path:
    """The real default model, fetched if need be; skips the test where that is impossible."""
    try:
        return ensure_weights(load_preset(DEFAULT_PRESET))
    except ModelError as error:
        pytest.skip(f"needs the default model: {error}")


def expected(family: str, length: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Input ids and the logits that transformers gives, of the first `length` tokens."""
    tensors = load_file(HUB_VECTORS / family / "expected.safetensors")
    return tensors["input_ids"][:, :length], tensors["logits"][:, :length]


def hub_folder(family: str, folder: Path, **tokenizer_config: Any) -> Path:
    """A copy of a committed folder, with a tokenizer."""
    shutil.copytree(HUB_VECTORS / family, folder)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer_json()), encoding="utf-8")
    config = {"eos_token": "<|im_end|>", **tokenizer_config}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def tokenizer_json(**changes: Any) -> dict[str, Any]:
    """A hub `tokenizer.json` of GPT-2's kind with the tokens above."""
    first = 256 + len(MERGES)
    return {
        "added_tokens": [
            {"id": first + i, "content": name, "special": name != "<tool>"} for i, name in enumerate(SPECIALS)
        ],
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True},
        "model": {
            "type": "BPE",
            "vocab": {token: i for i, token in enumerate(TOKENS[:first])},
            "merges": [merge.split(" ") for merge in MERGES],
        },
        **changes,
    }


def write_gguf(path: Path, family: str = "llama", kind: str = "F32", **changes: Any) -> Path:
    """A GGUF file of a committed hub folder as llama.cpp's converter would write it. `changes` replace metadata."""
    config = json.loads((HUB_VECTORS / family / "config.json").read_text(encoding="utf-8"))
    architecture = {"llama3": "llama", "mistral": "llama"}.get(family, family)
    head_dim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    writer = gguf.GGUFWriter(str(path), changes.pop("architecture", architecture))
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_rope_dimension_count(head_dim)
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    if config.get("sliding_window"):
        writer.add_sliding_window(config["sliding_window"])
    writer.add_tokenizer_model(changes.pop("tokenizer", "gpt2"))
    writer.add_tokenizer_pre(changes.pop("pre", "gpt-2"))
    writer.add_token_list(TOKENS)
    writer.add_token_types([1] * (256 + len(MERGES)) + [3, 3, 3, 4])
    writer.add_token_merges(MERGES)
    writer.add_eos_token_id(TOKENS.index("<|im_end|>"))
    for key, value in changes.items():
        if isinstance(value, str):
            writer.add_string(key.replace("__", "."), value)
        else:
            writer.add_uint32(key.replace("__", "."), value)
    if family == "llama3":
        writer.add_tensor("rope_freqs.weight", _rope_factors(config["rope_parameters"], head_dim))
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[architecture.upper()], config["num_hidden_layers"])
    for name, tensor in load_file(HUB_VECTORS / family / "model.safetensors").items():
        values = tensor.float()
        heads = {"q_proj": "num_attention_heads", "k_proj": "num_key_value_heads"}
        part = next((config[key] for proj, key in heads.items() if f".{proj}." in name), None)
        if architecture == "llama" and part:
            # LlamaModel.permute of llama.cpp's convert_hf_to_gguf.py
            values = values.reshape(part, 2, -1, values.shape[-1]).swapaxes(1, 2).reshape(values.shape)
        theirs = names.get_name(name, try_suffixes=(".weight", ".bias"))
        array = values.contiguous().numpy()
        if kind == "F32" or array.ndim == 1:
            writer.add_tensor(theirs, array)
        else:
            number = gguf.GGMLQuantizationType[kind]
            writer.add_tensor(theirs, gguf.quants.quantize(array, number), raw_dtype=number)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _rope_factors(rope: dict[str, float], head_dim: int) -> np.ndarray:
    """`rope_freqs` as Llama 3's converter writes them, from the published formula."""
    frequencies = rope["rope_theta"] ** -(np.arange(0, head_dim, 2) / head_dim)
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    factors = []
    for wavelength in 2 * np.pi / frequencies:
        turns = rope["original_max_position_embeddings"] / wavelength
        smooth = (turns - low) / (high - low)
        if turns > high:
            factors.append(1.0)
        elif turns < low:
            factors.append(rope["factor"])
        else:
            factors.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    return np.array(factors, np.float32)
