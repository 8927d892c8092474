"""One reply of an OpenAI-compatible server: its request, its chunks, its end. No sockets, no threads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from shared.commands import ChatTurn, Generate
from shared.events import EndReason, TokenLogprob

MAX_LINE_BYTES = 1 << 20
MAX_REPLY_CHARS = 1 << 20
_REASONS: dict[str, EndReason] = {"stop": "stop", "length": "length", "content_filter": "stop"}


class BackendError(Exception):
    """One sentence: what the server did wrong; `lost` when it went away in the middle."""

    def __init__(self, message: str, *, lost: bool = False) -> None:
        super().__init__(message)
        self.lost = lost


@dataclass(frozen=True)
class Chunk:
    """What one event of the stream brings; most fields are empty in most of them."""

    text: str = ""
    logprobs: tuple[TokenLogprob, ...] = ()
    reason: EndReason | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0


def request_of(command: Generate, messages: Sequence[ChatTurn], model: str) -> tuple[str, dict[str, Any]]:
    """Path below the server's base and JSON body for a command; `messages` are those that fit."""
    body: dict[str, Any] = {
        "model": model,
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": command.temperature,
        "top_p": command.top_p,
    }
    if command.max_tokens is not None:
        body["max_tokens"] = command.max_tokens
    if command.stop:
        body["stop"] = command.stop
    for name in ("seed", "presence_penalty", "frequency_penalty", "top_k", "min_p"):
        if value := getattr(command, name):
            body[name] = value
    if command.seed == 0:
        body["seed"] = 0
    if command.repetition_penalty != 1.0:
        body["repetition_penalty"] = command.repetition_penalty  # vLLM and SGLang
        body["repeat_penalty"] = command.repetition_penalty  # llama.cpp and Ollama
    if command.json_schema is not None:
        schema = {"name": "reply", "schema": json.loads(command.json_schema), "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if command.prompt is not None:
        if command.logprobs is not None:
            body["logprobs"] = command.logprobs
        return "/completions", {**body, "prompt": command.prompt}
    if command.logprobs is not None:
        body |= {"logprobs": True, "top_logprobs": command.logprobs}
    turns = [{"role": one.role, "content": one.content} for one in messages]
    return "/chat/completions", {**body, "messages": turns}


def chunks(lines: Iterable[bytes]) -> Iterator[Chunk]:
    """Chunks of a stream of server-sent events; one has the reason of its end. Raises BackendError."""
    reason: EndReason | None = None
    length = 0
    for data in _events(lines):
        if data == "[DONE]":
            if reason is None:
                yield Chunk(reason="stop")
            return
        chunk = parse_chunk(data)
        length += len(chunk.text)
        if length > MAX_REPLY_CHARS:
            raise BackendError("The backend's reply does not come to an end.")
        reason = reason or chunk.reason
        yield chunk
    if reason is None:
        raise BackendError("The backend closed the stream in the middle of the reply.", lost=True)


def _events(lines: Iterable[bytes]) -> Iterator[str]:
    """The data of each server-sent event (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""
    held: list[str] = []
    for raw in lines:
        if len(raw) > MAX_LINE_BYTES:
            raise BackendError("The backend sent a line of more than a megabyte.")
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        if line.startswith("data:"):
            held.append(line[5:].removeprefix(" "))
        elif not line and held:
            yield "\n".join(held)
            held.clear()
    if held:
        yield "\n".join(held)


def parse_chunk(data: str) -> Chunk:
    """One JSON object of the stream. Raises BackendError when it is none, or an error object."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise BackendError(f"The backend sent something that is not JSON: {data[:80]!r}.") from None
    if not isinstance(found, dict):
        raise BackendError(f"The backend sent JSON that is no completion: {data[:80]!r}.")
    if found.get("error"):
        raise BackendError(f"The backend failed: {error_text(found)}.")
    try:
        usage = found.get("usage") or {}
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
        counts = (usage.get("prompt_tokens") or 0, cached, usage.get("completion_tokens") or 0)
        choices = found.get("choices") or []
        choice = choices[0] if choices else {}
        text = (choice.get("delta") or {}).get("content") if "delta" in choice else choice.get("text")
        finish = choice.get("finish_reason")
        logprobs = tuple(_logprobs(choice.get("logprobs") or {}))
        if not isinstance(text or "", str) or not all(isinstance(count, int) for count in counts):
            raise TypeError
    except (AttributeError, TypeError, KeyError, IndexError, ValueError):
        raise BackendError(f"The backend sent JSON that is no completion: {data[:80]!r}.") from None
    reason = None if finish is None else _REASONS.get(str(finish), "stop")
    return Chunk(text or "", logprobs, reason, *counts)


def error_text(found: Any) -> str:
    """The message in an error object of whatever shape."""
    error = found.get("error", found) if isinstance(found, dict) else found
    message = error.get("message") if isinstance(error, dict) else error
    return " ".join(str(message).split())[:300].rstrip(".")


def _logprobs(found: dict[str, Any]) -> Iterator[TokenLogprob]:
    """Of the chat form (`content`) or of the older form with parallel lists."""
    for entry in found.get("content") or ():
        top = [(_raw(other), float(other["logprob"])) for other in entry.get("top_logprobs") or ()]
        yield TokenLogprob(raw=_raw(entry), logprob=float(entry["logprob"]), top=top)
    tops = found.get("top_logprobs") or []
    for at, token in enumerate(found.get("tokens") or ()):
        alternatives = (tops[at] if at < len(tops) else None) or {}
        pairs = [(str(text).encode(), float(value)) for text, value in alternatives.items()]
        pairs.sort(key=lambda pair: -pair[1])
        value = found["token_logprobs"][at]
        yield TokenLogprob(raw=str(token).encode(), logprob=float(value or 0.0), top=pairs)


def _raw(entry: dict[str, Any]) -> bytes:
    given = entry.get("bytes")
    return bytes(given) if given is not None else str(entry["token"]).encode()
