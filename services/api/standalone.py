"""Model and door without the show: bus, llm and api as supervised processes, on a bus of their own."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from services.api.service import ApiService
from shared.config import ROOT, BusSettings, ConfigError
from shared.process import Spec
from shared.runs import open_run
from shared.service import Options, StartError
from shared.show import Show

SERVICES = ("bus", "llm", "api")


def run_standalone(chosen: Options, config: Path | None, overrides: Sequence[str]) -> int:
    """Runs until Ctrl-C; returns the exit status. Raises StartError when the door could not open."""
    for finding in ApiService.check(chosen.settings):
        if not finding.ok:
            raise StartError(finding.detail)
    log_dir = ROOT / chosen.settings.launcher.log_dir
    try:
        folder = open_run(log_dir)
    except OSError as error:
        raise ConfigError(f"Logs cannot be written to {log_dir}: {error.strerror}.") from None
    bus = _free_bus()
    flags = ["--config", str(config.resolve())] if config else []
    places = [f"bus.{key}={value}" for key, value in bus.model_dump().items()]
    for override in (*overrides, *places):
        flags += ["--set", override]
    flags += ["--log-level", chosen.log_level]
    specs = [Spec(name, (sys.executable, "-m", f"services.{name}", *flags)) for name in SERVICES]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return Show(specs, bus, folder, {**os.environ, "PYTHONPATH": path}, drawn=False).run()


def _free_bus() -> BusSettings:
    """Three ports that nobody holds, so that a show may run beside."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    addresses = [f"tcp://127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    return BusSettings(publish=addresses[0], subscribe=addresses[1], commands=addresses[2])
