"""The shortest way to read the bus, for overlays and tools of a few lines."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator

from shared.bus import Bus, BusError, Message
from shared.config import ConfigError


def follow(name: str, *topics: str) -> Iterator[Message]:
    """Messages of `topics` as they come, until Ctrl-C. Without a bus: one sentence and exit status 2.

    For the main thread of a program. Ctrl-C ends the iteration between two messages; a second one kills.
    """
    asked_to_leave = False

    def leave(*_: object) -> None:
        nonlocal asked_to_leave
        asked_to_leave = True
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        bus.wake()

    try:
        with Bus.open(name, topics) as bus:
            signal.signal(signal.SIGINT, leave)
            while not asked_to_leave:
                yield from (item for item in bus.poll(1.0) if isinstance(item, Message))
    except KeyboardInterrupt:
        return
    except (BusError, ConfigError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        raise SystemExit(2) from None
