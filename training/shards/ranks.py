"""Tokenizers by name, and vocabularies of one's own as files of tiktoken ranks.

Such a file has a line a token, its bytes in base64 and its id; text is cut by GPT-2's pattern, and the id
behind the last is the end-of-text token.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from pathlib import Path

from shared.model.errors import ModelError
from shared.model.progress import Progress
from shared.model.tokenizer import PRE_TOKENIZERS, Tokenizer
from shared.model.vocabularies import gpt2_tokenizer
from training.errors import TrainingError

SUFFIX = ".tiktoken"
END = "<|endoftext|>"
_ENDS = (END, "<|end_of_text|>", "</s>", "<|im_end|>")


def find_tokenizer(name: str, progress: Progress) -> Tokenizer:
    """`gpt2`, a .tiktoken file, or that of a preset, a hub model or a model file.

    Raises TrainingError, ModelError.
    """
    if name == "gpt2":
        return gpt2_tokenizer()
    if name.endswith(SUFFIX):
        return read_ranks(Path(name).expanduser())
    from shared.model.loading import load_tokenizer  # needs torch

    return load_tokenizer(name, progress=progress)


def end_of_text(tokenizer: Tokenizer) -> int:
    """Id of the token that ends a document. Raises TrainingError."""
    for name in _ENDS:
        if name in tokenizer.specials:
            return tokenizer.specials[name]
    raise TrainingError(f"The tokenizer has no token that ends a text ({', '.join(_ENDS)}): take another.")


def read_ranks(path: Path) -> Tokenizer:
    """The tokenizer of a .tiktoken file. Raises TrainingError."""
    try:
        lines = [line.split() for line in path.read_bytes().splitlines() if line]
        ranks = {base64.b64decode(token, validate=True): int(rank) for token, rank in lines}
    except OSError as error:
        raise TrainingError(f"{path} cannot be read: {error.strerror or error}.") from None
    except ValueError:
        raise TrainingError(f"{path} is no file of tiktoken ranks (base64 and a number a line).") from None
    if sorted(ranks.values()) != list(range(len(lines))) or not all(
        bytes([one]) in ranks for one in range(256)
    ):
        raise TrainingError(f"{path} lacks tokens: it needs all 256 bytes, and ids without a gap.")
    try:
        return Tokenizer(ranks, {END: len(ranks)}, PRE_TOKENIZERS["gpt2"])
    except ModelError as error:
        raise TrainingError(f"{path}: {error}") from None


def write_ranks(path: Path, ranks: Mapping[bytes, int]) -> None:
    """The whole file or none of it, never over another. Raises TrainingError, OSError."""
    if path.exists():
        raise TrainingError(f"{path} is there already: give another --out.")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    ordered = sorted(ranks.items(), key=lambda item: item[1])
    part.write_bytes(b"".join(b"%s %d\n" % (base64.b64encode(token), rank) for token, rank in ordered))
    os.replace(part, path)
