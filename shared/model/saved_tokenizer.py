"""A byte-level tokenizer as JSON inside a checkpoint, so that a model trained from any base stands alone."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from shared.model.errors import ModelError
from shared.model.tokenizer import PRE_TOKENIZERS, Tokenizer

KIND = "bpe"
_FIELDS = {
    "pre": str,
    "nfc": bool,
    "whole_pieces": bool,
    "tokens": list,
    "unreachable": list,
    "specials": dict,
    "visible": list,
    "ends": list,
}


def describe_tokenizer(tokenizer: Tokenizer) -> dict[str, Any]:
    """What `described_tokenizer` makes the same of. Raises ModelError for one that is not byte-level."""
    if type(tokenizer) is not Tokenizer:
        raise ModelError("A checkpoint holds no SentencePiece vocabulary: learn an adapter.")
    pre = tokenizer.pre
    family = next(name for name, known in PRE_TOKENIZERS.items() if known.pattern == pre.pattern)
    specials = tokenizer.specials
    ids = set(specials.values())
    plain = {
        number: token
        for number in range(tokenizer.vocab_size)
        if number not in ids and (token := tokenizer.token_bytes(number))
    }
    return {
        "kind": KIND,
        "pre": family,
        "nfc": pre.nfc,
        "whole_pieces": pre.whole_pieces,
        # By id; an id without a token has an empty text.
        "tokens": [base64.b64encode(plain.get(i, b"")).decode() for i in range(tokenizer.vocab_size)],
        "unreachable": sorted(tokenizer.decode_only.values()),
        "specials": specials,
        "visible": [name for name, number in specials.items() if tokenizer.token_bytes(number)],
        "ends": sorted(tokenizer.end_ids),
    }


def described_tokenizer(described: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer that `describe_tokenizer` described. Raises ModelError when it contradicts itself."""
    try:
        for key, kind in _FIELDS.items():
            if type(described[key]) is not kind:
                raise ValueError(key)
        tokens = [base64.b64decode(text, validate=True) for text in described["tokens"]]
        unreachable = {int(number) for number in described["unreachable"]}
        specials = {str(name): int(number) for name, number in described["specials"].items()}
        ranks = {token: i for i, token in enumerate(tokens) if token and i not in unreachable}
        if len(ranks) != sum(bool(token) and i not in unreachable for i, token in enumerate(tokens)):
            raise ValueError("tokens")
        return Tokenizer(
            ranks,
            specials,
            replace(
                PRE_TOKENIZERS[described["pre"]], nfc=described["nfc"], whole_pieces=described["whole_pieces"]
            ),
            decode_only={tokens[i]: i for i in unreachable},
            visible=[name for name in described["visible"] if name in specials],
            ends=[int(number) for number in described["ends"]],
        )
    except (KeyError, ValueError, TypeError, LookupError) as error:
        raise ModelError(
            f"The tokenizer inside the checkpoint cannot be used ({str(error)[:60]}): take another copy."
        ) from None
