"""Akane's own checkpoints: one safetensors file whose metadata (or a .json beside it) holds the config.

The config is a JSON object with the fields of GPTConfig and, optionally, `tokenizer` (`{"kind": "gpt2"}`, the
default, `{"kind": "bytes", "specials": […]}`, or all of another one, see `shared.model.saved_tokenizer`),
`turn_tokens` (texts that open a `system`, `user` and `assistant` turn and `end` one) and `chat_template`
(Jinja), with the `bos_token` and `eos_token` that it names.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from shared.model.chat_template import PLAIN_TURNS, ChatTemplate, choose_template
from shared.model.config import GPTConfig
from shared.model.errors import ModelError
from shared.model.integrity import synced
from shared.model.json_file import parse_json, read_json
from shared.model.saved_tokenizer import KIND, described_tokenizer
from shared.model.tokenizer import Tokenizer, byte_tokenizer
from shared.model.vocabularies import gpt2_tokenizer

EXTRA_KEYS = ("tokenizer", "turn_tokens", "chat_template", "bos_token", "eos_token")
Tensors = Iterator[tuple[str, torch.Tensor]]


def save_checkpoint(
    path: Path, config: GPTConfig, tensors: Mapping[str, torch.Tensor], **extra: Mapping[str, Any] | str
) -> None:
    """Write a checkpoint as `save_tensors` does. `extra`: see above."""
    save_tensors(path, tensors, checkpoint_metadata(config, **extra))


def checkpoint_metadata(config: GPTConfig, **extra: Mapping[str, Any] | str) -> dict[str, str]:
    """What makes a safetensors file of a model's tensors a checkpoint."""
    unknown = sorted(set(extra) - set(EXTRA_KEYS))
    if unknown:
        raise ValueError(f"a checkpoint has no {', '.join(unknown)}")
    return {"format": "akane", "config": json.dumps({**config.to_dict(), **extra})}


def save_tensors(
    path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write a safetensors file that is on the disk when this returns; a crash leaves the old file or none.

    Raises OSError.
    """
    own: dict[str, torch.Tensor] = {}
    held: set[int] = set()
    for name, tensor in tensors.items():
        one = tensor.detach().cpu().contiguous()
        # Tensors that share memory are refused by safetensors, and a fine-tuned model may tie its head so.
        place = one.untyped_storage().data_ptr()
        own[name] = one.clone() if place in held else one
        held.add(place)
    part = path.with_name(f".{path.name}.part")
    try:
        save_file(own, part, dict(metadata) if metadata else None)
        synced(part)
        os.replace(part, path)
    except SafetensorError as error:
        part.unlink(missing_ok=True)
        raise _of_the_system(error, path) from None
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    synced(path.parent)


def _of_the_system(error: SafetensorError, path: Path) -> Exception:
    """As Python raises what safetensors puts into words: `I/O error: Is a directory (os error 21)`."""
    match = re.search(r"([^:]*) \(os error (\d+)\)", str(error))
    if match is None:
        return error
    number = int(match[2])
    return OSError(number, match[1].strip(), str(path), number)  # last, as Windows counts


@contextmanager
def open_tensors(path: Path) -> Iterator[tuple[dict[str, str], Tensors]]:
    """Metadata of a safetensors file and its tensors, read one after the other. Raises ModelError."""
    try:
        with safe_open(path, framework="pt") as file:

            def tensors() -> Tensors:
                for name in file.keys():  # noqa: SIM118 - this is no dict
                    tensor = file.get_tensor(name)
                    if not tensor.is_floating_point():
                        raise ModelError(
                            f"{path} has weights of the type {tensor.dtype}, which cannot be used."
                        )
                    # A copy: the mapped file may be replaced while the model runs.
                    yield name, tensor.clone()

            yield file.metadata() or {}, tensors()
    except (SafetensorError, OSError) as error:
        reason = " ".join(str(error).split())[:120]
        raise ModelError(f"{path} cannot be read as safetensors ({reason}): take another copy.") from None


def checkpoint_config(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    """The config object: from the metadata, else from `<name>.json` or `config.json` beside the file."""
    if "config" in metadata:
        return parse_json(metadata["config"], f"The config inside {path}")
    for beside in (path.with_suffix(".json"), path.with_name("config.json")):
        if beside.exists():
            return read_json(beside)
    raise ModelError(f"{path} holds no config: put it into {path.with_suffix('.json')}.")


def split_config(values: Mapping[str, Any], where: str) -> tuple[GPTConfig, dict[str, Any]]:
    """The model's shape, and the optional keys apart. Raises ModelError."""
    extra = {key: values[key] for key in EXTRA_KEYS if values.get(key) is not None}
    try:
        return GPTConfig.from_dict(
            {key: value for key, value in values.items() if key not in EXTRA_KEYS}
        ), extra
    except ValueError as error:
        raise ModelError(f"{where} cannot be used: {error}.") from None


def checkpoint_tokenizer(extra: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer that the config names. Raises ModelError."""
    described = extra.get("tokenizer", {"kind": "gpt2"})
    kind = described.get("kind") if isinstance(described, dict) else None
    if kind == "gpt2":
        return gpt2_tokenizer()
    if kind == KIND:
        return described_tokenizer(described)
    specials = described.get("specials", []) if kind == "bytes" else None
    if (
        not isinstance(specials, list)
        or not all(isinstance(name, str) and name for name in specials)
        or len(set(specials)) != len(specials)
    ):
        raise ModelError(
            "The checkpoint's config needs a tokenizer of kind gpt2, bpe or bytes, with its specials."
        )
    return byte_tokenizer(specials)


def checkpoint_template(extra: Mapping[str, Any], tokenizer: Tokenizer) -> ChatTemplate:
    """The config's turn tokens or Jinja, or what suits the tokenizer. Raises ModelError."""
    source, turns = extra.get("chat_template"), extra.get("turn_tokens")
    bos, eos = extra.get("bos_token", ""), extra.get("eos_token", "")
    if not isinstance(bos, str) or not isinstance(eos, str):
        raise ModelError("The checkpoint's bos_token and eos_token are not texts.")
    if turns is not None:
        if (
            not isinstance(turns, dict)
            or turns.keys() != PLAIN_TURNS.keys()
            or not all(isinstance(text, str) for text in turns.values())
            or not turns["end"]
        ):
            raise ModelError(f"The checkpoint's turn_tokens need a text each for {', '.join(PLAIN_TURNS)}.")
        return ChatTemplate(tokenizer, turns=turns, bos_token=bos)
    if source is not None and not isinstance(source, str):
        raise ModelError("The checkpoint's chat_template is not a text.")
    return choose_template(tokenizer, source, bos_token=bos, eos_token=eos)
