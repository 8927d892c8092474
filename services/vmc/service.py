"""VMC on the bus: her face as UDP packets, so many a second, whether or not anybody listens."""

from __future__ import annotations

import socket
from typing import ClassVar

from services.vmc.expression import NAMES, glide, goals, with_blink
from services.vmc.frame import NoPackage, lines, packet, require_package
from services.vmc.idle import blink, sway
from shared.bus import Bus, Message, SourceLost
from shared.clock import Clock
from shared.config import Settings
from shared.events import Mouth
from shared.face import Face, after, silenced
from shared.service import Finding, Service, StartError

STALE_S = 0.5
"""A voice that says nothing of the mouth for so long has stopped, whatever it said before."""
REFUSED_S = 2.0
"""For so long after a packet came back nobody is thought to listen."""


class BadAddress(Exception):
    """One sentence: why the address cannot be sent to."""


class VmcService(Service):
    """Moves a 3D avatar in VSeeFace, Warudo and others by the Virtual Motion Capture protocol."""

    name: ClassVar[str] = "vmc"
    topics: ClassVar[tuple[str, ...]] = (
        "avatar.mouth", "avatar.mood", "turn.state", "speech.timeline", "speech.progress", "speech.finished",
    )  # fmt: skip

    def __init__(self, settings: Settings, bus: Bus, clock: Clock) -> None:
        super().__init__(settings, bus, clock)
        self._own = settings.vmc
        self._face = Face()
        self._weights: dict[str, float] = {}
        self._began_at = self._sent_at = self._next_at = clock()
        self._mouth_at = clock()
        self._refused_at: float | None = None

    def start(self) -> None:
        """Open the socket. StartError without the package or for a bad address."""
        try:
            require_package()
            self._socket = open_socket(self._own.address)
        except (NoPackage, BadAddress) as error:
            raise StartError(str(error)) from None

    def on_event(self, message: Message) -> None:
        """Mood and mouth of the present epoch."""
        by_hand = message.cause is None  # the director's own moods name the line they answer
        self._face = after(self._face, message.payload, by_hand=by_hand)
        if isinstance(message.payload, Mouth):
            self._mouth_at = self.clock()

    def on_lost(self, lost: SourceLost) -> None:
        """A dead voice leaves no open mouth."""
        if lost.source == "tts":
            self._face = silenced(self._face)

    def tick(self) -> float:
        """Send the frame that is due."""
        now = self.clock()
        if now >= self._next_at:
            period_s = 1.0 / self._own.rate_hz
            self._next_at = max(
                self._next_at + period_s, now
            )  # after a stop frames are left out, not hurried
            self._send(self._frame(now), now)
        return max(0.0, self._next_at - now)

    def stop(self) -> None:
        """Close the socket; the receiver falls back to its own tracking."""
        self._socket.close()

    @classmethod
    def check(cls, settings: Settings) -> list[Finding]:
        """Is the package there and the address one? UDP does not tell whether anybody listens."""
        try:
            require_package()
            open_socket(settings.vmc.address).close()
        except NoPackage as error:
            return [Finding("vmc", False, str(error), "pip install python-osc")]
        except BadAddress as error:
            return [Finding("vmc", False, str(error), "set vmc.address in configs/stack.toml")]
        return [Finding("vmc", True, f"sends to {settings.vmc.address}, {settings.vmc.rate_hz} a second")]

    def _frame(self, now: float) -> bytes:
        if now - self._mouth_at > STALE_S:
            self._face = silenced(self._face)
        seconds = now - self._began_at
        self._weights = glide(self._weights, goals(self._face), now - self._sent_at)
        self._sent_at = now
        head = sway(seconds, self._own.sway_deg) if self._own.sway_deg else None
        return packet(lines(with_blink(self._weights, blink(seconds)), NAMES[self._own.names], head, seconds))

    def _send(self, data: bytes, now: float) -> None:
        try:
            self._socket.send(data)
        except BlockingIOError:
            pass  # the network is busy: the next frame is newer anyway
        except OSError:
            self._refused_at = now  # an earlier packet came back, or there is no way to that machine
        if self._refused_at is not None and now - self._refused_at < REFUSED_S:
            self.degraded(f"Nobody listens at {self._own.address}: start the VMC receiver there.")
        else:
            self.ready(f"sending to {self._own.address}")


def open_socket(address: str) -> socket.socket:
    """A socket that never blocks and hears of packets that come back. Raises BadAddress."""
    host, _, port = address.rpartition(":")
    if not 0 < int(port) < 65_536:
        raise BadAddress(f"vmc.address is {address!r}: a port is a number from 1 to 65535.")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)
        family, kind, protocol, _, place = found[0]
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        made.connect(place)
    except (OSError, UnicodeError) as error:
        raise BadAddress(f"vmc.address is {address!r}, where nothing can be sent: {error}.") from None
    return made
