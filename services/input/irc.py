"""The grammar of IRC lines with IRCv3 message tags (RFC 1459, https://ircv3.net/specs/extensions/message-tags)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

MAX_LINE_BYTES = 16_384
"""Twice what the specification allows for tags and text together."""
_ESCAPED = {":": ";", "s": " ", "r": "\r", "n": "\n"}


@dataclass(frozen=True)
class IrcMessage:
    """One line from the server."""

    command: str
    """Upper case, or three digits."""
    params: tuple[str, ...] = ()
    prefix: str = ""
    """Who sent it: `nick!user@host`, or the server's name."""
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def nick(self) -> str:
        """The part of the prefix before the `!`."""
        return self.prefix.partition("!")[0]

    @property
    def text(self) -> str:
        """The last parameter: what was said."""
        return self.params[-1] if self.params else ""


def parse_line(line: bytes) -> IrcMessage | None:
    """The message in a line without its line end; None when it is empty or no message.

    Bytes that are not UTF-8 become replacement characters.
    """
    rest = line.decode("utf-8", "replace").strip("\r ")
    tags: dict[str, str] = {}
    prefix = ""
    if rest.startswith("@"):
        raw_tags, _, rest = rest[1:].partition(" ")
        rest = rest.lstrip(" ")
        for tag in raw_tags.split(";"):
            key, _, value = tag.partition("=")
            if key:
                tags[key] = unescape_tag(value)
    if rest.startswith(":"):
        prefix, _, rest = rest[1:].partition(" ")
        rest = rest.lstrip(" ")
    head, colon, trailing = rest.partition(" :")
    words = head.split()
    if not words:
        return None
    params = (*words[1:], trailing) if colon else tuple(words[1:])
    return IrcMessage(words[0].upper(), params, prefix, tags)


def unescape_tag(value: str) -> str:
    r"""A tag's value as meant: `\:` `\s` `\r` `\n` `\\` undone, a lone backslash at the end dropped."""
    return re.sub(r"\\(.?)", lambda match: _ESCAPED.get(match[1], match[1]), value, flags=re.DOTALL)


def encode_line(command: str, *params: str) -> bytes:
    """A line to send; the last parameter may hold spaces. Line ends inside are taken out."""
    words = [command, *params[:-1]] + ([f":{params[-1]}"] if params else [])
    return re.sub(r"[\r\n\0]", "", " ".join(words)).encode() + b"\r\n"
