"""`python -m services.dashboard`: the screen, or with `dashboard.plain` the transcript."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from services.dashboard.plain import PlainDashboard
from shared import logs
from shared.service import Options, StartError, StopSignal, guarded, install_stop, parse, run_chosen


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 ends the show."""
    return guarded("dashboard", lambda: _main(parse(PlainDashboard, argv)))


def _main(options: Options) -> int:
    if options.check or options.settings.dashboard.plain:
        return run_chosen(PlainDashboard, options)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise StartError("The screen has no terminal: use --plain or --headless.")
    logs.configure("dashboard", options.log_level)
    stop = StopSignal()
    install_stop(stop)
    from services.dashboard.screen import show  # Textual takes 0.3 s to import; a pipe does not need it

    return show(options.settings, stop)


if __name__ == "__main__":
    sys.exit(main())
