"""The shortest way to read the bus, for overlays and tools of a few lines."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from shared.bus import Bus, BusError, Message
from shared.config import ConfigError


def follow(name: str, *topics: str) -> Iterator[Message]:
    """Messages of `topics` as they come, until Ctrl-C. Without a bus: one sentence and exit status 2."""
    try:
        with Bus.open(name, topics) as bus:
            yield from bus.events()
    except KeyboardInterrupt:
        return
    except (BusError, ConfigError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        raise SystemExit(2) from None
