"""How far something long has come, told to people: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[str, int, int], None]
"""Called with what is being done, bytes (or parameters) done and how many there are in all."""


@contextmanager
def terminal_progress() -> Iterator[Progress]:
    """A bar on a terminal, a plain line every tenth otherwise; both on standard error."""
    if not sys.stderr.isatty():
        yield plain_progress(lambda line: print(line, file=sys.stderr, flush=True))
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Bar(*columns, console=Console(stderr=True)) as bar:
        tasks: dict[str, int] = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total)
            bar.update(tasks[stage], completed=done, total=total)  # type: ignore[arg-type]

        yield show


def plain_progress(write: Callable[[str], None]) -> Progress:
    """A Progress that writes a line whenever a stage begins or another tenth of it is done."""
    written: dict[str, int] = {}

    def show(stage: str, done: int, total: int) -> None:
        tenth = 10 * done // max(1, total)
        if tenth > written.get(stage, -1):
            written[stage] = tenth
            write(f"{stage}: {done / 1e6:.0f} of {total / 1e6:.0f} MB")

    return show
