"""Speaks the Hugging Face hub's HTTP protocol: lists a repository, downloads a file, resumes.

`HF_ENDPOINT` names another hub (a mirror), `HF_TOKEN` is shown to it and to nobody else.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import requests

from shared.model.errors import ModelError
from shared.model.hub_listing import HubFile, Listing, read_listing, read_tree
from shared.model.hub_name import HubName
from shared.model.integrity import CHUNK_BYTES

DEFAULT_ENDPOINT = "https://huggingface.co"
TIMEOUT_S = (15.0, 60.0)
"""To connect, and of silence in the middle."""
PATIENCE, FIRST_PATIENCE = 5, 2
"""Attempts in a row that may bring nothing, once the hub has been heard and before."""
LONGEST_WAIT_S = 20.0
MAX_LISTING_BYTES = 32 << 20
MAX_PAGES = 100
"""Of a list of files; the hub puts 1,000 on each."""
TRANSFER_BYTES = 1 << 16
"""Written at once; a piece that is cut in the middle is lost, so that it must be small."""
_OTHER_PART = "the server sent another part of the file than was asked for"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


Answer = TypeVar("Answer")


class NoRanges(Exception):
    """This hub sends whole files only, or does not say of which content a part is."""


class _Passing(Exception):
    """A failure that may be over soon."""


class HubClient:
    """One hub; `wait` sleeps between attempts."""

    def __init__(self, wait: Callable[[float], None] = time.sleep) -> None:
        self.endpoint = (os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")
        host = urlsplit(self.endpoint)
        if host.scheme not in ("https", "http") or not host.hostname:
            raise ModelError(f"HF_ENDPOINT is {self.endpoint[:80]!r}: it must be an http(s) address.")
        self._wait = wait
        self._heard = False
        self._session = requests.Session()
        self._session.headers["User-Agent"] = "akane"
        # Sizes and ranges count the bytes of the file, not of a compressed form of it.
        self._session.headers["Accept-Encoding"] = "identity"
        token = os.environ.get("HF_TOKEN", "").strip()
        self._may_show_token = host.scheme == "https" or host.hostname in _LOOPBACK
        if token and self._may_show_token:
            if not re.fullmatch(r"[!-~]+", token):
                raise ModelError("HF_TOKEN is not a token: copy it again from the hub's settings.")
            self._session.headers["Authorization"] = f"Bearer {token}"

    def listing(self, name: HubName) -> Listing:
        """The files of a repository at the newest commit of a revision. Raises ModelError."""
        revision = quote(name.revision, safe="")
        url = f"{self.endpoint}/api/{name.kind}s/{name.repository}/revision/{revision}?blobs=true"
        return self._asked(url, name, read_listing)[0]

    def files_in(self, name: HubName) -> list[HubFile]:
        """The files in the folder `wanted`, sorted; no others are listed. Raises ModelError."""
        revision, folder = quote(name.revision, safe=""), quote(name.wanted)
        url = f"{self.endpoint}/api/{name.kind}s/{name.repository}/tree/{revision}/{folder}"
        files: list[HubFile] = []
        for _ in range(MAX_PAGES):
            found, following = self._asked(url, name, read_tree)
            files += found
            # Only the same address with another cursor: a token is shown to nobody else.
            if not following.startswith(f"{url.partition('?')[0]}?"):
                break
            url = following
        return sorted(files, key=lambda file: file.path)

    def _asked(self, url: str, name: HubName, read: Callable[[Any], Answer]) -> tuple[Answer, str]:
        """What `read` makes of a JSON answer, and the address of its next page. Raises ModelError."""
        following = ""

        def ask() -> bytes:
            nonlocal following
            with self._answer(url, name, {}) as response:
                following = response.links.get("next", {}).get("url", "")
                body = b""
                for chunk in response.iter_content(TRANSFER_BYTES):
                    body += chunk
                    if len(body) > MAX_LISTING_BYTES:
                        raise ModelError(
                            f"{name} has a list of files that does not end: take another {name.kind}."
                        )
                return body

        try:
            return read(json.loads(self._patiently(name, ask, lambda: 0))), following
        except (ValueError, RecursionError) as error:
            raise ModelError(
                f"{self._host} did not answer as a hub does ({str(error)[:80]}): "
                "check HF_ENDPOINT, or try later."
            ) from None

    def download(
        self, name: HubName, commit: str, file: HubFile, target: Path, report: Callable[[str, int], None]
    ) -> str:
        """Bring one file to `target`, which appears only when it is whole; returns its sha256.

        What an earlier attempt left in `target`.part is gone on with. `report` gets what is being done and
        how many of the file's bytes that is through. Raises ModelError, and OSError when the disk refuses.
        """
        part = target.with_name(target.name + ".part")
        url = self._url(name, commit, file)
        target.parent.mkdir(parents=True, exist_ok=True)
        if part_size(target) > file.size_bytes:
            part.unlink()

        def transfer() -> None:
            if part_size(target) < file.size_bytes or not part.exists():
                self._transfer(url, name, file, part, report)

        self._patiently(name, transfer, lambda: part_size(target))
        sha256 = _checked(name, file, part, report)
        os.replace(part, target)
        return sha256

    def span(self, name: HubName, commit: str, file: HubFile, start: int, stop: int) -> bytes:
        """The bytes `start` up to `stop` of a file in large-file storage.

        The hub's first answer names the content that the second is a part of: another sha256 than the listed
        one is refused. Raises ModelError, and NoRanges when the file can be had as a whole only.
        """
        url = self._url(name, commit, file)
        body = bytearray()

        def transfer() -> None:
            first = start + len(body)
            with self._answer(url, name, {"Range": f"bytes={first}-{stop - 1}"}) as response:
                linked = (response.history or [response])[0].headers.get("X-Linked-Etag", "")
                if response.status_code != 206 or not linked:
                    raise NoRanges
                if linked.strip('"') != file.sha256:
                    raise ModelError(f"{file.path} of {name.repository} has changed just now: start again.")
                if _starts(response) != first:
                    raise _Passing(_OTHER_PART)
                for chunk in response.iter_content(TRANSFER_BYTES):
                    body.extend(chunk[: stop - start - len(body)])
            if len(body) < stop - start:
                raise _Passing("the connection was cut")

        self._patiently(name, transfer, lambda: len(body))
        return bytes(body)

    def _url(self, name: HubName, commit: str, file: HubFile) -> str:
        return f"{self.endpoint}/{name.page}/resolve/{quote(commit, safe='')}/{quote(file.path)}"

    @property
    def _host(self) -> str:
        return urlsplit(self.endpoint).netloc.rpartition("@")[2]

    def _transfer(
        self, url: str, name: HubName, file: HubFile, part: Path, report: Callable[[str, int], None]
    ) -> None:
        have = part.stat().st_size if part.exists() else 0
        headers = {"Range": f"bytes={have}-"} if have else {}
        with self._answer(url, name, headers) as response:
            if have and (response.status_code != 206 or _starts(response) != have):
                have = 0  # the server sends all of it, or another part than was asked for
                if response.status_code == 206:
                    part.unlink()
                    raise _Passing(_OTHER_PART)
            with part.open("ab" if have else "wb") as output:
                report("downloading", have)
                for chunk in response.iter_content(TRANSFER_BYTES):
                    have += len(chunk)
                    if have > file.size_bytes:
                        break
                    output.write(chunk)
                    report("downloading", have)
                output.flush()
                os.fsync(output.fileno())
        if have > file.size_bytes:
            part.unlink()
            raise ModelError(f"{name} sends more of {file.path} than it announces: take another {name.kind}.")
        if have < file.size_bytes:
            raise _Passing("the connection was cut")

    @contextlib.contextmanager
    def _answer(self, url: str, name: HubName, headers: dict[str, str]) -> Iterator[requests.Response]:
        try:
            with self._session.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as response:
                self._heard = True
                if response.status_code == 416 and headers:
                    raise _Passing("the server cannot go on in the middle")
                if response.status_code in (408, 425, 429) or response.status_code >= 500:
                    raise _Passing(f"it answers {response.status_code}")
                if response.status_code not in (200, 206):
                    raise ModelError(self._refusal(response, name))
                yield response
        except requests.RequestException as error:
            raise _Passing(_reason(error)) from None

    def _patiently(
        self, name: HubName, attempt: Callable[[], bytes | None], done: Callable[[], int]
    ) -> bytes:
        """Try until it works, or until nothing came for several times in a row."""
        idle, before = 0, done()
        while True:
            try:
                return attempt() or b""
            except _Passing as failure:
                idle = 0 if done() > before else idle + 1
                before = done()
                if idle >= (PATIENCE if self._heard else FIRST_PATIENCE):
                    goes_on = " What is here already is kept." if before else ""
                    raise ModelError(
                        f"{name} could not be downloaded from {self._host} ({failure}): connect to the "
                        f"network and start again, or name a {name.kind} that is on this machine.{goes_on}"
                    ) from None
                self._wait(min(LONGEST_WAIT_S, 0.5 * 2**idle))

    def _refusal(self, response: requests.Response, name: HubName) -> str:
        code = response.headers.get("X-Error-Code", "")
        page = f"{DEFAULT_ENDPOINT}/{name.page}"
        token = "Authorization" in self._session.headers
        if code == "GatedRepo":
            then = "with the account of HF_TOKEN" if token else "and set HF_TOKEN to a token of yours"
            return f"{name.repository} is gated: accept its licence at {page} {then}."
        if code == "RevisionNotFound":
            return f"{name.repository} has no revision {name.revision!r}: check the name."
        if code == "EntryNotFound":
            return f"{name} is not all there on {self._host}: take another {name.kind}."
        if response.status_code in (401, 403, 404):
            hint = "the token in HF_TOKEN may not read it" if token else "it is private and needs HF_TOKEN"
            if not self._may_show_token:
                hint = "it is private: HF_TOKEN is shown over https only"
            return f"There is no {name.kind} {name.repository} on {self._host}, or {hint}: check the name."
        return f"{self._host} answers {response.status_code} for {name}: try later, or check HF_ENDPOINT."


def part_size(target: Path) -> int:
    """Bytes of `target` that an unfinished download left."""
    part = target.with_name(target.name + ".part")
    return part.stat().st_size if part.exists() else 0


def _starts(response: requests.Response) -> int | None:
    """The first byte of a partial answer."""
    found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(found[1]) if found else None


def _checked(name: HubName, file: HubFile, part: Path, report: Callable[[str, int], None]) -> str:
    """The sha256 of a finished download; a wrong one is removed and a ModelError raised."""
    sha256 = hashlib.sha256()
    blob = hashlib.sha1(b"blob %d\0" % file.size_bytes, usedforsecurity=False)
    done = 0
    with part.open("rb") as source:
        while chunk := source.read(CHUNK_BYTES):
            sha256.update(chunk)
            if file.blob:
                blob.update(chunk)
            done += len(chunk)
            report("checking", done)
    right = blob.hexdigest() == file.blob if file.blob else sha256.hexdigest() == file.sha256
    if done != file.size_bytes or not right:
        part.unlink()
        found = blob.hexdigest() if file.blob else sha256.hexdigest()
        raise ModelError(
            f"What came of {name} as {file.path} is not what the hub announces ({found[:12]}… instead of "
            f"{(file.blob or file.sha256)[:12]}…) and was removed: start again."
        )
    return sha256.hexdigest()


def _reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate cannot be trusted"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy does not answer"
    if isinstance(error, requests.Timeout):
        return "it did not answer in time"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection was cut"
    if isinstance(error, requests.ConnectionError):
        return "it cannot be reached"
    return type(error).__name__
