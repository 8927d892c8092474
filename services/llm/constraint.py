"""Replies that follow a JSON schema: llguidance says which tokens may come next, all others are masked."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from services.llm.generation import LogitsProcessor
from services.llm.outputs import RefusedError
from shared.model.tokenizer import Tokenizer

PACKAGE = "llguidance"
_SPACING: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""As most JSON on one line is written. Free white space lets a small model write blanks without end."""


class _Vocabulary:
    """A Tokenizer in the form that llguidance asks for."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        names = {number: name.encode() for name, number in tokenizer.specials.items()}
        self.tokens = [names.get(i) or tokenizer.token_bytes(i) for i in range(tokenizer.vocab_size)]
        self.special_token_ids = sorted(names)
        self.eos_token_id = min(tokenizer.end_ids)
        self.bos_token_id = None

    def __call__(self, text: str | bytes) -> list[int]:
        return self._tokenizer.encode(text if isinstance(text, str) else text.decode("utf-8", "replace"))


class Constraints:
    """Makes constraints for one tokenizer; what llguidance prepares for it is made when first needed."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._prepared: Any = None

    def json_schema(self, schema: str) -> LogitsProcessor:
        """Raises RefusedError for a schema that is malformed or asks for what the library does not know."""
        if importlib.util.find_spec(PACKAGE) is None:
            raise RefusedError(f"json_schema needs the package {PACKAGE}: run `pip install {PACKAGE}`")
        if not self._tokenizer.end_ids:
            raise RefusedError("json_schema needs a model that has a token for the end of its reply")
        import llguidance

        try:
            parsed = json.loads(schema)
        except (ValueError, RecursionError) as error:
            raise RefusedError(f"json_schema is not JSON: {error}") from None
        if self._prepared is None:
            wrapper = llguidance.TokenizerWrapper(_Vocabulary(self._tokenizer))
            ends = sorted(self._tokenizer.end_ids)
            # Without `slices` it is made in 60 ms instead of 150, and the masks cost the same.
            self._prepared = llguidance.LLTokenizer(
                wrapper, n_vocab=self._tokenizer.vocab_size, eos_token=ends, slices=[]
            )
        try:
            grammar = llguidance.LLMatcher.grammar_from_json_schema(parsed, overrides=_SPACING)
        except ValueError as error:
            raise RefusedError(f"json_schema is wrong: {error}") from None
        matcher = llguidance.LLMatcher(self._prepared, grammar, log_level=0)
        matcher.compute_logit_bias()
        if matcher.is_error():
            said = _first_line(matcher.get_error())
            reason = "no reply can follow it" if said.startswith("NoExtension") else said
            raise RefusedError(f"json_schema is wrong: {reason}")
        return _masking(matcher)


def _masking(matcher: Any) -> LogitsProcessor:
    read = 0

    def process(logits: Tensor, generated: Sequence[int]) -> Tensor:
        nonlocal read
        for token in generated[read:]:
            matcher.consume_token(token)
        read = len(generated)
        allowed = bytearray(matcher.compute_logit_bias())
        if matcher.is_error():
            raise RuntimeError(f"the reply left its JSON schema: {_first_line(matcher.get_error())}")
        mask = torch.frombuffer(allowed, dtype=torch.uint8)[: len(logits)].to(logits.device) == 0
        row = logits.float().clone()
        row[: len(mask)].masked_fill_(mask, -torch.inf)
        row[len(mask) :] = -torch.inf
        return row

    return process


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0][:300] if text.strip() else "it cannot be used"
