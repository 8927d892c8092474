"""A tokenizer put into a checkpoint comes back the same, and a bad description gives one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from weights_helpers import hub_folder

from shared.model.checkpoint import checkpoint_tokenizer
from shared.model.errors import ModelError
from shared.model.hub_tokenizer import hub_tokenizer
from shared.model.saved_tokenizer import describe_tokenizer, described_tokenizer
from shared.model.sentencepiece import SentencePieceTokenizer
from shared.model.tokenizer import PRE_TOKENIZERS, Tokenizer, byte_tokenizer

TEXT = "hello the  123 in an <tool> <|im_end|> 日本 \n\tis"


@pytest.mark.parametrize("specials", [[], ["<|im_start|>", "<|im_end|>"]])
def test_bytes(specials: list[str]) -> None:
    tokenizer = byte_tokenizer(specials)
    again = checkpoint_tokenizer({"tokenizer": describe_tokenizer(tokenizer)})
    assert again.encode(TEXT) == tokenizer.encode(TEXT)
    assert (again.specials, again.end_ids, again.vocab_size) == (
        tokenizer.specials,
        tokenizer.end_ids,
        tokenizer.vocab_size,
    )


def test_a_hubs_tokenizer_with_a_visible_special(tmp_path: Path) -> None:
    tokenizer = hub_tokenizer(hub_folder("qwen2", tmp_path / "hub"))
    again = described_tokenizer(describe_tokenizer(tokenizer))
    ids = list(range(tokenizer.vocab_size))
    assert [again.token_bytes(i) for i in ids] == [tokenizer.token_bytes(i) for i in ids]
    assert again.token_bytes(tokenizer.specials["<tool>"]) == b"<tool>"
    assert again.encode(TEXT) == tokenizer.encode(TEXT)


def test_tokens_that_no_merge_makes_are_still_never_made() -> None:
    ranks = {bytes([byte]): byte for byte in range(256)}
    tokenizer = Tokenizer(ranks, {}, PRE_TOKENIZERS["smollm"], decode_only={b"hello": 256})
    again = described_tokenizer(describe_tokenizer(tokenizer))
    assert again.encode("hello") == list(b"hello")
    assert again.decode([256]) == "hello"


@pytest.mark.parametrize(
    "change",
    [
        {"pre": "(a+)+$"},
        {"tokens": ["!"]},
        {"tokens": ["YQ==", "YQ=="]},
        {"tokens": 3},
        {"unreachable": [9999]},
        {"specials": {"<x>": 0}},
        {"specials": {"<x>": "y"}},
        {"ends": [None]},
        {"nfc": "yes"},
    ],
)
def test_a_bad_description_is_refused(change: dict[str, Any]) -> None:
    described = {**describe_tokenizer(byte_tokenizer()), **change}
    with pytest.raises(ModelError) as error:
        described_tokenizer(described)
    assert "\n" not in str(error.value)


def test_sentencepiece_is_refused() -> None:
    tokens = {f"<0x{byte:02X}>": byte for byte in range(256)}
    with pytest.raises(ModelError, match="no SentencePiece"):
        describe_tokenizer(SentencePieceTokenizer(tokens, {}, lambda left, right: None))
