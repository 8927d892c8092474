"""`python -m services.director`; `--regulars` lists who is remembered, `--forget` erases somebody."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing

from services.director.regulars import Regulars, regulars_path
from services.director.service import Director
from shared.service import StartError, add_arguments, guarded, options, run_chosen


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m services.director", description=Director.__doc__)
    add_arguments(parser)
    parser.add_argument("--regulars", action="store_true", help="list the viewers whom she remembers")
    parser.add_argument(
        "--forget", metavar="PLATFORM/ID", help="erase a viewer as --regulars names them, or all"
    )
    arguments = parser.parse_args()
    chosen = options(arguments)
    if not arguments.regulars and arguments.forget is None:
        return run_chosen(Director, chosen)
    with closing(Regulars(regulars_path(), chosen.settings.director)) as regulars:
        if arguments.forget is not None:
            _forget(regulars, arguments.forget)
        for one in regulars.listed() if arguments.regulars else ():
            seen = f"(visits: {one.visits}, last {one.seen:%Y-%m-%d})"
            print(f"{one.channel}/{one.author_id}  {one.name}: {', '.join(one.facts)} {seen}")
    return 0


def _forget(regulars: Regulars, who: str) -> None:
    """Erase one or all. StartError in one sentence when there is nobody of that name, or no way."""
    listed = [one for one in regulars.listed() if who in ("all", f"{one.channel}/{one.author_id}")]
    if not listed and who != "all":
        raise StartError(f"Nobody is remembered as {who!r}: --regulars lists who is.")
    if not all(regulars.forget(one.channel, one.author_id) for one in listed):
        raise StartError(f"{regulars_path()} could not be written: is another program holding it?")
    print(f"Erased: {len(listed)}.")


if __name__ == "__main__":
    sys.exit(guarded("director", main))
