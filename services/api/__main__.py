"""`python -m services.api`: the OpenAI-compatible door on the bus; `--standalone` brings bus and model."""

from __future__ import annotations

import argparse
import sys

from services.api.service import ApiService
from services.api.standalone import run_standalone
from shared.service import add_arguments, guarded, options, run_chosen


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m services.api", description=ApiService.__doc__)
    add_arguments(parser)
    parser.add_argument("--standalone", action="store_true", help="run a bus and the model too")
    parser.add_argument("--model", metavar="NAME|PATH", help="short for --set llm.model=…")
    arguments = parser.parse_args()
    if arguments.model:
        arguments.set.append(f"llm.model={arguments.model}")
    chosen = options(arguments)
    if arguments.standalone and not chosen.check:
        return run_standalone(chosen, arguments.config, arguments.set)
    return run_chosen(ApiService, chosen)


if __name__ == "__main__":
    sys.exit(guarded("api", main))
