"""`python -m services.bus`: the broker as a process; `--make-keys DIR` writes keys for use off loopback."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from services.bus.service import BusService
from shared.broker import make_keys
from shared.service import add_arguments, guarded, options, run_chosen


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
    return run_chosen(BusService, options(arguments), broker=True)


if __name__ == "__main__":
    sys.exit(guarded("bus", main))
