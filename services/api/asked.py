"""What clients ask for: the fields of OpenAI's requests, and the `llm.generate` commands they become."""

from __future__ import annotations

import json
import secrets
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.api.errors import invalid, of_validation
from shared.commands import ChatTurn, Generate

MAX_CHOICES = 16
QUEUE_S = 60.0
"""Longest that a request may wait for a free slot."""
ANY_OBJECT = json.dumps({"type": "object"})
_ROLES: dict[str, Literal["system", "user", "assistant"]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}


class StreamOptions(BaseModel):
    """How a stream ends."""

    include_usage: bool = False


class JsonSchema(BaseModel):
    """`response_format.json_schema`."""

    name: str = ""
    schema_: dict[str, Any] = Field(alias="schema")


class ResponseFormat(BaseModel):
    """Free text, any JSON object, or JSON that follows a schema."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class Asked(BaseModel):
    """The fields that both kinds of request share; unknown ones are ignored, as elsewhere."""

    model_config = ConfigDict(extra="ignore")

    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0.0, le=2.0)
    top_p: float | None = Field(default=None, gt=0.0, le=1.0)
    n: int | None = Field(default=None, ge=1, le=MAX_CHOICES)
    stop: str | list[str] | None = None
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    presence_penalty: float | None = Field(default=None, ge=-2.0, le=2.0)
    frequency_penalty: float | None = Field(default=None, ge=-2.0, le=2.0)
    logit_bias: dict[str, float] | None = None
    top_k: int | None = Field(default=None, ge=0)
    min_p: float | None = Field(default=None, ge=0.0, le=1.0)
    repetition_penalty: float | None = Field(default=None, ge=0.5, le=5.0)

    @property
    def includes_usage(self) -> bool:
        """A stream ends with the number of tokens."""
        return self.stream_options is not None and self.stream_options.include_usage

    def sampling(self) -> dict[str, Any]:
        """Fields of `llm.generate`; what was not given keeps its default, OpenAI's or ours."""
        if self.logit_bias:
            raise invalid("logit_bias is not supported.", "logit_bias")
        stop = [self.stop] if isinstance(self.stop, str) else (self.stop or [])
        values: dict[str, Any] = {
            "temperature": 1.0 if self.temperature is None else self.temperature,
            "stop": [text for text in stop if text],
            "queue_deadline_s": QUEUE_S,
            "max_tokens": self.max_tokens,
        }
        given = ("top_p", "presence_penalty", "frequency_penalty", "top_k", "min_p", "repetition_penalty")
        return values | {name: value for name in given if (value := getattr(self, name)) is not None}


class ChatAsked(Asked):
    """POST /v1/chat/completions."""

    messages: list[dict[str, Any]] = Field(min_length=1, max_length=1_000)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    response_format: ResponseFormat | None = None
    tools: list[Any] | None = None
    functions: list[Any] | None = None
    tool_choice: Any = None
    modalities: list[str] | None = None

    def commands(self, request_id: str) -> list[Generate]:
        """One for each choice. Raises ApiError."""
        if (self.tools or self.functions) and self.tool_choice != "none":
            raise invalid("Tools are not supported by this server.", "tools")
        if self.modalities and self.modalities != ["text"]:
            raise invalid("Only text can be generated.", "modalities")
        if self.top_logprobs and not self.logprobs:
            raise invalid("top_logprobs needs logprobs to be true.", "top_logprobs")
        turns = [_turn(message, at) for at, message in enumerate(self.messages)]
        values = self.sampling() | {
            "messages": turns,
            "pinned": len(turns),  # a client manages its own history: nothing is dropped behind its back
            "json_schema": self._json_schema(),
            "logprobs": (self.top_logprobs or 0) if self.logprobs else None,
        }
        if self.max_completion_tokens is not None:
            values["max_tokens"] = self.max_completion_tokens
        return _commands(values, request_id, self.n or 1, self.seed)

    def _json_schema(self) -> str | None:
        wanted = self.response_format
        if wanted is None or wanted.type == "text":
            return None
        if wanted.type == "json_object":
            return ANY_OBJECT
        if wanted.json_schema is None:
            raise invalid("response_format.json_schema is missing.", "response_format")
        return json.dumps(wanted.json_schema.schema_)


class TextAsked(Asked):
    """POST /v1/completions."""

    prompt: str | list[str]
    logprobs: int | None = Field(default=None, ge=0, le=20)
    echo: bool | None = None
    suffix: str | None = None
    best_of: int | None = None

    @property
    def prompts(self) -> list[str]:
        """The texts to go on with."""
        return [self.prompt] if isinstance(self.prompt, str) else self.prompt

    def commands(self, request_id: str) -> list[Generate]:
        """One for each choice of each prompt, in order. Raises ApiError."""
        if self.suffix:
            raise invalid("suffix is not supported.", "suffix")
        if self.best_of is not None and self.best_of != (self.n or 1):
            raise invalid("best_of is not supported.", "best_of")
        if self.echo and self.logprobs is not None:
            raise invalid("echo cannot be combined with logprobs.", "echo")
        if not 1 <= len(self.prompts) * (self.n or 1) <= MAX_CHOICES:
            raise invalid(f"Prompts times n must be from 1 to {MAX_CHOICES}.", "prompt")
        values = self.sampling() | {"logprobs": self.logprobs}
        if self.max_tokens is None:
            values["max_tokens"] = 16  # OpenAI's default for this older form
        made = []
        for at, prompt in enumerate(self.prompts):
            made += _commands(values | {"prompt": prompt}, f"{request_id}-{at}", self.n or 1, self.seed)
        return made


def new_id(kind: str) -> str:
    """`chatcmpl-…`, which also begins the ids of its generations."""
    return f"{kind}-{secrets.token_hex(12)}"


def _commands(values: dict[str, Any], request_id: str, count: int, seed: int | None) -> list[Generate]:
    seeds = [None if seed is None else seed + index for index in range(count)]
    try:
        return [
            Generate(generation=f"{request_id}-{index}", seed=each, **values)
            for index, each in enumerate(seeds)
        ]
    except ValidationError as error:
        raise of_validation(error) from None


def _turn(message: dict[str, Any], at: int) -> ChatTurn:
    param = f"messages.{at}"
    role = message.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise invalid(f"{param}.role must be one of {', '.join(_ROLES)}.", f"{param}.role")
    if message.get("tool_calls") or message.get("function_call"):
        raise invalid("Tools are not supported by this server.", f"{param}.tool_calls")
    content = message.get("content")
    if content is None and role == "assistant":
        content = ""
    if isinstance(content, list):
        content = "".join(_part(part, param) for part in content)
    if not isinstance(content, str):
        raise invalid(f"{param}.content must be a text.", f"{param}.content")
    try:
        return ChatTurn(role=_ROLES[role], content=content)
    except ValidationError as error:
        raise invalid(f"{param}.content: {error.errors()[0]['msg']}.", f"{param}.content") from None


def _part(part: Any, param: str) -> str:
    if isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    raise invalid("Only parts of type text are supported.", f"{param}.content")
