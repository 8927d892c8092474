"""Many pages at once: opens sockets of a stage, reads for a while and prints how old each event was."""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import re
import time
from urllib.parse import urlsplit

MONO = re.compile(rb'"mono_ms":([0-9.e+]+)')


class PageSocket(asyncio.Protocol):
    """Reads frames as plain bytes: five hundred pages must cost less than the stage that serves them."""

    def __init__(self, request: bytes, ages_ms: list[float]) -> None:
        self._request = request
        self._ages_ms = ages_ms
        self._seen = b""
        self.is_live = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        assert isinstance(transport, asyncio.Transport)
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """The state at the start does not count, what comes later does."""
        if not self.is_live.done():
            self._seen += data
            if b'"live"' in self._seen:
                self.is_live.set_result(None)
            return
        now_ms = time.monotonic_ns() / 1e6
        for found in MONO.finditer(data):
            self._ages_ms.append(now_ms - float(found[1]))


async def read_pages(url: str, query: str, pages: int, seconds: float) -> list[float]:
    """Milliseconds from publishing to arrival of each event at each page."""
    place = urlsplit(url)
    key = base64.b64encode(os.urandom(16)).decode()
    request = (
        f"GET /bus?{query} HTTP/1.1\r\nHost: {place.netloc}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    ).encode()
    ages_ms: list[float] = []
    loop = asyncio.get_running_loop()
    for _ in range(pages):
        page = PageSocket(request, ages_ms)
        await loop.create_connection(lambda page=page: page, place.hostname or "", place.port or 80)  # type: ignore[misc]
        await asyncio.wait_for(page.is_live, 20)
    print("live", flush=True)
    await asyncio.sleep(seconds)
    return ages_ms


def main() -> None:
    """`python -m benchmarks.stage_pages URL QUERY PAGES SECONDS`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("query")
    parser.add_argument("pages", type=int)
    parser.add_argument("seconds", type=float)
    given = parser.parse_args()
    print(json.dumps(asyncio.run(read_pages(given.url, given.query, given.pages, given.seconds))))


if __name__ == "__main__":
    main()
