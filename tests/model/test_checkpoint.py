from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from model_helpers import VECTOR_PATH, random_model, vector
from safetensors.torch import load_file, save_file

from shared.model.checkpoint import (
    checkpoint_config,
    checkpoint_template,
    checkpoint_tokenizer,
    open_tensors,
    save_checkpoint,
    split_config,
)
from shared.model.errors import ModelError
from shared.model.gpt import GPT
from shared.model.loading import load_model

BYTES = {"kind": "bytes", "specials": ["<|im_start|>", "<|im_end|>"]}


def tiny_model() -> GPT:
    return random_model(vocab_size=258)


def test_what_was_saved_loads_and_gives_the_same_logits(tmp_path: Path) -> None:
    model = tiny_model()
    save_checkpoint(tmp_path / "a.safetensors", model.config, model.state_dict(), tokenizer=BYTES)
    loaded = load_model(str(tmp_path / "a.safetensors"), device="cpu", dtype="float32")
    ids = torch.tensor([loaded.template.render([{"role": "user", "content": "hi"}])])
    assert torch.equal(loaded.model(ids), model(ids))
    assert loaded.name == "a"
    assert loaded.tokenizer.special_id("<|im_end|>") == 257
    assert len(list(tmp_path.iterdir())) == 1


def test_tensors_that_share_memory_are_saved(tmp_path: Path) -> None:
    weight = torch.randn(4, 4)
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, tiny_model().config, {"a": weight, "b": weight, "c": weight.T})
    assert torch.equal(load_file(path)["c"], weight.T)


def test_a_failed_save_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match="a checkpoint has no optimizer"):
        save_checkpoint(path, tiny_model().config, {}, optimizer={})
    with pytest.raises(TypeError):
        save_checkpoint(path, tiny_model().config, {3: torch.ones(1)})  # type: ignore[dict-item]
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("a.safetensors", b"old")]


def test_an_existing_akane_checkpoint_loads(tmp_path: Path) -> None:
    """The committed vector as a checkpoint of before: a config without any of the newer fields."""
    model, tensors = vector()
    state = {name[6:]: tensor for name, tensor in tensors.items() if name.startswith("param.")}
    with open_tensors(VECTOR_PATH) as (metadata, _):
        save_file(state, tmp_path / "old.safetensors", {"config": metadata["config"]})
    with open_tensors(tmp_path / "old.safetensors") as (metadata, loaded):
        config, extra = split_config(checkpoint_config(tmp_path / "old.safetensors", metadata), "here")
        assert torch.equal(GPT.from_state(config, loaded)(tensors["input_ids"]), model(tensors["input_ids"]))
    assert extra == {}


@pytest.mark.parametrize("beside", ["m.json", "config.json"])
def test_the_config_may_lie_beside_the_weights(beside: str, tmp_path: Path) -> None:
    model = tiny_model()
    save_file(model.state_dict(), tmp_path / "m.safetensors")
    config = {**model.config.to_dict(), "tokenizer": BYTES}
    (tmp_path / beside).write_text(json.dumps(config), encoding="utf-8")
    assert (
        load_model(str(tmp_path / "m.safetensors"), device="cpu").parameters == model.config.parameter_count
    )


def test_turn_tokens_of_the_config_make_the_template() -> None:
    turns = {"system": "", "user": "Q: ", "assistant": "A: ", "end": "\n"}
    tokenizer = checkpoint_tokenizer({"tokenizer": {"kind": "bytes"}})
    template = checkpoint_template({"turn_tokens": turns}, tokenizer)
    assert bytes(template.render([{"role": "user", "content": "why?"}])) == b"Q: why?\nA:"


def save_raw(path: Path, config: Any, **tensors: torch.Tensor) -> str:
    save_file(
        tensors or {"w": torch.ones(1)},
        path,
        {"config": config if isinstance(config, str) else json.dumps(config)},
    )
    return str(path)


SIZES = {"block_size": 8, "vocab_size": 258, "n_layer": 1, "n_head": 2, "n_kv_head": 1, "n_embd": 8}


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("{", "is not valid JSON"),
        ("[]", "is not a JSON object"),
        ({**SIZES, "n_experts": 4}, "unknown field 'n_experts'"),
        ({**SIZES, "n_layer": -1}, "n_layer must be an integer from 1"),
        ({**SIZES, "n_layer": 1 << 62}, "n_layer must be an integer"),
        ({**SIZES, "tokenizer": {"kind": "words"}}, "a tokenizer of kind gpt2, bpe or bytes"),
        ({**SIZES, "tokenizer": 3}, "a tokenizer of kind gpt2, bpe or bytes"),
        (
            {**SIZES, "tokenizer": {"kind": "bytes", "specials": ["a", "a"]}},
            "a tokenizer of kind gpt2, bpe or bytes",
        ),
        ({**SIZES, "tokenizer": BYTES, "turn_tokens": {"user": "a"}}, "turn_tokens need a text each"),
        ({**SIZES, "tokenizer": BYTES, "chat_template": 3}, "chat_template is not a text"),
        ({**SIZES, "tokenizer": BYTES, "chat_template": "{% for %}"}, "The chat template is not valid"),
        ({**SIZES, "tokenizer": BYTES, "vocab_size": 100}, "258 tokens but the weights have only 100 rows"),
        ({**SIZES, "tokenizer": BYTES}, "tensor 'w' does not belong"),
    ],
)
def test_a_config_that_cannot_be_used_is_named(config: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=says):
        load_model(save_raw(tmp_path / "m.safetensors", config), device="cpu")


def test_weights_without_a_config_say_where_to_put_it(tmp_path: Path) -> None:
    save_file({"w": torch.ones(1)}, tmp_path / "m.safetensors")
    with pytest.raises(ModelError, match=r"holds no config: put it into .*m.json"):
        load_model(str(tmp_path / "m.safetensors"), device="cpu")


def test_weights_of_whole_numbers_are_refused(tmp_path: Path) -> None:
    path = save_raw(
        tmp_path / "m.safetensors", {**SIZES, "tokenizer": BYTES}, w=torch.ones(1, dtype=torch.int64)
    )
    with pytest.raises(ModelError, match="type torch.int64"):
        load_model(path, device="cpu")


@pytest.mark.parametrize(
    "data", [b"", b"\xff" * 64, b"\x08" + bytes(7) + b"notjson!", b"\x02" + bytes(7) + b"{}" + b"x"]
)
def test_a_damaged_file_is_refused_in_one_sentence(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=r"m.safetensors (cannot be read as safetensors|holds no config)"):
        load_model(str(path), device="cpu")


def test_a_file_cut_off_is_refused(tmp_path: Path) -> None:
    model = tiny_model()
    path = tmp_path / "m.safetensors"
    save_checkpoint(path, model.config, model.state_dict(), tokenizer=BYTES)
    whole = path.read_bytes()
    for end in (0, 5, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:end])
        with pytest.raises(ModelError, match="cannot be read as safetensors"):
            load_model(str(path), device="cpu")
