"""Lines that a person or a script types: made harmless, and handed out no faster than they are answered."""

from __future__ import annotations

from collections import deque
from pathlib import Path

from shared.commands import MAX_TEXT_CHARS
from shared.sanitize import clean_text

MAX_LINE_BYTES = 16 * MAX_TEXT_CHARS
MAX_SCRIPT_BYTES = 10_000_000
QUIT_WORDS = frozenset({"quit", "exit", "q"})
"""Typed alone, they end the show."""


class BadLine(Exception):
    """One sentence: why this line goes nowhere and what to do."""


def decode_line(raw: bytes | None) -> str:
    """The text of a line of standard input or a script; None stands for one that was too long to read."""
    if raw is None:
        raise BadLine(f"A line of more than {MAX_LINE_BYTES:,} bytes was not sent: keep it shorter.")
    try:
        return check_line(raw.decode("utf-8"))
    except UnicodeDecodeError:
        raise BadLine("A line that is not valid UTF-8 was not sent: send text as UTF-8.") from None


def check_line(text: str) -> str:
    """`text` sanitised, perhaps empty; BadLine when it is too long: cutting would change its meaning."""
    text = text.strip()
    if len(text) > MAX_TEXT_CHARS:
        raise BadLine(
            f"The line has {len(text):,} characters and {MAX_TEXT_CHARS:,} is the limit: shorten it."
        )
    return clean_text(text, MAX_TEXT_CHARS)


def read_script(path: Path) -> list[str]:
    """The lines of a script without blank ones and `#` comments; BadLine names the file and the line."""
    try:
        if not path.is_file():
            raise BadLine(f"There is no script {path}: check the path.")
        if path.stat().st_size > MAX_SCRIPT_BYTES:
            raise BadLine(f"The script {path} is larger than {MAX_SCRIPT_BYTES:,} bytes: is it a text file?")
        rows = path.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines()
    except OSError as error:
        raise BadLine(f"The script {path} cannot be read: {error.strerror}.") from None
    lines = []
    for number, row in enumerate(rows, 1):
        if row.lstrip().startswith(b"#"):
            continue
        try:
            text = check_line(row.decode("utf-8"))
        except UnicodeDecodeError:
            raise BadLine(f"Line {number} of {path} is not valid UTF-8: save the script as UTF-8.") from None
        except BadLine as error:
            raise BadLine(f"Line {number} of {path} is wrong: {error}") from None
        if text:
            lines.append(text)
    return lines


class Lines:
    """The lines of one source: one of them waits for its answer, the rest wait here.

    So the figures of a reply begin when it is its turn, and a whole book may be piped in.
    """

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self._waiting: deque[str] = deque()
        self._unanswered: str | None = None
        self._ended = False
        self.quit = False
        """Somebody typed `quit`."""

    @property
    def hungry(self) -> bool:
        """More lines are wanted from where they come from."""
        return not self._ended and not self._waiting

    @property
    def open(self) -> bool:
        """A line of ours has been published and not been answered."""
        return self._unanswered is not None

    @property
    def finished(self) -> bool:
        """No line will follow and all are answered or given up."""
        return self._ended and not self._waiting and not self.open

    def put(self, line: str) -> None:
        """The next line; a quit word ends the source like an end of file."""
        if self._ended:
            return
        if line.lower() in QUIT_WORDS:
            self.quit = True
            self.end()
        else:
            self._waiting.append(line)

    def end(self) -> None:
        """No line follows."""
        self._ended = True

    def take(self) -> str | None:
        """The next line to publish, if one may go now; follow with `sent`."""
        if self._waiting and not self.open:
            return self._waiting.popleft()
        return None

    def sent(self, message_id: str) -> None:
        """The line just taken became this `chat.message`."""
        self._unanswered = message_id

    def answered(self, message_id: str | None) -> None:
        """A turn is done; does nothing when its message was not ours."""
        if message_id == self._unanswered:
            self._unanswered = None

    def give_up(self) -> bool:
        """Stop waiting for an answer that will never come; False when none was waited for."""
        given_up, self._unanswered = self.open, None
        return given_up
