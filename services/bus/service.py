"""The bus as a service: the broker beside a client of itself that beats like any other process."""

from __future__ import annotations

from shared.config import Settings
from shared.endpoints import AddressError, busy_sentence, check_addresses, port_holder, port_of
from shared.service import Finding, Service


class BusService(Service):
    """Carries every event and command of the show."""

    name = "bus"

    def start(self) -> None:
        """The broker runs already; say where."""
        self.detail = self.settings.bus.publish

    @classmethod
    def check(cls, settings: Settings) -> list[Finding]:
        """Addresses: well-formed, safe and free."""
        try:
            check_addresses(settings.bus)
        except AddressError as error:
            return [Finding("bus addresses", False, str(error), "change [bus] in configs/stack.toml")]
        findings = []
        for key in ("publish", "subscribe", "commands"):
            address = getattr(settings.bus, key)
            port = port_of(address)
            holder = port_holder(port) if port else None
            if holder:
                fix = f"stop {holder} or choose another port in configs/stack.toml, [bus]"
                findings.append(Finding(f"bus {key}", False, busy_sentence(address), fix))
            else:
                findings.append(Finding(f"bus {key}", True, f"{address} is free"))
        return findings
