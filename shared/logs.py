"""Logs: one JSON object a line where a program reads them, plain lines where a person does."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any


class JsonLines(logging.Formatter):
    """`{"ts": …, "level": …, "service": …, "logger": …, "message": …, "trace": …}`"""

    def __init__(self, service: str) -> None:
        super().__init__()
        self.service = service

    def format(self, record: logging.LogRecord) -> str:
        """One record as one line."""
        line: dict[str, Any] = {
            "ts": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{record.msecs:03.0f}Z",
            "level": record.levelname.lower(),
            "service": self.service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class Sentences(logging.Formatter):
    """`llm: message`; tracebacks stay out of a person's sight unless the level is debug."""

    def __init__(self, service: str, traces: bool) -> None:
        super().__init__(f"{service}: %(message)s")
        self._traces = traces

    def formatException(self, ei: Any) -> str:
        """Empty unless traces are wanted."""
        return super().formatException(ei) if self._traces else ""


def configure(service: str, level: str = "info") -> None:
    """Send all logging to standard error: sentences on a terminal, JSON lines elsewhere."""
    handler = logging.StreamHandler(sys.stderr)
    if sys.stderr.isatty():
        handler.setFormatter(Sentences(service, traces=level == "debug"))
    else:
        handler.setFormatter(JsonLines(service))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
