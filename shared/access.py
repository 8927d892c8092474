"""What HTTP headers say about who asks: the key, and the name by which this machine was called."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from urllib.parse import urlsplit

LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


def hostname(url: str) -> str:
    """The host of `http://host:port` or `//host:port`; empty when there is none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def names_this_machine(host: str, own: str) -> bool:
    """A `Host` header of loopback, or of `own`. A page could make another name point to this machine."""
    name = hostname(f"//{host}")
    return name in (*LOCAL_HOSTS, own) or name.endswith(".localhost")


def bearer(authorization: str) -> str:
    """The key of `Authorization: Bearer KEY`; empty when there is none."""
    scheme, _, given = authorization.partition(" ")
    return given.strip() if scheme.lower() == "bearer" else ""


def is_key(keys: Sequence[str], given: str) -> bool:
    """One of `keys`; takes the same time for every wrong one."""
    return any(hmac.compare_digest(given.encode(), key.encode()) for key in keys)
