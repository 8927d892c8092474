"""`python -m services.llm`: the model on the bus; `--standalone` adds a broker, `--once TEXT` needs none."""

from __future__ import annotations

import argparse
import sys

from pydantic import ValidationError

from services.llm.once import answer_once
from services.llm.outputs import RefusedError
from services.llm.service import LlmService
from shared import logs
from shared.model.errors import ModelError
from shared.service import StartError, add_arguments, guarded, options, run_chosen


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m services.llm", description=LlmService.__doc__)
    add_arguments(parser)
    parser.add_argument("--once", metavar="TEXT", help="answer this on standard output, without a bus")
    parser.add_argument("--max-tokens", type=int, default=256, metavar="N", help="with --once (256)")
    parser.add_argument("--standalone", action="store_true", help="run the broker in this process too")
    parser.add_argument("--model", metavar="NAME|PATH", help="short for --set llm.model=…")
    arguments = parser.parse_args()
    if arguments.model:
        arguments.set.append(f"llm.model={arguments.model}")
    chosen = options(arguments)
    if chosen.check or arguments.once is None:
        return run_chosen(LlmService, chosen, broker=arguments.standalone)
    logs.configure("llm", "warning")
    try:
        return answer_once(chosen.settings.llm, arguments.once, arguments.max_tokens, sys.stdout, sys.stderr)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise StartError(f"{where} is wrong: {first['msg']}") from None
    except (ModelError, RefusedError) as error:
        raise StartError(str(error)) from None


if __name__ == "__main__":
    sys.exit(guarded("llm", main))
