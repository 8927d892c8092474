from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
from safetensors.torch import load_file, save_file
from tokenizers import models, normalizers, pre_tokenizers
from weights_helpers import FAMILIES, HUB_VECTORS, MERGES, TOKENS, expected, hub_folder, tokenizer_json

from shared.model.errors import ModelError
from shared.model.gpt import GPT
from shared.model.hub_folder import hub_config, hub_tensors, read_hub_config
from shared.model.hub_tokenizer import hub_template, hub_tokenizer
from shared.model.tokenizer import PRE_TOKENIZERS


def logits_of(folder: Path, ids: torch.Tensor) -> torch.Tensor:
    config = read_hub_config(folder)
    return GPT.from_state(config, hub_tensors(folder, config.tied_head), dtype=torch.float32)(ids)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_folder_of_each_family_gives_the_logits_of_transformers(family: str) -> None:
    ids, logits = expected(family)
    assert torch.allclose(logits_of(HUB_VECTORS / family, ids), logits, atol=1e-4)


WINDOW = 16
"""Of the Mistral vectors, which have 24 tokens."""


def test_mistral_is_exact_within_its_window() -> None:
    ids, logits = expected("mistral", WINDOW)
    assert torch.allclose(logits_of(HUB_VECTORS / "mistral", ids), logits, atol=1e-4)


def test_mistral_is_not_run_past_its_window(caplog: pytest.LogCaptureFixture) -> None:
    ids, logits = expected("mistral")
    folder = HUB_VECTORS / "mistral"
    with pytest.raises(ValueError, match="24 tokens do not fit the context of 16"):
        logits_of(folder, ids)
    assert "slides over its last 16 tokens" in caplog.text
    config = replace(read_hub_config(folder), block_size=24)
    full = GPT.from_state(config, hub_tensors(folder, config.tied_head), dtype=torch.float32)(ids)
    assert not torch.allclose(full[:, WINDOW:], logits[:, WINDOW:], atol=1e-2), "past it, it would be wrong"


@pytest.mark.parametrize(
    ("changes", "context"),
    [
        ({}, 16384),
        ({"sliding_window": 4096}, 16384),
        ({"model_type": "mistral"}, 16384),
        ({"model_type": "mistral", "sliding_window": 4096}, 4096),
        ({"model_type": "mistral", "sliding_window": 1 << 20}, 16384),
        ({"model_type": "qwen2", "sliding_window": 4096, "use_sliding_window": True}, 4096),
        ({"model_type": "qwen2", "sliding_window": 4096, "use_sliding_window": False}, 16384),
        ({"layer_types": ["full_attention", "sliding_attention"], "sliding_window": 512}, 512),
        ({"layer_types": ["full_attention"] * 2, "sliding_window": 512, "use_sliding_window": True}, 16384),
    ],
)
def test_the_context_ends_where_a_layer_would_begin_to_forget(changes: dict[str, Any], context: int) -> None:
    assert hub_config({**config_of("llama"), **changes}).block_size == context


