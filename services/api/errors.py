"""What goes wrong, in OpenAI's shape: `{"error": {"message", "type", "param", "code"}}`."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from shared.events import Finished
from shared.requests import CommandError


class ApiError(Exception):
    """An answer other than 200. `retry_after_s` tells the client when to come again."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.code = code
        self.param = param
        self.retry_after_s = retry_after_s

    def body(self) -> dict[str, Any]:
        """The JSON of the answer, or of the last event of a stream."""
        return {"error": {"message": str(self), "type": self.kind, "param": self.param, "code": self.code}}


def invalid(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """The request itself is wrong."""
    return ApiError(400, message, param=param, code=code)


def unavailable(message: str) -> ApiError:
    """The model is away or loading; the same request may succeed later."""
    return ApiError(503, message, kind="server_error", code="model_unavailable", retry_after_s=2)


def of_validation(error: ValidationError) -> ApiError:
    """The first field that is wrong, by name."""
    first = error.errors()[0]
    param = ".".join(str(part) for part in first["loc"]) or None
    where = f"{param}: " if param else ""
    return invalid(f"{where}{first['msg'][0].lower()}{first['msg'][1:]}.", param)


def of_command(error: CommandError) -> ApiError:
    """Why `llm.generate` was not obeyed."""
    sentence = str(error)
    if error.code == "busy":
        return ApiError(429, sentence, kind="rate_limit_error", code="rate_limit_exceeded", retry_after_s=1)
    if error.code == "too_long":
        return invalid(sentence, "messages", "context_length_exceeded")
    if error.code in ("refused", "invalid"):
        return invalid(sentence)
    if error.code in ("error", "wire"):
        return ApiError(500, sentence, kind="server_error")
    return unavailable(sentence if error.code == "unavailable" else f"The model does not answer: {sentence}")


def of_ending(finished: Finished) -> ApiError | None:
    """None for a generation that ended well."""
    if finished.reason in ("stop", "length"):
        return None
    if finished.reason == "error":
        return ApiError(500, f"The model failed: {finished.error}", kind="server_error")
    if finished.reason == "cancelled":
        return unavailable("The generation was cancelled before its end.")
    return unavailable(finished.error or "The generation was lost.")
