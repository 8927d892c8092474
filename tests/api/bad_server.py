"""An OpenAI-compatible server that misbehaves: the name of the model says how."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def piece(text: str, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return f"data: {json.dumps({'choices': [choice]})}\n\n".encode()


DONE = b"data: [DONE]\n\n"
ENDLESS = piece("on and on ") * 1000

BODIES: dict[str, bytes] = {
    "good": piece("Hello") + piece(" you", "stop") + DONE,
    "polite": piece("I am so happy") + piece(" that you came to see me today!", "stop") + DONE,
    "no-done": piece("Hello") + piece(" you", "stop"),
    "no-reason": piece("Hello") + piece(" you") + DONE,
    "crlf": (piece("Hello") + piece(" you", "stop") + DONE).replace(b"\n", b"\r\n"),
    "comments": b": hi\n\nevent: x\nid: 7\n" + piece("Hello") + b": still\n\n" + piece(" you", "stop") + DONE,
    "cut": piece("Hello"),
    "cut-in-a-line": piece("Hello") + piece(" you")[:20],
    "nothing": b"",
    "not-json": piece("Hello") + b"data: <html>\n\n",
    "not-an-object": b"data: [1]\n\n",
    "wrong-choices": b'data: {"choices": 7}\n\n',
    "wrong-content": b'data: {"choices": [{"delta": {"content": 3}}]}\n\n',
    "wrong-usage": b'data: {"choices": [], "usage": {"prompt_tokens": "many"}}\n\n',
    "error-object": piece("Hello") + b'data: {"error": {"message": "out of memory"}}\n\n',
    "long-line": b"data: " + b"x" * (3 << 20),
    "deep": b"data: " + b"[" * 200_000 + b"\n\n",
    "binary": bytes(range(256)) * 10 + b"\n\n",
}


class BadServer:
    """Listens until it is closed. `requests` are the bodies that came; `hung_up` is set when a client left."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.models: Any = {"data": [{"id": "good"}]}
        self.hung_up = threading.Event()
        self.leave = threading.Event()
        handler = type("Handler", (_Handler,), {"bad": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.leave.set()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    bad: BadServer

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        data = self.bad.models if isinstance(self.bad.models, bytes) else json.dumps(self.bad.models).encode()
        self._answer(200, "application/json", data)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.bad.requests.append(body)
        self.bad.headers.append(dict(self.headers))
        name = body["model"]
        special: dict[str, Callable[[], None]] = {
            "500": lambda: self._answer(500, "application/json", b'{"error": {"message": "it broke"}}'),
            "502": lambda: self._answer(502, "text/html", b"<h1>Bad gateway</h1>"),
            "401": lambda: self._answer(401, "application/json", b'{"error": {"message": "who are you?"}}'),
            "whole": lambda: self._answer(200, "application/json", b'{"choices": []}'),
            "silent": self._wait,
            "drips": lambda: self._drip(b": nothing new\n\n"),
            "endless": lambda: self._drip(ENDLESS),
            "stalls": lambda: (self._answer(200, "text/event-stream", piece("Hello")), self._wait()),
            "hangs-up": lambda: self.connection.close(),
        }
        if name in special:
            special[name]()
        else:
            self._answer(200, "text/event-stream", BODIES[name])

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def _wait(self) -> None:
        """Until the client hangs up."""
        self.connection.settimeout(0.02)
        while not self.bad.leave.is_set():
            try:
                if self.connection.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        self.bad.hung_up.set()

    def _drip(self, data: bytes) -> None:
        self._answer(200, "text/event-stream", b"")
        try:
            while not self.bad.leave.wait(0.005):
                self.wfile.write(data)
        except OSError:
            self.bad.hung_up.set()
