"""The text of one reply from its token ids: whole characters, ended by the first stop string."""

from __future__ import annotations

from collections.abc import Sequence

from shared.model.detokenize import StopScanner, TextStream
from shared.model.tokenizer import Tokenizer


class ReplyText:
    """What `services.llm.generation.TextStream` asks for."""

    def __init__(self, tokenizer: Tokenizer, stops: Sequence[str]) -> None:
        self._stream = TextStream(tokenizer.token_bytes)
        self._scanner = StopScanner(stops)

    @property
    def stopped(self) -> bool:
        """A stop string is complete."""
        return self._scanner.stopped is not None

    def feed(self, token: int) -> str:
        """Text that is whole and certain to stand before any stop string."""
        return self._scanner.push(self._stream.push(token))

    def finish(self) -> str:
        """What was held back."""
        return self._scanner.push(self._stream.flush()) + self._scanner.flush()
