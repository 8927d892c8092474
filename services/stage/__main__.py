"""`python -m services.stage`: her page and the browsers' bus; `--link` prints the addresses of the pages."""

from __future__ import annotations

import argparse
import sys

from services.stage.links import interfaces, links
from services.stage.service import StageService
from services.stage.token import TokenError, token_of
from shared.service import StartError, add_arguments, guarded, options, run_chosen


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m services.stage", description=StageService.__doc__)
    add_arguments(parser)
    parser.add_argument("--link", action="store_true", help="print where the pages are, token and all")
    arguments = parser.parse_args()
    chosen = options(arguments)
    if not arguments.link:
        return run_chosen(StageService, chosen)
    own = chosen.settings.stage
    try:
        token = token_of(own)
    except TokenError as error:
        raise StartError(str(error)) from None
    print("\n".join(links(own, token, interfaces())))
    return 0


if __name__ == "__main__":
    sys.exit(guarded("stage", main))
