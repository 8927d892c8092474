"""A hub for the tests, on this machine: the protocol of huggingface.co as far as it is spoken, misbehaving on demand."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
PAGE = 2
"""Files on a page of a tree; the real one has 1,000."""
LARGE = 4096
"""Files from this size on are kept as the hub keeps large ones: behind a redirect, known by their sha256."""


class Hub:
    """`repositories` maps names to files; what goes wrong is set from outside."""

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.refuse: dict[str, tuple[int, str]] = {}
        """Repository: status and X-Error-Code of its files."""
        self.cut_after: list[int] = []
        """Bytes after which the next transfers of large files end early, one number each."""
        self.broken: list[int] = []
        """Statuses of the next answers, whatever is asked."""
        self.altered: dict[str, bytes] = {}
        """What is sent in place of a file's content."""
        self.ranges = True
        self.extra: list[object] = []
        """More siblings in every listing."""
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.answer: bytes | None = None
        """Sent instead of every listing."""
        self.elsewhere = ""
        """Address of the store that large files are redirected to."""

    def asked(self, part: str) -> list[dict[str, str]]:
        """Headers of the requests whose path contains `part`."""
        return [headers for path, headers in self.seen if part in path]


def listing(hub: Hub, repository: str) -> bytes:
    siblings: list[object] = []
    for name, data in hub.repositories[repository].items():
        sibling: dict[str, object] = {"rfilename": name, "size": len(data)}
        sibling["blobId"] = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        if len(data) >= LARGE:
            sha256 = hashlib.sha256(data).hexdigest()
            sibling["lfs"] = {"sha256": sha256, "size": len(data), "pointerSize": 135}
        siblings.append(sibling)
    return json.dumps({"id": repository, "sha": COMMIT, "siblings": [*siblings, *hub.extra]}).encode()


def tree_entry(name: str, data: bytes) -> dict[str, object]:
    blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    entry: dict[str, object] = {"type": "file", "path": name, "size": len(data), "oid": blob}
    if len(data) >= LARGE:
        entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 135}
    return entry


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        hub, path = self.hub, unquote(urlsplit(self.path).path)
        hub.seen.append((path, {key.lower(): value for key, value in self.headers.items()}))
        if hub.broken:
            self.reply(hub.broken.pop(0), b"busy")
        elif path.startswith("/api/models/"):
            self.list_files(path)
        elif path.startswith("/api/datasets/"):
            self.list_tree(path)
        elif path.startswith("/store/"):
            self.send_file(*path.removeprefix("/store/").split("//"))
        else:
            self.resolve(path)

    def resolve(self, path: str) -> None:
        hub = self.hub
        repository, _, rest = path[1:].removeprefix("datasets/").partition("/resolve/")
        commit, _, name = rest.partition("/")
        files = hub.repositories.get(repository, {})
        if repository in hub.refuse:
            status, code = hub.refuse[repository]
            self.reply(status, b"no", {"X-Error-Code": code})
        elif commit not in ("main", COMMIT) or name not in files:
            self.reply(404, b"", {"X-Error-Code": "EntryNotFound"})
        elif len(files[name]) < LARGE:
            self.send_file(repository, name)
        else:
            sha256 = hashlib.sha256(files[name]).hexdigest()
            to = f"{hub.elsewhere}/store/{repository}//{name}"
            self.reply(302, b"", {"Location": to, "X-Linked-Etag": f'"{sha256}"', "X-Repo-Commit": COMMIT})

    def list_files(self, path: str) -> None:
        repository, _, revision = path.removeprefix("/api/models/").partition("/revision/")
        if repository not in self.hub.repositories:
            self.reply(401, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif revision not in ("main", COMMIT, "refs/pr/1"):
            self.reply(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        else:
            self.reply(200, self.hub.answer or listing(self.hub, repository))

    def list_tree(self, path: str) -> None:
        """The files of one folder, PAGE of them at once and the address of the next behind a Link."""
        repository, _, rest = path.removeprefix("/api/datasets/").partition("/tree/")
        revision, _, folder = rest.partition("/")
        files = self.hub.repositories.get(repository, {})
        inside = [name for name in sorted(files) if name.rpartition("/")[0] == folder]
        if repository not in self.hub.repositories:
            self.reply(401, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif revision not in ("main", COMMIT):
            self.reply(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        elif not inside:
            self.reply(404, b"{}", {"X-Error-Code": "EntryNotFound"})
        else:
            first = int(parse_qs(urlsplit(self.path).query).get("cursor", ["0"])[0])
            host = f"http://{self.headers['Host']}"
            more = f'<{host}{path}?cursor={first + PAGE}>; rel="next"'
            entries = [tree_entry(name, files[name]) for name in inside[first : first + PAGE]]
            link = {"Link": more} if first + PAGE < len(inside) else {}
            self.reply(200, json.dumps([*entries, *self.hub.extra]).encode(), link)

    def send_file(self, repository: str, name: str) -> None:
        hub = self.hub
        data = hub.altered.get(name, hub.repositories[repository][name])
        first, last = 0, len(data) - 1
        asked = self.headers.get("Range") if hub.ranges else None
        if asked:
            begins, _, ends = asked.removeprefix("bytes=").partition("-")
            first, last = int(begins), min(last, int(ends or last))
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        self.send_header("Content-Length", str(last + 1 - first))
        self.end_headers()
        cut = hub.cut_after.pop(0) if hub.cut_after and len(data) >= LARGE else None
        self.wfile.write(data[first : last + 1 if cut is None else min(first + cut, last + 1)])
        if cut is not None:
            self.close_connection = True

    def reply(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serving(hub: Hub) -> Iterator[str]:
    """The address where `hub` answers."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": hub}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
