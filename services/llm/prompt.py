"""Messages to prompt tokens that fit: rendered by the model's template, old turns left out when need be."""

from __future__ import annotations

from collections.abc import Sequence

from services.llm.outputs import RefusedError
from services.llm.trimming import first_kept
from shared.commands import ChatTurn
from shared.model.chat_template import ChatTemplate
from shared.model.errors import ModelError
from shared.model.tokenizer import Tokenizer

BEGIN_NAMES = ("<|begin_of_text|>", "<s>", "<|startoftext|>")
"""Tokens that stand before every text, for the models whose template writes one."""


class PromptBuilder:
    """Renders conversations for one model whose context is `context` tokens."""

    def __init__(self, template: ChatTemplate, tokenizer: Tokenizer, context: int) -> None:
        self.template = template
        self.tokenizer = tokenizer
        self.context = context
        turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
        bare = len(tokenizer.encode("a")) + len(tokenizer.encode("b"))
        two, four = len(template.render(turns, False)), len(template.render(turns * 2, False))
        self._turn_overhead = (four - two - bare) // 2
        first = template.render(turns, False)[:1]
        self._begin = [number for number in first if tokenizer.special_name(number) in BEGIN_NAMES]

    def continued(self, text: str, max_tokens: int) -> list[int]:
        """Prompt tokens of a text to go on with, after the token that begins every text, if there is one."""
        tokens = self._begin + self.tokenizer.encode(text)
        if len(tokens) + max_tokens > self.context:
            raise RefusedError(
                f"{len(tokens)} prompt tokens and max_tokens {max_tokens} do not fit the context of "
                f"{self.context}: shorten the prompt or lower max_tokens",
                "too_long",
            )
        return tokens

    def build(self, messages: Sequence[ChatTurn], pinned: int, max_tokens: int) -> tuple[list[int], int]:
        """Prompt tokens, and how many messages were left out after the `pinned` leading ones.

        Raises RefusedError when what must stay does not fit beside `max_tokens`.
        """
        pinned = min(pinned, len(messages) - 1)
        budget = self.context - max_tokens
        start = pinned
        tokens = self._render([*messages])
        if len(tokens) > budget:
            counts = [len(self.tokenizer.encode(one.content)) + self._turn_overhead for one in messages]
            start = first_kept(counts, [one.role for one in messages], pinned, budget)
            tokens = self._render([*messages[:pinned], *messages[start:]])
        while len(tokens) > budget:  # the counts are estimates: a template may add more than they know
            if start == len(messages) - 1:
                raise RefusedError(
                    f"{len(tokens)} prompt tokens (persona, last message) and max_tokens {max_tokens} do not "
                    f"fit the context of {self.context}: shorten the message or lower max_tokens",
                    "too_long",
                )
            start += 1
            while start < len(messages) - 1 and messages[start].role == "assistant":
                start += 1
            tokens = self._render([*messages[:pinned], *messages[start:]])
        return tokens, start - pinned

    def _render(self, messages: Sequence[ChatTurn]) -> list[int]:
        try:
            return self.template.render([{"role": one.role, "content": one.content} for one in messages])
        except ModelError as error:
            raise RefusedError(str(error)) from None
