"""OBS on the bus: the main thread keeps the picture, another one the connection."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from services.obs.link import ObsLink, Status, examine
from services.obs.picture import Picture, Values
from shared.bus import Bus, Message, SourceLost
from shared.clock import Clock
from shared.config import Settings
from shared.events import Muted
from shared.service import Finding, Service

IDLE_S = 1.0
NOTHING_NAMED = "Nothing of OBS is named: set text_speech, scenes or items under [obs] in configs/stack.toml."


class ObsService(Service):
    """Fills text sources of OBS, switches its scenes and shows its sources as the show goes on."""

    name: ClassVar[str] = "obs"
    topics: ClassVar[tuple[str, ...]] = ("turn.state", "speech.progress", "chat.retracted", "show.muted")

    def __init__(self, settings: Settings, bus: Bus, clock: Clock) -> None:
        super().__init__(settings, bus, clock)
        self._picture = Picture(settings.obs)
        self._link: ObsLink | None = None
        self._has_begun = False
        self._sent: Values = {}
        self._status: Status | None = None

    def start(self) -> None:
        """Without a name in the settings there is nothing to connect for."""
        picture = self._picture
        if picture.values or picture.scenes:
            self.detail = f"connecting to OBS at {self.settings.obs.address}"
            self._link = ObsLink(self.settings.obs, picture.values, picture.scenes, self._on_status)
        else:
            self._status = Status(False, NOTHING_NAMED)
        self._tell()

    def on_event(self, message: Message) -> None:
        """Something of the show changed."""
        if isinstance(message.payload, Muted):
            self._picture.mute(message.payload.muted)
        else:
            self._picture.heard(message.payload, self.clock())

    def on_lost(self, lost: SourceLost) -> None:
        """Nobody is answered any more; a panic lasts until a director says that it is over."""
        if lost.source == "director":
            self._picture.clear()

    def tick(self) -> float:
        """Connect once what was retained is known; then hand the picture over whenever it has changed."""
        left_s = self._picture.tick(self.clock())
        if self._link is not None:
            if not self._has_begun:
                self._has_begun = True
                self._picture.begin()
                self._link.start()
            elif not self._link.is_alive:
                raise RuntimeError("the thread to OBS has ended")  # the launcher starts this process again
            if self._picture.values != self._sent:
                self._sent = self._picture.values
                self._link.want(self._sent)
        self._tell()
        return IDLE_S if left_s is None else min(IDLE_S, left_s)

    def stop(self) -> None:
        """Close the connection; what stands in OBS is replaced at the next start."""
        if self._link is not None:
            self._link.stop()

    @classmethod
    def check(cls, settings: Settings) -> list[Finding]:
        """Does OBS take our password, and has it got every source and scene that is named?"""
        own = settings.obs
        picture = Picture(own)
        fix = "see docs/bodies.md"
        if not (picture.values or picture.scenes):
            return [Finding("obs", False, NOTHING_NAMED, fix)]
        status = asyncio.run(examine(own, picture.values, picture.scenes))
        return [Finding("obs", status.ok, status.detail, "" if status.ok else fix)]

    def _on_status(self, status: Status) -> None:
        self._status = status  # one assignment, from the link's thread
        self.bus.wake()

    def _tell(self) -> None:
        status = self._status
        if status is not None and status.ok:
            self.ready(status.detail)
        elif status is not None:
            self.degraded(status.detail)
