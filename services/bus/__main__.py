"""`python -m services.bus`: the broker as a process; `--make-keys DIR` writes keys for use off loopback."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from services.bus.service import BusService
from shared import logs
from shared.broker import Broker, make_keys
from shared.endpoints import AddressError
from shared.service import (
    StartError,
    StopSignal,
    add_arguments,
    guarded,
    install_stop,
    options,
    print_findings,
    serve,
)


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m services.bus", description=BusService.__doc__)
    add_arguments(parser)
    parser.add_argument("--make-keys", type=Path, metavar="DIR", help="write CURVE keys to DIR and leave")
    arguments = parser.parse_args()
    if arguments.make_keys:
        make_keys(arguments.make_keys)
        print(f"Keys are in {arguments.make_keys}: set bus.keys_dir to it; clients need it as well.")
        return 0
    chosen = options(arguments)
    if chosen.check:
        print_findings(BusService.check(chosen.settings))
        return 0
    logs.configure("bus", chosen.log_level)
    stop = StopSignal()
    install_stop(stop)
    try:
        with Broker(chosen.settings.bus) as broker:
            settings = chosen.settings.model_copy(update={"bus": broker.settings})
            serve(BusService, settings, stop)
    except AddressError as error:
        raise StartError(str(error)) from None
    return 0


if __name__ == "__main__":
    sys.exit(guarded("bus", main))
