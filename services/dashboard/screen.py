"""Runs the app in the main thread and its bus side in another; the terminal is given back as it was."""

from __future__ import annotations

import logging
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from services.dashboard.app import DashboardApp
from services.dashboard.feed import Feed
from services.dashboard.service import Dashboard
from shared.config import Settings
from shared.service import Service, StopSignal, serve

CONNECT_S = 5.0
LEAVE_S = 2.0
HELD_RECORDS = 200


def show(settings: Settings, stop: StopSignal) -> int:
    """Draw until somebody ends it; returns the exit status. Raises what stopped the bus side."""
    feed = Feed()
    failures: list[BaseException] = []
    opened = threading.Event()

    def attach(service: Service) -> None:
        assert isinstance(service, Dashboard)
        service.attach(feed)
        opened.set()

    def work() -> None:
        try:
            serve(Dashboard, settings, stop, opened=attach, wait_s=CONNECT_S)
        except BaseException as error:
            failures.append(error)
        finally:
            opened.set()
            feed.close()

    worker = threading.Thread(target=work, name="bus", daemon=True)
    worker.start()
    opened.wait()
    status = 0
    if not failures:
        stop.on_set(feed.close)
        with _logs_held_back():
            app = DashboardApp(feed, driver_class=_driver())
            app.run()
            status = app.return_code or 0
            stop.set()
            worker.join(LEAVE_S)
    if failures:
        raise failures[0]
    return status


def _driver() -> Any:
    """Textual draws on standard error, which is this service's log: draw on standard output instead."""
    if sys.platform == "win32":
        return None  # draws on standard output already
    from textual.drivers.linux_driver import LinuxDriver

    class StdoutDriver(LinuxDriver):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            assert sys.__stdout__ is not None
            self._file = sys.__stdout__

    return StdoutDriver


class _Held(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: deque[logging.LogRecord] = deque(maxlen=HELD_RECORDS)

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@contextmanager
def _logs_held_back() -> Iterator[None]:
    """On a terminal, log lines would tear the screen: warnings are told after it is gone."""
    root = logging.getLogger()
    if not sys.stderr.isatty():
        yield
        return
    before, held = root.handlers[:], _Held()
    root.handlers[:] = [held]
    try:
        yield
    finally:
        root.handlers[:] = before
        for record in held.records:
            root.handle(record)
