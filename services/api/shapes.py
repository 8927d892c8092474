"""OpenAI's objects for what was generated: completions, chunks of a stream, usage, log probabilities."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any, Protocol

from services.api.reading import Delta
from shared.events import Finished, TokenLogprob


def usage(endings: Sequence[Finished], choices_a_prompt: int) -> dict[str, Any]:
    """Tokens of all choices; a prompt counts once, however many choices it has."""
    prompts = endings[::choices_a_prompt]
    prompt = sum(ending.prompt_tokens for ending in prompts)
    completion = sum(ending.completion_tokens for ending in endings)
    cached = sum(ending.cached_tokens for ending in prompts)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached},
    }


class Shape(Protocol):
    """How one endpoint writes its objects."""

    def head(self, is_stream: bool) -> dict[str, Any]:
        """The fields around the choices."""

    def whole(self, index: int, deltas: Sequence[Delta], ending: Finished) -> dict[str, Any]:
        """A complete choice."""

    def first(self, index: int) -> dict[str, Any] | None:
        """The chunk that opens a choice, if there is one."""

    def piece(self, index: int, delta: Delta) -> dict[str, Any]:
        """A chunk with text."""

    def last(self, index: int, ending: Finished) -> dict[str, Any]:
        """The chunk that closes a choice."""


class ChatShape:
    """`chat.completion` and `chat.completion.chunk`."""

    def __init__(self, request_id: str, model: str, wants_logprobs: bool) -> None:
        self._request_id, self._model, self._wants_logprobs = request_id, model, wants_logprobs
        self._created = int(time.time())

    def head(self, is_stream: bool) -> dict[str, Any]:
        kind = "chat.completion.chunk" if is_stream else "chat.completion"
        return {"id": self._request_id, "object": kind, "created": self._created, "model": self._model}

    def whole(self, index: int, deltas: Sequence[Delta], ending: Finished) -> dict[str, Any]:
        text = "".join(delta.text for delta in deltas)
        return {
            "index": index,
            "message": {"role": "assistant", "content": text, "refusal": None},
            "logprobs": self._logprobs(deltas),
            "finish_reason": ending.reason,
        }

    def first(self, index: int) -> dict[str, Any] | None:
        return _chat_choice(index, {"role": "assistant", "content": ""})

    def piece(self, index: int, delta: Delta) -> dict[str, Any]:
        return _chat_choice(index, {"content": delta.text}, logprobs=self._logprobs([delta]))

    def last(self, index: int, ending: Finished) -> dict[str, Any]:
        return _chat_choice(index, {}, finish_reason=ending.reason)

    def _logprobs(self, deltas: Sequence[Delta]) -> dict[str, Any] | None:
        if not self._wants_logprobs:
            return None
        return {"content": [_entry(one) for delta in deltas for one in delta.logprobs], "refusal": None}


class TextShape:
    """`text_completion`, whole or in chunks; `echoes` are the prompts to repeat, one a choice."""

    def __init__(self, request_id: str, model: str, wants_logprobs: bool, echoes: Sequence[str]) -> None:
        self._request_id, self._model, self._wants_logprobs = request_id, model, wants_logprobs
        self._echoes = echoes
        self._created = int(time.time())
        self._offsets: dict[int, int] = {}

    def head(self, is_stream: bool) -> dict[str, Any]:
        kind = "text_completion"
        return {"id": self._request_id, "object": kind, "created": self._created, "model": self._model}

    def whole(self, index: int, deltas: Sequence[Delta], ending: Finished) -> dict[str, Any]:
        text = self._echoes[index] + "".join(delta.text for delta in deltas)
        logprobs = self._logprobs(index, deltas)
        return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": ending.reason}

    def first(self, index: int) -> dict[str, Any] | None:
        echo = self._echoes[index]
        return {"index": index, "text": echo, "logprobs": None, "finish_reason": None} if echo else None

    def piece(self, index: int, delta: Delta) -> dict[str, Any]:
        logprobs = self._logprobs(index, [delta])
        return {"index": index, "text": delta.text, "logprobs": logprobs, "finish_reason": None}

    def last(self, index: int, ending: Finished) -> dict[str, Any]:
        return {"index": index, "text": "", "logprobs": None, "finish_reason": ending.reason}

    def _logprobs(self, index: int, deltas: Sequence[Delta]) -> dict[str, Any] | None:
        """The older form: parallel lists, and where each token's text begins."""
        if not self._wants_logprobs:
            return None
        offset = self._offsets.get(index, 0)
        entries = [one for delta in deltas for one in delta.logprobs]
        tokens = [_text(one.raw) for one in entries]
        offsets = []
        for token in tokens:
            offsets.append(offset)
            offset += len(token)
        self._offsets[index] = offset
        return {
            "tokens": tokens,
            "token_logprobs": [_finite(one.logprob) for one in entries],
            "top_logprobs": [{_text(raw): _finite(value) for raw, value in one.top} for one in entries],
            "text_offset": offsets,
        }


def _chat_choice(index: int, delta: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": None, **fields}


def _entry(one: TokenLogprob) -> dict[str, Any]:
    top = [{"token": _text(raw), "logprob": _finite(value), "bytes": list(raw)} for raw, value in one.top]
    value = _finite(one.logprob)
    return {"token": _text(one.raw), "logprob": value, "bytes": list(one.raw), "top_logprobs": top}


def _finite(logprob: float) -> float:
    """JSON has no infinity; this is OpenAI's number for it."""
    return logprob if math.isfinite(logprob) else -9999.0


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
