"""HTTP to an OpenAI-compatible server, from threads that may wait."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from services.llm.backend_stream import MAX_LINE_BYTES, BackendError, Chunk, chunks, error_text
from shared.model.errors import ModelError

CONNECT_S = 10.0
LIST_S = 5.0
"""How long a server may take to list its models."""
MAX_BODY_BYTES = 4 << 20


@dataclass(frozen=True)
class Server:
    """Where it is; `base` is the path that ends in `/v1`, without a slash at its end."""

    host: str
    port: int
    is_tls: bool
    base: str
    key: str = ""

    @property
    def place(self) -> str:
        """For people."""
        return f"{self.host}:{self.port}"


def server_of(url: str, key: str) -> Server:
    """Parse `llm.backend_url`. Raises ModelError with one sentence."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme not in ("http", "https") or not parts.hostname or port == -1 or parts.query:
        raise ModelError(f"llm.backend_url is {url!r}: write it like http://127.0.0.1:8000/v1.")
    is_tls = parts.scheme == "https"
    return Server(parts.hostname, port or (443 if is_tls else 80), is_tls, parts.path.rstrip("/"), key)


class Exchange:
    """One request and its response; `close` may be called from any thread and ends a wait at once."""

    def __init__(self, server: Server, timeout_s: float) -> None:
        self._server = server
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._is_closed = False

    def close(self) -> None:
        """Give the request up: the server sees the connection end."""
        with self._lock:
            self._is_closed = True
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)

    def get_json(self, path: str) -> Any:
        """The JSON at `path`. Raises BackendError."""
        with self._response("GET", path, None) as response:
            raw = response.read(MAX_BODY_BYTES)
        try:
            return json.loads(raw)
        except ValueError:
            raise BackendError(f"The backend {self._server.place} did not answer in JSON.") from None

    def stream(self, path: str, body: Mapping[str, Any]) -> Iterator[Chunk]:
        """POST and yield what the server streams. Raises BackendError."""
        with self._response("POST", path, json.dumps(body).encode()) as response:
            kind = response.headers.get("Content-Type", "")
            if "text/event-stream" not in kind:
                raise BackendError(f"The backend did not stream its reply, but sent {kind[:60]!r}.")
            yield from chunks(iter(lambda: response.readline(MAX_LINE_BYTES + 1), b""))

    @contextlib.contextmanager
    def _response(self, method: str, path: str, body: bytes | None) -> Iterator[http.client.HTTPResponse]:
        server = self._server
        connection = self._connection()
        response: http.client.HTTPResponse | None = None
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream, application/json"}
        if server.key:
            headers["Authorization"] = f"Bearer {server.key}"
        try:
            connection.connect()
            with self._lock:
                self._socket = connection.sock
                if self._is_closed:
                    raise BackendError("given up")
            assert connection.sock is not None
            connection.sock.settimeout(self._timeout_s)
            connection.request(method, server.base + path, body, headers)
            response = connection.getresponse()
            if response.status != 200:
                raise BackendError(_refusal(server, response))
            yield response
        except TimeoutError:
            raise BackendError(
                f"The backend {server.place} said nothing for {self._timeout_s:g} s."
            ) from None
        except (OSError, http.client.HTTPException) as error:
            was_open = self._socket is not None
            what = "broke the connection off" if was_open else "cannot be reached"
            raise BackendError(
                f"The backend {server.place} {what} ({_reason(error)}).", lost=was_open
            ) from None
        finally:
            with self._lock:
                self._socket = None
                connection.close()
                if response is not None:  # it may hold the socket by now
                    response.close()

    def _connection(self) -> http.client.HTTPConnection:
        server, timeout_s = self._server, min(CONNECT_S, self._timeout_s)
        if server.is_tls:
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(server.host, server.port, timeout=timeout_s, context=context)
        return http.client.HTTPConnection(server.host, server.port, timeout=timeout_s)


def first_model(server: Server, wanted: str = "") -> tuple[str, int]:
    """Name and context (0: not told) of the model `wanted`, else of the first one. Raises BackendError."""
    try:
        listed = Exchange(server, LIST_S).get_json("/models")
        rows = [row for row in listed["data"] if isinstance(row, dict) and isinstance(row.get("id"), str)]
    except (KeyError, TypeError):
        rows = []
    if not rows and not wanted:
        raise BackendError(f"The backend {server.place} lists no model: set llm.backend_model.")
    row = next((row for row in rows if row["id"] == wanted), {"id": wanted} if wanted else rows[0])
    context = row.get("max_model_len")
    return row["id"], context if isinstance(context, int) and context > 0 else 0


def _refusal(server: Server, response: http.client.HTTPResponse) -> str:
    raw = response.read(MAX_BODY_BYTES).decode("utf-8", "replace")
    try:
        said = error_text(json.loads(raw))
    except ValueError:
        said = " ".join(raw.split())[:200]
    if response.status in (401, 403):
        return f"The backend {server.place} refuses the key ({said}): set AKANE_BACKEND_KEY."
    return f"The backend {server.place} answered {response.status}: {said or response.reason}."


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text or type(error).__name__
