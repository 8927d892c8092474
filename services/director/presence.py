"""Whether the model and the voice are there, from their own beats and the launcher's list."""

from __future__ import annotations

from services.director.inputs import Presence
from shared.events import Health, Processes

_COMING = ("starting", "ready", "backoff", "stopping")


class Presences:
    """Fed with `sys.health`, `sys.processes` and losses; a beat of its own outranks the launcher's list."""

    def __init__(self) -> None:
        self._alive: dict[str, tuple[str, Health]] = {}
        self._listed: set[str] = set()

    def beat(self, source: str, session: str, health: Health) -> None:
        """A process said how it is."""
        self._alive[source] = (session, health)

    def list(self, processes: Processes) -> None:
        """The launcher said what it keeps alive."""
        self._listed = {process.name for process in processes.processes if process.state in _COMING}

    def lost(self, source: str, session: str) -> None:
        """A session is gone; its successor, when it was heard already, stays."""
        if self._alive.get(source, ("", None))[0] == session:
            del self._alive[source]

    def of(self, service: str) -> Presence:
        """Ready, on its way, or not to be expected."""
        if service in self._alive:
            phase = self._alive[service][1].phase
            if phase != "stopping":
                return "ready" if phase in ("ready", "degraded") else "starting"
        return "starting" if service in self._listed else "absent"
