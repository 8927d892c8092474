"""The health table: what the launcher says of each process joined with what the process says itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.events import Health, ProcessInfo

SILENT_AFTER_NS = 5_000_000_000
"""A process is shown as silent when others have beaten this much later than it did."""


@dataclass(frozen=True)
class Beat:
    """The last `sys.health` of one source; `mono` is its monotonic clock in nanoseconds."""

    session: str
    mono: int
    health: Health


@dataclass(frozen=True)
class ProcessRow:
    """One line of the table."""

    name: str
    state: str
    pid: int | None = None
    restarts: int = 0
    gaps: int = 0
    rss_mb: float = 0.0
    detail: str = ""


def table(supervised: Sequence[ProcessInfo], beats: Mapping[str, Beat]) -> list[ProcessRow]:
    """What the launcher supervises, in its order, then whoever else beats."""
    newest = max((beat.mono for beat in beats.values()), default=0)
    known = {info.name for info in supervised}
    rows = [_row(info.name, info, beats.get(info.name), newest) for info in supervised]
    return rows + [_row(name, None, beats[name], newest) for name in sorted(beats) if name not in known]


def _row(name: str, info: ProcessInfo | None, beat: Beat | None, newest: int) -> ProcessRow:
    state, pid, restarts, detail = "", None, 0, ""
    if info is not None:
        state, pid, restarts, detail = info.state, info.pid, info.restarts, info.detail
    alive = info is None or info.state in ("starting", "ready")
    if beat is None or not alive or (info and info.session and info.session != beat.session):
        return ProcessRow(name, state, pid, restarts, detail=detail)
    health = beat.health
    state = "silent" if newest - beat.mono > SILENT_AFTER_NS else health.phase
    gaps = sum(health.gaps.values())
    return ProcessRow(name, state, health.pid, restarts, gaps, health.rss_mb, health.detail or detail)
