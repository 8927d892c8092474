"""Gives a terminal back as it was, whatever the program that drew on it left behind."""

from __future__ import annotations

import contextlib
import signal
import sys
from typing import Any

if sys.platform != "win32":
    import termios

RESET = (
    "\x1b[<u"  # keyboard protocol (kitty), pushed while the alternate screen was on: before leaving that
    "\x1b[?1049l"  # alternate screen
    "\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1015l\x1b[?1016l"  # mouse reports
    "\x1b[?1004l"  # focus reports
    "\x1b[?2004l"  # bracketed paste
    "\x1b[?2048l"  # resize reports
    "\x1b[?7h"  # line wrap
    "\x1b[?25h"  # cursor
    "\x1b[0m\r\n"
)
"""xterm's control sequences (and kitty's), each harmless where it is not understood."""


class Terminal:
    """The terminal on standard input as it is now; without one all methods do nothing."""

    def __init__(self) -> None:
        self._modes = _modes()

    def restore_modes(self) -> None:
        """Line editing, echo and signals as they were."""
        if self._modes is not None:
            _set_modes(self._modes)

    def reset(self) -> None:
        """After a program that drew was killed: every mode it may have set, undone."""
        self.restore_modes()
        with contextlib.suppress(OSError):
            if sys.stdout.isatty():
                sys.stdout.write(RESET)
                sys.stdout.flush()

    def given_back(self) -> bool:
        """Whoever draws has put line editing back (it suspends itself, Ctrl-Z) although it still lives."""
        return self._modes is not None and _modes() == self._modes


if sys.platform == "win32":

    def _modes() -> list[Any] | None:
        return None

    def _set_modes(modes: list[Any]) -> None:
        return

else:

    def _modes() -> list[Any] | None:
        try:
            return termios.tcgetattr(sys.stdin.fileno())
        except (termios.error, OSError, ValueError, AttributeError):
            return None

    def _set_modes(modes: list[Any]) -> None:
        before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # as a background job this would stop us
        with contextlib.suppress(termios.error, OSError):
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, modes)
        signal.signal(signal.SIGTTOU, before)
