"""Choosing the native engine when a model is loaded, and going without it."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest
import torch

from services.llm.inference import Inference
from shared.commands import ChatTurn, Generate
from shared.config import LlmSettings
from shared.model.errors import ModelError
from shared.model.gguf_file import open_gguf
from shared.model.gpt import GPT
from shared.model.loading import load_model
from shared.model.native import NativeModel
from shared.model.presets import DEFAULT_PRESET, load_preset

pytestmark = pytest.mark.skipif(
    not load_preset(DEFAULT_PRESET).path.exists(), reason="the default model is not in the cache"
)


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)


def test_auto_is_native_on_a_cpu_and_pytorch_when_a_dtype_is_asked_for() -> None:
    loaded = load_model(DEFAULT_PRESET, device="cpu", engine="auto", threads=1, offline=True)
    assert isinstance(loaded.model, NativeModel)
    assert (loaded.dtype, loaded.model.threads, loaded.device) == ("Q4_1", 1, "cpu")
    asked = load_model(DEFAULT_PRESET, device="cpu", dtype="bfloat16", engine="auto", offline=True)
    assert isinstance(asked.model, GPT)


def test_without_a_compiler_pytorch_runs_and_a_warning_says_so(
    no_compiler: None, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        loaded = load_model(DEFAULT_PRESET, device="cpu", engine="auto", offline=True)
    assert isinstance(loaded.model, GPT)
    assert "no C++ compiler was found" in caplog.text


def test_the_service_s_engine_speaks_through_it() -> None:
    before = torch.get_num_threads()
    try:
        inference = Inference.load(LlmSettings(device="cpu", threads=1, context=256), offline=True)
        assert isinstance(inference.loaded.model, NativeModel)
        hello = [ChatTurn(role="user", content="Name three fruits.")]
        inference.submit(Generate(generation="g", messages=hello, max_tokens=20, temperature=0))
        text = ""
        while inference.engine.busy:
            text += "".join(getattr(output, "text", "") for output in inference.engine.step()[:1])
        assert "apple" in text.lower() or "banana" in text.lower()
    finally:
        torch.set_num_threads(before)


def test_a_file_of_another_architecture_is_still_refused() -> None:
    with pytest.raises(ModelError, match="There is no model"):
        load_model("no-such-model", engine="native")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how many of a file's pages are held")
def test_a_released_tensor_holds_no_memory_and_can_be_read_again() -> None:
    def held() -> int:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return 1024 * int(status.split("RssFile:")[1].split()[0])

    with open_gguf(load_preset(DEFAULT_PRESET).path) as file:
        name, info = max(file.header.tensors.items(), key=lambda item: item[1].size_bytes)
        total, read = int(file.raw(name).sum()), held()
        file.release(name)
        assert read - held() > info.size_bytes * 0.9
        assert int(file.raw(name).sum()) == total
