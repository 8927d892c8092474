"""The SQLite file of the regulars: opened, put aside when it is broken, and written all or nothing.

SQLite, because the operator's tool may erase a row while the show runs; what is erased is overwritten.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")
BUSY_S = 0.25
"""Longest wait for another process to let go of the file."""
VERSION = 1
SCHEMA = f"""
CREATE TABLE IF NOT EXISTS viewers (
    channel TEXT, author_id TEXT, name TEXT NOT NULL, visits INTEGER NOT NULL, seen REAL NOT NULL,
    PRIMARY KEY (channel, author_id)
);
CREATE TABLE IF NOT EXISTS facts (
    channel TEXT, author_id TEXT, says TEXT NOT NULL, day TEXT, message_id TEXT NOT NULL, told REAL NOT NULL,
    FOREIGN KEY (channel, author_id) REFERENCES viewers ON DELETE CASCADE
);
CREATE INDEX IF NOT EXISTS facts_of_viewer ON facts (channel, author_id);
PRAGMA user_version = {VERSION};
"""


class RegularsFile:
    """Never raises: where there is no usable file, memory alone takes its place until the process ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._has_warned = False
        self._database = self._opened()

    def attempt(self, work: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """What `work` gives, all of it written or nothing; `otherwise` when the file fails."""
        try:
            with self._database:
                return work(self._database)
        except sqlite3.Error as error:
            self._warn(f"{self._path} cannot be used ({error})")
            if not isinstance(error, sqlite3.OperationalError):
                self._database.close()
                self._database = self._opened()
            return otherwise

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def _opened(self) -> sqlite3.Connection:
        """The file, made if need be for its owner's eyes only."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            try:
                return _connected(str(self._path))
            except sqlite3.OperationalError as error:
                self._warn(f"{self._path} cannot be used ({error})")
            except sqlite3.DatabaseError as error:
                aside = self._path.with_suffix(".broken")
                self._path.replace(aside)
                self._warn(f"{self._path} is broken ({error}): it is now {aside}, and she remembers nobody")
                return _connected(str(self._path))
        except OSError as error:
            self._warn(f"{self._path} cannot be used ({error.strerror})")
        return _connected(":memory:")

    def _warn(self, sentence: str) -> None:
        if not self._has_warned:
            self._has_warned = True
            log.warning("%s.", sentence)


def _connected(name: str) -> sqlite3.Connection:
    """A connection to a file of our layout. Raises sqlite3.Error."""
    database = sqlite3.connect(name, timeout=BUSY_S)
    try:
        database.execute("PRAGMA foreign_keys = ON")
        database.execute("PRAGMA secure_delete = ON")
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version not in (0, VERSION):
            raise sqlite3.DatabaseError(f"its layout {version} is not known")
        database.executescript(SCHEMA)
    except sqlite3.Error:
        database.close()
        raise
    return database