def shard(folder: Path) -> Path:
    """Spread the folder's weights over two files with an index."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    files = {"model-1-of-2.safetensors": names[::2], "model-2-of-2.safetensors": names[1::2]}
    for file, part in files.items():
        save_file({name: tensors[name] for name in part}, folder / file)
    index = {"weight_map": {name: file for file, part in files.items() for name in part}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    return folder


def test_sharded_weights_are_one_model(tmp_path: Path) -> None:
    ids, logits = expected("qwen3")
    assert torch.allclose(logits_of(shard(hub_folder("qwen3", tmp_path / "m")), ids), logits, atol=1e-4)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    folder = shard(hub_folder("qwen3", tmp_path / "m"))
    (folder / "model-2-of-2.safetensors").unlink()
    with pytest.raises(ModelError, match="lacks model-2-of-2.safetensors: download the whole folder"):
        list(hub_tensors(folder, tied_head=False))


@pytest.mark.parametrize("name", ["../outside.safetensors", "/etc/passwd", "model.bin", "a/b.safetensors"])
def test_an_index_may_not_point_outside_its_folder(name: str, tmp_path: Path) -> None:
    folder = shard(hub_folder("llama", tmp_path / "m"))
    (tmp_path / "outside.safetensors").write_bytes(b"")
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"w": name}}), encoding="utf-8"
    )
    with pytest.raises(ModelError, match="which is not one of the folder's"):
        list(hub_tensors(folder, tied_head=True))


def config_of(family: str) -> dict[str, Any]:
    return json.loads((HUB_VECTORS / family / "config.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model_type": "gemma"}, "type 'gemma', not one of llama, mistral, qwen2, qwen3"),
        ({"hidden_act": "gelu"}, "hidden_act = gelu"),
        ({"attention_bias": True}, "attention_bias = True"),
        ({"mlp_bias": True}, "mlp_bias = True"),
        ({"use_sliding_window": True}, "a window of None tokens"),
        ({"layer_types": ["sliding_attention"], "sliding_window": "4k"}, "a window of 4k tokens"),
        ({"model_type": "mistral", "sliding_window": 0}, "a window of 0 tokens"),
        ({"quantization_config": {"bits": 4}}, "quantization_config"),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4}}, "rotary scaling 'yarn'"),
        ({"rope_parameters": {"rope_type": "llama3", "rope_theta": 1e4}}, "rope_scaling.factor"),
        ({"rope_parameters": [1]}, "not an object"),
        ({"hidden_size": None}, "n_embd must be an integer"),
        ({"num_hidden_layers": -1}, "n_layer must be an integer from 1"),
        ({"vocab_size": 1 << 60}, "vocab_size must be an integer"),
        ({"num_attention_heads": "4"}, "n_head must be an integer"),
        ({"rms_norm_eps": float("nan")}, "eps must be a positive number"),
    ],
)
def test_what_cannot_be_run_is_named(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        hub_config({**config_of("llama"), **changes})


def test_configs_from_before_rope_parameters_are_read_too() -> None:
    old = config_of("llama3")
    rope = old.pop("rope_parameters")
    old |= {"rope_theta": rope.pop("rope_theta"), "rope_scaling": rope}
    assert hub_config(old) == hub_config(config_of("llama3"))


def _split(pattern: str) -> pre_tokenizers.PreTokenizer:
    split = pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated")
    return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


PRES: dict[str, Callable[[], pre_tokenizers.PreTokenizer]] = {
    "gpt2": lambda: pre_tokenizers.ByteLevel(add_prefix_space=False),
    "smollm": lambda: pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    ),
    "llama3": lambda: _split(PRE_TOKENIZERS["llama3"].pattern),
    "qwen2": lambda: _split(PRE_TOKENIZERS["qwen2"].pattern),
}


@pytest.mark.parametrize("family", PRES)
def test_a_tokenizer_that_the_library_wrote_is_read_exactly(family: str, tmp_path: Path) -> None:
    vocabulary = {token: i for i, token in enumerate(TOKENS[: 256 + len(MERGES)])}
    reference = tokenizers.Tokenizer(models.BPE(vocabulary, [tuple(merge.split(" ")) for merge in MERGES]))
    reference.pre_tokenizer = PRES[family]()
    if PRE_TOKENIZERS[family].nfc:
        reference.normalizer = normalizers.NFC()
    reference.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    reference.save(str(tmp_path / "tokenizer.json"))
    mine = hub_tokenizer(tmp_path)
    for text in ("hello the 2024 anon!?\r\n\n  x", "e\u0301 日本語  7", "it's THE'LL", "   \n \t12  "):
        assert mine.encode(text) == reference.encode(text).ids
    assert mine.special_id("<|im_end|>") == reference.token_to_id("<|im_end|>")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"pre_tokenizer": {"type": "Metaspace"}}, "cuts text in a way that is not known"),
        ({"pre_tokenizer": None}, "cuts text in a way that is not known"),
        ({"pre_tokenizer": {"type": "ByteLevel"}}, "cuts text in a way that is not known"),
        ({"pre_tokenizer": {"type": "Sequence", "pretokenizers": 3}}, "cuts text in a way that is not known"),
        ({"normalizer": {"type": "Lowercase"}}, "normalises text in a way that is not supported"),
        ({"model": {"type": "Unigram", "vocab": []}}, "not byte-level BPE"),
        ({"model": None}, "not byte-level BPE"),
        ({"model": {"type": "BPE", "vocab": {"a": -1}, "merges": []}}, "lacks its vocabulary or merges"),
        ({"added_tokens": [{"content": "", "id": 3}]}, "an added token without text or id"),
        ({"added_tokens": [{"content": "<x>", "id": "3"}]}, "an added token without text or id"),
    ],
)
def test_a_tokenizer_that_cannot_be_used_is_named(changes: dict[str, Any], says: str, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer_json(**changes)), encoding="utf-8")
    with pytest.raises(ModelError, match=says):
        hub_tokenizer(tmp_path)


@pytest.mark.parametrize("data", [b"", b"[1]", b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_damaged_json_file_is_named(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes(data)
    with pytest.raises(ModelError, match=r"tokenizer.json is not .*: take another copy"):
        hub_tokenizer(tmp_path)


def test_replies_end_where_the_generation_config_says(tmp_path: Path) -> None:
    folder = hub_folder("llama", tmp_path / "m")
    (folder / "generation_config.json").write_text('{"eos_token_id": [5, 7, "x", -1]}', encoding="utf-8")
    assert {5, 7, TOKENS.index("<|im_end|>")} <= hub_tokenizer(folder).end_ids


def test_the_chat_template_is_found_where_the_hub_keeps_it(tmp_path: Path) -> None:
    named = [{"name": "tool_use", "template": "no"}, {"name": "default", "template": "{{ eos_token }}x"}]
    folder = hub_folder("llama", tmp_path / "m", chat_template=named, eos_token={"content": "<|im_end|>"})
    tokenizer = hub_tokenizer(folder)
    assert hub_template(folder, tokenizer).render([]) == [TOKENS.index("<|im_end|>"), TOKENS.index("x")]
    (folder / "chat_template.jinja").write_text("y", encoding="utf-8")
    assert hub_template(folder, tokenizer).render([]) == [TOKENS.index("y")]


JUNK = [None, True, -1, float("nan"), 1 << 70, "\ud800", [1], ["a", "b"], {"a": "b", "c": "d"}]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Path of everything inside a JSON value, but only the first two of a long list or map."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    inside = list(items)
    kept = inside if len(inside) < 50 else inside[:2]
    return [path, *(place for key, inner in kept for place in places(inner, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], junk: Any) -> Any:
    if not path:
        return junk
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(copy[path[0]], path[1:], junk)
    return copy


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "generation_config.json"])
def test_a_value_of_another_kind_anywhere_is_read_or_refused(name: str, tmp_path: Path) -> None:
    templates = [{"name": "default", "template": "{{ messages[0].content }}"}]
    folder = hub_folder("llama", tmp_path / "m", chat_template=templates)
    (folder / "generation_config.json").write_text('{"eos_token_id": [5, 7]}', encoding="utf-8")
    whole = json.loads((folder / name).read_text(encoding="utf-8"))
    outcomes = set()
    for path in places(whole):
        for junk in JUNK:
            (folder / name).write_text(json.dumps(replaced(whole, path, junk)), encoding="utf-8")
            try:
                hub_template(folder, hub_tokenizer(folder)).render([{"role": "user", "content": "hello"}])
                outcomes.add("read")
            except ModelError:
                outcomes.add("refused")
    assert outcomes == {"read", "refused"}


def test_a_config_with_a_value_of_another_kind_is_read_or_refused() -> None:
    whole = config_of("llama3")
    for path in places(whole)[1:]:
        for junk in JUNK:
            with contextlib.suppress(ValueError):
                hub_config(replaced(whole, path, junk))
