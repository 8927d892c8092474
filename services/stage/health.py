"""Services, latencies and pages as one JSON object, for the control page and for programs."""

from __future__ import annotations

from typing import Any

from services.stage.hub import Hub
from shared.events import Processes, TurnState


def health_of(hub: Hub) -> dict[str, Any]:
    """As of now; a service that left no word is not listed."""
    services = {
        message.source: {
            "phase": message.payload.phase,
            "detail": message.payload.detail,
            "rss_mb": message.payload.rss_mb,
            "loop_ms": message.payload.loop_ms,
            "gaps": sum(message.payload.gaps.values()),
        }
        for message in hub.latest("sys.health")
    }
    for message in hub.latest("sys.processes"):
        assert isinstance(message.payload, Processes)
        for process in message.payload.processes:
            row = services.setdefault(process.name, {"phase": process.state, "detail": process.detail})
            row.update(state=process.state, restarts=process.restarts)
    turn: dict[str, Any] = {}
    for message in hub.latest("turn.state"):
        state = message.payload
        assert isinstance(state, TurnState)
        turn = {
            "phase": state.phase,
            "queued": state.queued,
            "timings_ms": state.timings_ms,
            "tokens_per_s": state.tokens_per_s,
        }
    return {"services": services, "turn": turn, "pages": len(hub), "lost": hub.lost_total}
