"""Runs the named benchmarks, or all of them, and prints one line a figure."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time

BENCHMARKS = (
    "bus",
    "pretrain_data",
    "dashboard",
    "stage",
    "llm_service",
    "hearing",
    "sync",
    "voice",
    "engine",
    "adapter",
    "pretrain",
    "persona",
    "show",
    "fresh",
)
"""Modules of this folder that have `run() -> Iterable[Figure]`, quickest first."""


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="name", help=f"of {', '.join(BENCHMARKS)}; all when none is given"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in BENCHMARKS]
    if unknown:
        print(f"There is no benchmark {unknown[0]!r}: known are {', '.join(BENCHMARKS)}.", file=sys.stderr)
        return 2
    for name in arguments.names or BENCHMARKS:
        began = time.monotonic()
        for figure in importlib.import_module(f"benchmarks.{name}").run():
            print(json.dumps(figure.record()) if arguments.json else figure.line(), flush=True)
        print(f"({name}: {time.monotonic() - began:.0f} s)", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
