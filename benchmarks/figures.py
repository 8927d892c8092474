"""What a benchmark returns, and how it is printed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One measured number. `peer` names what it is compared with, measured in the same run."""

    name: str
    """Stable, dotted: `bus.latency_p50`."""
    value: float
    unit: str
    peer: str | None = None
    peer_value: float | None = None
    target: str = ""
    """What the number should be, in words: `at most 1.5 x raw`."""

    @property
    def ratio(self) -> float | None:
        """Value over the peer's value."""
        return self.value / self.peer_value if self.peer_value else None

    def line(self) -> str:
        """One line for people."""
        text = f"{self.name:<36} {_number(self.value):>10} {self.unit:<10}"
        if self.peer is not None and self.peer_value is not None:
            text += f" | {self.peer} {_number(self.peer_value)}"
            text += "" if self.ratio is None else f" | ratio {self.ratio:.2f}"
        return (text + (f" | target {self.target}" if self.target else "")).rstrip()

    def record(self) -> dict[str, Any]:
        """The same for programs."""
        return {**asdict(self), "ratio": self.ratio}


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of `values` that at least `share` (0 to 1) of them do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 1 else f"{value:.1f}"
