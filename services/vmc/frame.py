"""One frame of the Virtual Motion Capture protocol (protocol.vmc.info): its messages, and the packet."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence

from services.vmc.idle import Quaternion

PACKAGE = "python-osc"
_MODULE = "pythonosc"
Value = str | int | float
Line = tuple[str, tuple[Value, ...]]
"""OSC address and arguments."""


class NoPackage(Exception):
    """One sentence: the library is not installed."""


def lines(
    weights: Mapping[str, float], names: Mapping[str, str], head: Quaternion | None, seconds: float
) -> list[Line]:
    """`weights` by our words, `names` of the receiver for them; `seconds` since the start."""
    made: list[Line] = [
        ("/VMC/Ext/Blend/Val", (names[word], float(weight))) for word, weight in weights.items()
    ]
    made.append(("/VMC/Ext/Blend/Apply", ()))
    if head is not None:
        made.append(("/VMC/Ext/Bone/Pos", ("Head", 0.0, 0.0, 0.0, *head)))
    return [*made, ("/VMC/Ext/OK", (1,)), ("/VMC/Ext/T", (float(seconds),))]


def require_package() -> None:
    """Raises NoPackage."""
    if importlib.util.find_spec(_MODULE) is None:
        raise NoPackage(f"The service vmc needs the package {PACKAGE}: run `pip install {PACKAGE}`.")


def packet(frame: Sequence[Line]) -> bytes:
    """All lines as one OSC bundle, to be taken at once."""
    from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
    from pythonosc.osc_message_builder import OscMessageBuilder

    bundle = OscBundleBuilder(IMMEDIATELY)
    for address, values in frame:
        message = OscMessageBuilder(address)
        for value in values:
            message.add_arg(value)
        bundle.add_content(message.build())
    return bundle.build().dgram
