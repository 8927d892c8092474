"""The sound devices of this machine, through miniaudio: which there are, and one of them opened."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

from services.tts.audio import SAMPLE_RATE_HZ

PERIODS = 3
"""A device buffer is this many periods; the device asks for one whenever one has been played."""
LISTED = 12
"""Names in one sentence; ALSA invents dozens."""


class DeviceError(Exception):
    """One sentence without its full stop: why there is no sound."""


class Output(NamedTuple):
    """A device that can play. `context` belongs to miniaudio and must live until the device is open."""

    name: str
    backend: Any
    id: Any
    context: Any


def open_device(period_ms: int, want: str) -> tuple[Any, str]:
    """A playback device, mono at `SAMPLE_RATE_HZ`, and the name to show. Raises DeviceError.

    `want` is `auto` (the system's output), `null` (nowhere, at the right speed) or a part of a device's name.
    """
    import miniaudio

    if want == "null":
        return _open(period_ms, [miniaudio.Backend.NULL], None), "none (null device)"
    if want == "auto":
        device = _open(period_ms, _backends(), None)
        return device, f"default output through {device.backend}"
    output = choose(want, outputs())
    return _open(period_ms, [output.backend], output.id), output.name


def outputs() -> list[Output]:
    """Every device that plays, those of the system's preferred backend first; empty when there is none."""
    import miniaudio

    found: list[Output] = []
    for backend in _backends():
        with contextlib.suppress(miniaudio.MiniaudioError), _quiet_stderr():
            context = miniaudio.Devices([backend])
            found += [Output(each["name"], backend, each["id"], context) for each in context.get_playbacks()]
    return found


def choose(want: str, there: list[Output]) -> Output:
    """The one whose name is `want`, else the first that has it in its name; case does not count.

    Raises DeviceError with the names that there are.
    """
    key = want.casefold()
    for same in (key.__eq__, lambda name: key in name):
        for output in there:
            if same(output.name.casefold()):
                return output
    raise DeviceError(f"no device has {want!r} in its name; tts.device can be auto, null{_listed(there)}")


def names(there: list[Output]) -> list[str]:
    """Each name once, in order."""
    return list(dict.fromkeys(output.name for output in there))


def _listed(there: list[Output]) -> str:
    known = names(there)
    more = f" and {len(known) - LISTED} more" if len(known) > LISTED else ""
    return "".join(f", {name!r}" for name in known[:LISTED]) + more


def _backends() -> list[Any]:
    import miniaudio

    nowhere = (miniaudio.Backend.NULL, miniaudio.Backend.CUSTOM)
    return [each for each in miniaudio.Backend if miniaudio.is_backend_enabled(each) and each not in nowhere]


def _open(period_ms: int, backends: list[Any], device_id: Any) -> Any:
    import miniaudio

    try:
        with _quiet_stderr():
            return miniaudio.PlaybackDevice(
                output_format=miniaudio.SampleFormat.SIGNED16,
                nchannels=1,
                sample_rate=SAMPLE_RATE_HZ,
                buffersize_msec=period_ms,
                device_id=device_id,
                callback_periods=PERIODS,
                backends=backends,
                app_name="Akane",
            )
    except miniaudio.MiniaudioError as error:
        raise DeviceError(f"{error.args[0] if error.args else error}") from error


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[None]:
    """ALSA writes a page to file descriptor 2 when there is no card; people get one sentence instead."""
    sys.stderr.flush()
    saved = os.dup(2)
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(sink, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(sink)
