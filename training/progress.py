"""What people see of a run: a bar with loss, speed and time left, or lines; and a CSV log of every step."""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Protocol


class Display(Protocol):
    """Where a run reports to."""

    def step(self, done: int, facts: str) -> None:
        """So many steps are done; `facts` is one short line."""

    def say(self, line: str) -> None:
        """A line that stays."""


class Silent:
    """For the ranks that do not lead."""

    def step(self, done: int, facts: str) -> None:
        """Nothing."""

    def say(self, line: str) -> None:
        """Nothing."""


class _Lines:
    """Where there is no terminal: a line a tenth of the run, so that logs stay short."""

    def __init__(self, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._total, self._told, self._clock = total, -1, clock
        self._began: tuple[int, float] | None = None

    def step(self, done: int, facts: str) -> None:
        began = self._began = self._began or (done, self._clock())
        tenth = 10 * done // max(1, self._total)
        if tenth > self._told:
            self._told = tenth
            left = ""
            if began[0] < done < self._total:
                seconds = (self._clock() - began[1]) / (done - began[0]) * (self._total - done)
                left = f" · {timedelta(seconds=round(seconds))} left"
            self.say(f"step {done} of {self._total}: {facts}{left}")

    def say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)


@contextmanager
def display(total: int, leads: bool = True) -> Iterator[Display]:
    """A bar on standard error when it is a terminal, else lines."""
    if not leads:
        yield Silent()
        return
    if not sys.stderr.isatty():
        yield _Lines(total)
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), speed_estimate_period=300) as bar:
        task = bar.add_task("", total=total)

        class OnTerminal:
            def step(self, done: int, facts: str) -> None:
                bar.update(task, completed=done, description=facts)

            def say(self, line: str) -> None:
                bar.console.print(escape(line), highlight=False)

        yield OnTerminal()


class Log(Protocol):
    """Where the numbers of every step go."""

    def add(self, step: int, values: Mapping[str, object]) -> None:
        """One step's, by column; numbers may be written as text."""


class CsvLog:
    """Rows with a `step` column, appended; a resumed run first drops the steps that it will repeat."""

    def __init__(self, path: Path, columns: Sequence[str], from_step: int = 0) -> None:
        self._path, self._columns = path, ("step", *columns)
        kept: list[dict[str, str]] = []
        if path.exists():
            with path.open(encoding="utf-8", newline="") as file:
                kept = [
                    row
                    for row in csv.DictReader(file)
                    if (row.get("step") or "").isdecimal() and None not in row
                ]
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, self._columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(row for row in kept if int(row["step"]) <= from_step)

    def add(self, step: int, values: Mapping[str, object]) -> None:
        """Write one row at once, so that nothing is lost with the process."""
        with self._path.open("a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, self._columns).writerow({"step": step, **values})
