from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from weights_helpers import TOKENS, default_weights, expected, hub_folder, write_gguf

from shared.model.detokenize import TextStream
from shared.model.loading import LoadedModel, ModelError, load_model
from shared.model.presets import DEFAULT_PRESET, load_preset


@pytest.fixture(scope="module")
def default() -> LoadedModel:
    default_weights()
    return load_model(DEFAULT_PRESET, device="cpu", offline=True)


def test_the_default_model_knows_what_it_is(default: LoadedModel) -> None:
    assert default.parameters == sum(p.numel() for p in default.model.parameters()) == 134_515_008
    assert default.sha256 == load_preset(DEFAULT_PRESET).sha256
    assert default.name == DEFAULT_PRESET
    assert default.device == "cpu"
    assert default.dtype == str(default.model.dtype).removeprefix("torch.")


def test_the_default_model_answers(default: LoadedModel) -> None:
    messages = [
        {"role": "system", "content": "You answer in one short sentence."},
        {"role": "user", "content": "What is the capital of France?"},
    ]
    stream = TextStream(default.tokenizer.token_bytes)
    text = ""
    for token in default.model.generate(default.template.render(messages), 30, temperature=0.0):
        if token in default.tokenizer.end_ids:
            break
        text += stream.push(token)
    assert "Paris" in text + stream.flush()


def gguf_with_template(path: Path) -> Path:
    return write_gguf(
        path / "m.gguf", "qwen2", tokenizer__chat_template="{{ messages[0].content }}<|im_end|>"
    )


FORMATS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "gguf": (gguf_with_template, "qwen2"),
    "hub": (lambda path: hub_folder("qwen3", path / "m"), "qwen3"),
}


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_brings_weights_tokenizer_and_template(name: str, tmp_path: Path) -> None:
    make, family = FORMATS[name]
    path = make(tmp_path)
    loaded = load_model(str(path), device="cpu", dtype="float32")
    ids, logits = expected(family)
    assert torch.allclose(loaded.model(ids), logits, atol=1e-4)
    assert loaded.path == path
    assert len(loaded.sha256) == 64
    assert loaded.tokenizer.encode("hello") == [TOKENS.index("hello")]
    rendered = loaded.template.render([{"role": "user", "content": "hello<|im_end|>"}])
    assert rendered.count(TOKENS.index("<|im_end|>")) == 1


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_weights_come_in_the_type_that_was_asked_for(name: str, dtype: str, tmp_path: Path) -> None:
    loaded = load_model(str(FORMATS[name][0](tmp_path)), device="cpu", dtype=dtype)
    assert {p.dtype for p in loaded.model.parameters()} == {getattr(torch, dtype)}
    assert loaded.dtype == dtype


def test_progress_counts_the_parameters(tmp_path: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    loaded = load_model(
        str(write_gguf(tmp_path / "m.gguf")), device="cpu", progress=lambda *step: steps.append(step)
    )
    assert steps[-1] == ("loading", loaded.parameters, loaded.parameters)
    assert [done for _, done, _ in steps] == sorted(done for _, done, _ in steps)


def test_a_model_without_template_or_chat_tokens_still_speaks_in_turns(tmp_path: Path) -> None:
    loaded = load_model(str(write_gguf(tmp_path / "m.gguf")), device="cpu")
    assert loaded.template.render([{"role": "user", "content": "x"}])[0] == TOKENS.index("<|im_start|>")


def test_a_context_that_would_fill_the_memory_is_bounded(tmp_path: Path) -> None:
    loaded = load_model(str(write_gguf(tmp_path / "m.gguf", llama__context_length=1 << 23)), device="cpu")
    assert loaded.model.config.block_size == 1 << 17


def broken(name: str) -> Callable[[Path], Any]:
    def make(path: Path) -> Path:
        file = path / name
        file.write_bytes(b"nonsense" * 10)
        return file

    return make


def without(name: str) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        folder = hub_folder("llama", path / "m")
        (folder / name).unlink()
        return folder

    return make


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: "no-such-model", "There is no model 'no-such-model': name one of"),
        (lambda path: path / "none.gguf", "There is no model .*give the path"),
        (broken("m.gguf"), "is not a GGUF file"),
        (broken("m.bin"), "is not a GGUF file"),
        (broken("m.safetensors"), "cannot be read as safetensors"),
        (lambda path: path, "config.json cannot be read"),
        (without("config.json"), "config.json cannot be read"),
        (without("tokenizer.json"), "tokenizer.json cannot be read"),
        (without("model.safetensors"), "only safetensors weights"),
        (lambda path: write_gguf(path / "m.gguf", architecture="gpt2"), "architecture 'gpt2'"),
        (lambda path: write_gguf(path / "m.gguf", tokenizer="t5"), "only BPE .gpt2, llama. is known"),
        (lambda path: write_gguf(path / "m.gguf", pre="poro-chat"), "pre-tokenizer 'poro-chat' is unknown"),
        (lambda path: write_gguf(path / "m.gguf", llama__block_count=3), "lacks the tensor"),
        (lambda path: write_gguf(path / "m.gguf", llama__block_count=1), "does not belong"),
        (lambda path: write_gguf(path / "m.gguf", llama__feed_forward_length=32), "the config needs"),
        (lambda path: write_gguf(path / "m.gguf", llama__attention__head_count=0), "n_head must be"),
    ],
)
def test_everything_that_can_go_wrong_is_one_sentence(
    make: Callable[[Path], Any], says: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=says) as failure:
        load_model(str(make(tmp_path)), device="cpu")
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize("where", [{"device": "toaster"}, {"device": "cuda:99"}, {"dtype": "int3"}])
def test_a_device_that_is_not_there_is_named(where: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="The model cannot run here"):
        load_model(str(tmp_path), **where)  # type: ignore[arg-type]


def test_loading_does_not_import_the_compiler(tmp_path: Path) -> None:
    """`torch._dynamo` costs a second and 100 MB, and arithmetic on the meta device is enough to bring it in."""
    path = write_gguf(tmp_path / "m.gguf")
    code = (
        "import sys; from shared.model.loading import load_model; "
        f"load_model({str(path)!r}, device='cpu'); sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=100).returncode == 0
