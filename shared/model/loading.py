"""From a name or a path to a model that can talk: weights, tokenizer and template together."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from shared.model.auto import AUTO, choose_here
from shared.model.chat_template import ChatTemplate
from shared.model.checkpoint import (
    Tensors,
    checkpoint_config,
    checkpoint_template,
    checkpoint_tokenizer,
    open_tensors,
    split_config,
)
from shared.model.config import GPTConfig
from shared.model.device import pick_device, pick_dtype
from shared.model.errors import ModelError
from shared.model.fetch import ensure_model
from shared.model.gguf_file import GgufFile, open_gguf
from shared.model.gguf_model import gguf_template, gguf_tensors, read_gguf_config
from shared.model.gpt import GPT
from shared.model.hub_folder import hub_tensors, read_hub_config, weights_files
from shared.model.hub_tokenizer import hub_template, hub_tokenizer
from shared.model.integrity import file_sha256
from shared.model.native import NativeModel, NativeUnavailableError
from shared.model.presets import preset_names
from shared.model.progress import Progress
from shared.model.tokenizer import Tokenizer
from shared.model.vocabularies import gguf_tokenizer

MAX_CONTEXT = 1 << 17
"""The rotary tables are made for the whole context: a file that claims more would fill the memory."""

log = logging.getLogger(__name__)

__all__ = ["LoadedModel", "ModelError", "load_model"]

Engine = Literal["auto", "native", "torch"]


@dataclass
class LoadedModel:
    """A model in memory and what belongs to it."""

    name: str
    model: GPT | NativeModel
    tokenizer: Tokenizer
    template: ChatTemplate
    path: Path
    sha256: str
    """Of the weights file; of a folder, of the hashes of its weights files in order."""
    parameters: int
    dtype: str
    device: str


def load_model(
    name_or_path: str,
    *,
    device: str = "auto",
    dtype: str = "auto",
    engine: Engine = "torch",
    threads: int = 0,
    progress: Progress | None = None,
    offline: bool = False,
) -> LoadedModel:
    """Load a preset of `configs/models/`, a model of the hub, a GGUF file, a hub folder or our checkpoint.

    What has a name is fetched first if needed, unless `offline`; `auto` is a preset chosen by the machine.
    The `engine` is PyTorch, or the native one with `threads` (0: the physical cores); `auto` is native on a
    CPU unless a `dtype` is asked for. Where native cannot be, PyTorch takes over with a warning. Raises
    ModelError: one sentence, what to do.
    """
    try:
        chosen_device = pick_device(device)
        chosen_dtype = pick_dtype(chosen_device, dtype)
    except ValueError as error:
        raise ModelError(f"The model cannot run here: {error}.") from None
    if name_or_path == AUTO:
        choice = choose_here(device, dtype, engine)
        log.warning(choice.why)
        name_or_path = choice.name
    name, path = _located(name_or_path, progress, offline)
    try:
        with _opened(path, chosen_dtype) as source:
            config = fitted(source.config, source.tokenizer)
            native = engine == "native" or (engine == "auto" and dtype == "auto")
            model: GPT | NativeModel | None = None
            if native and chosen_device.type == "cpu":
                model = _build_native(path, config, source, threads)
            if model is None:
                model = _build(path, config, source.tensors, chosen_device, chosen_dtype, progress)
            sha256 = source.sha256
    except OSError as error:
        raise ModelError(f"{error.filename or path} cannot be read: {error.strerror or error}.") from None
    return LoadedModel(
        name=name,
        model=model,
        tokenizer=source.tokenizer,
        template=source.template,
        path=path,
        sha256=sha256,
        parameters=config.parameter_count,
        dtype=model.kind if isinstance(model, NativeModel) else str(chosen_dtype).removeprefix("torch."),
        device=str(chosen_device),
    )


def load_tokenizer(name_or_path: str, *, progress: Progress | None = None) -> Tokenizer:
    """The tokenizer of what `load_model` would load; its weights stay on the disk. Raises ModelError."""
    _, path = _located(name_or_path, progress, False)
    try:
        with _opened(path, torch.float32) as source:
            return source.tokenizer
    except OSError as error:
        raise ModelError(f"{error.filename or path} cannot be read: {error.strerror or error}.") from None


def _located(name_or_path: str, progress: Progress | None, offline: bool) -> tuple[str, Path]:
    """Name and path of what is on the disk or is fetched to it."""
    path = Path(name_or_path).expanduser()
    if name_or_path in preset_names() or not path.exists():
        return name_or_path, ensure_model(name_or_path, progress=progress, offline=offline)
    return path.stem, path


@dataclass
class Source:
    """What each format yields; the tensors come one at a time while the file is open."""

    config: GPTConfig
    tokenizer: Tokenizer
    template: ChatTemplate
    tensors: Tensors
    sha256: str
    gguf: GgufFile | None = None
    """The open file, for an engine that reads its blocks as they are."""


@contextmanager
def _opened(path: Path, dtype: torch.dtype) -> Iterator[Source]:
    """A folder is the hub's, `.safetensors` is Akane's own, and all else must be GGUF."""
    if path.is_dir():
        config = read_hub_config(path)
        tokenizer = hub_tokenizer(path)
        hashes = [file_sha256(file) for file in weights_files(path)]
        sha256 = hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
        tensors: Tensors = hub_tensors(path, config.tied_head)
        yield Source(config, tokenizer, hub_template(path, tokenizer), tensors, sha256)
    elif path.suffix == ".safetensors":
        with open_tensors(path) as (metadata, tensors):
            config, extra = split_config(checkpoint_config(path, metadata), str(path))
            tokenizer = checkpoint_tokenizer(extra)
            yield Source(config, tokenizer, checkpoint_template(extra, tokenizer), tensors, file_sha256(path))
    else:
        with open_gguf(path) as file:
            config = read_gguf_config(file)
            tokenizer = gguf_tokenizer(file.header.metadata)
            template = gguf_template(file.header.metadata, tokenizer)
            yield Source(config, tokenizer, template, gguf_tensors(file, dtype), file_sha256(path), file)


def fitted(config: GPTConfig, tokenizer: Tokenizer) -> GPTConfig:
    """The config as it is run: ids without a token marked, the context bounded. Raises ModelError."""
    if tokenizer.vocab_size > config.vocab_size:
        raise ModelError(
            f"The vocabulary has {tokenizer.vocab_size} tokens but the weights have only "
            f"{config.vocab_size} rows: the files do not belong together."
        )
    return replace(
        config,
        token_limit=min(tokenizer.vocab_size, config.n_tokens),
        block_size=min(config.block_size, MAX_CONTEXT),
    )


def _build_native(path: Path, config: GPTConfig, source: Source, threads: int) -> NativeModel | None:
    """None, and a warning, where PyTorch has to do it."""
    try:
        if source.gguf is not None:
            return NativeModel.from_gguf(source.gguf, config, threads=threads)
        return NativeModel.from_state(config, source.tensors, threads=threads)
    except NativeUnavailableError as error:
        log.warning("the slower PyTorch engine is used: %s", error)
        return None
    except ValueError as error:
        raise ModelError(f"{path} cannot be used: {error}.") from None


def _build(
    path: Path,
    config: GPTConfig,
    tensors: Tensors,
    device: torch.device,
    dtype: torch.dtype,
    progress: Progress | None,
) -> GPT:
    def counted() -> Iterator[tuple[str, torch.Tensor]]:
        done = 0
        for name, tensor in tensors:
            yield name, tensor
            done += tensor.numel()
            if progress:
                progress("loading", done, config.parameter_count)

    threads = torch.get_num_threads()
    # The pieces are too small to share: a second thread would only spin between them.
    torch.set_num_threads(1)
    try:
        return GPT.from_state(config, counted(), device=device, dtype=dtype)
    except ValueError as error:
        raise ModelError(f"{path} cannot be used: {error}.") from None
    except (MemoryError, RuntimeError) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else "out of memory"
        raise ModelError(f"{path} could not be loaded on {device}: {reason}. Take a smaller model.") from None
    finally:
        torch.set_num_threads(threads)
