"""Builds the tokenizer that a weights file, a hub folder or a checkpoint asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tiktoken.load import load_tiktoken_bpe

from shared.model.errors import ModelError
from shared.model.presets import models_dir
from shared.model.sentencepiece import SentencePieceTokenizer, by_score
from shared.model.tokenizer import PRE_TOKENIZERS, Tokenizer, bpe_tokenizer

GGUF_PRE_TOKENIZERS = {
    "gpt-2": "gpt2",
    "smollm": "smollm",
    "llama-bpe": "llama3",
    "llama-v3": "llama3",
    "llama3": "llama3",
    "qwen2": "qwen2",
}
NORMAL, CONTROL, USER_DEFINED, BYTE = 1, 3, 4, 6
"""`tokenizer.ggml.token_type`."""

GPT2_RANKS_FILE = "r50k_base.tiktoken"
GPT2_RANKS_SHA256 = "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930"
GPT2_END = {"<|endoftext|>": 50256}


def gguf_tokenizer(metadata: Mapping[str, Any]) -> Tokenizer:
    """Tokenizer from the `tokenizer.ggml` keys of a GGUF file. Raises ModelError."""
    model = metadata.get("tokenizer.ggml.model")
    if model not in ("gpt2", "llama"):
        raise ModelError(
            f"The file's vocabulary is of the kind {str(model)[:40]!r}: only BPE (gpt2, llama) is known."
        )
    tokens = _texts(metadata, "tokenizer.ggml.tokens")
    of_kind = _by_kind(tokens, metadata.get("tokenizer.ggml.token_type"))
    ids = [metadata.get(f"tokenizer.ggml.{key}_token_id") for key in ("eos", "eot", "eom")]
    ends = [end for end in ids if isinstance(end, int) and 0 <= end < len(tokens)]
    control, own = of_kind[CONTROL], of_kind[USER_DEFINED]
    if model == "llama":
        scores: Any = metadata.get("tokenizer.ggml.scores")
        numbers = isinstance(scores, list) and all(isinstance(score, (int, float)) for score in scores)
        if not numbers or len(scores) != len(tokens):
            raise ModelError("The file's vocabulary has no score for each token: take another file.")
        text = of_kind[NORMAL]
        return SentencePieceTokenizer(
            {**text, **of_kind[BYTE]},
            {**control, **own},
            by_score({token: float(scores[number]) for token, number in text.items()}),
            space_prefix=metadata.get("tokenizer.ggml.add_space_prefix") is not False,
            visible=own,
            ends=ends,
        )
    pre = metadata.get("tokenizer.ggml.pre")
    if not isinstance(pre, str) or pre not in GGUF_PRE_TOKENIZERS:
        known = ", ".join(GGUF_PRE_TOKENIZERS)
        raise ModelError(f"The file's pre-tokenizer {str(pre)[:40]!r} is unknown: known are {known}.")
    return bpe_tokenizer(
        of_kind[NORMAL],
        _texts(metadata, "tokenizer.ggml.merges"),
        {**control, **own},
        PRE_TOKENIZERS[GGUF_PRE_TOKENIZERS[pre]],
        visible=own,
        ends=ends,
    )


def _by_kind(tokens: list[str], kinds: object) -> dict[int, dict[str, int]]:
    if not isinstance(kinds, list) or len(kinds) != len(tokens):
        raise ModelError("The file's vocabulary does not say what kind each token is: take another file.")
    of_kind: dict[int, dict[str, int]] = {NORMAL: {}, CONTROL: {}, USER_DEFINED: {}, BYTE: {}}
    for number, (token, kind) in enumerate(zip(tokens, kinds, strict=True)):
        if kind in of_kind and of_kind[kind].setdefault(token, number) != number:
            raise ModelError(f"The file's vocabulary has the token {token[:40]!r} twice: take another file.")
    return of_kind


def _texts(metadata: Mapping[str, Any], key: str) -> list[str]:
    value = metadata.get(key)
    if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
        raise ModelError(f"The file has no list {key}: take another file.")
    return value


def gpt2_tokenizer(specials: Mapping[str, int] = GPT2_END) -> Tokenizer:
    """GPT-2's 50,257 tokens; ranks from the cache, else tiktoken downloads them. Raises ModelError."""
    path = models_dir() / GPT2_RANKS_FILE
    try:
        if path.exists():
            ranks = load_tiktoken_bpe(str(path), GPT2_RANKS_SHA256)
        else:
            from tiktoken_ext.openai_public import r50k_base  # type: ignore[import-untyped]

            ranks = r50k_base()["mergeable_ranks"]
    # What a failed download raises is the HTTP library's own affair.
    except Exception as error:
        raise ModelError(
            f"The GPT-2 vocabulary could not be read ({type(error).__name__}): connect to the network, "
            f"or put {GPT2_RANKS_FILE} (sha256 {GPT2_RANKS_SHA256}) at {path}."
        ) from None
    return Tokenizer(ranks, specials, PRE_TOKENIZERS["gpt2"])
