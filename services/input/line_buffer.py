"""Bytes as they come from a pipe or a socket, cut into lines of bounded length."""

from __future__ import annotations


class LineBuffer:
    """Holds the beginning of a line until its end arrives; forgets a line over `max_bytes` as it flows by."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._begun = bytearray()
        self._too_long = False

    def feed(self, data: bytes) -> list[bytes | None]:
        """The lines that `data` completes, without their line ends; None stands for one that was too long."""
        *ended, rest = data.split(b"\n")
        lines: list[bytes | None] = []
        for part in ended:
            self._add(part)
            lines.append(self._take())
        self._add(rest)
        return lines

    def close(self) -> list[bytes | None]:
        """What stood after the last line end, if anything."""
        return [self._take()] if self._begun or self._too_long else []

    def _add(self, part: bytes) -> None:
        if len(self._begun) + len(part) > self._max_bytes:
            self._too_long = True
            self._begun.clear()
        elif not self._too_long:
            self._begun += part

    def _take(self) -> bytes | None:
        line = None if self._too_long else bytes(self._begun).rstrip(b"\r")
        self._begun.clear()
        self._too_long = False
        return line
