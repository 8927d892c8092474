"""What viewers told about themselves in earlier shows: a small SQLite file in the state folder.

A viewer is a platform and the platform's own id, never a display name.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from services.director.fact_words import NOT_A_NAME
from services.director.facts import Fact, facts_of
from services.director.regulars_file import RegularsFile
from shared.config import DirectorSettings
from shared.events import ChatMessage, ChatRetracted
from shared.sanitize import clean_name
from shared.state import state_dir

Viewer = tuple[str, str]
"""Platform and the platform's id of somebody."""

FACTS_OF_A_VIEWER = 3
MAX_VIEWERS = 2_000
"""The longest unseen go first."""
VISIT_GAP_S = 4 * 3600.0
"""Silence after which a viewer's next line is another visit."""
SEEN_EVERY_S = 600.0
"""`seen` is not written more often than this."""
AFTER_EVENT = timedelta(days=7)
"""How long `had an exam on Friday` is known: until it could mean another Friday."""
_NAME = re.compile(r"[^\W\d_]{3,20}")
_HANDLE = re.compile(r"\w{2,25}")
_KEYBOARD = "Your friend"
_FACTS = """SELECT says, day, message_id FROM facts WHERE channel = ? AND author_id = ? ORDER BY rowid DESC"""


@dataclass(frozen=True)
class Regular:
    """A row for the operator."""

    channel: str
    author_id: str
    name: str
    visits: int
    seen: datetime
    facts: tuple[str, ...]
    """Newest first."""


def regulars_path() -> Path:
    """Where they are kept."""
    return state_dir() / "regulars.sqlite3"


class Regulars:
    """`now` gives the local time; `refuses` names the rule by which a text must not be kept, or None.

    Without `settings.remember` nothing is learned or told, but what is there can still be erased. No method
    raises: without a usable file she goes on and remembers nobody.
    """

    def __init__(
        self,
        path: Path,
        settings: DirectorSettings,
        refuses: Callable[[str], str | None] = lambda _: None,
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        self._settings = settings
        self._now = now
        self._refuses = refuses
        self._since = now().timestamp()
        self._left_alone: set[Viewer] = set()
        """Who asked to be forgotten: nothing is learned of them until the next show."""
        self._file = RegularsFile(path)
        self._file.attempt(self._expire, None)

    def learn(self, message: ChatMessage) -> None:
        """Note the visit of a known viewer, and keep what the message tells about its author."""
        viewer = (message.channel, message.author_id)
        if not self._settings.remember or viewer in self._left_alone:
            return
        told = facts_of(message.text, self._now().date())
        facts = [fact for fact in told if not self._refuses(fact.says)]
        name = clean_name(message.author)

        def keep(database: sqlite3.Connection) -> None:
            is_known = self._note_visit(database, viewer, name)
            if not facts:
                return
            if not is_known:
                row = (*viewer, name, 1, self._time())
                database.execute("INSERT INTO viewers VALUES (?, ?, ?, ?, ?)", row)
            for fact in facts:
                self._keep(database, viewer, fact, message.id)
            self._expire(database)

        self._file.attempt(keep, None)

    def line(self, message: ChatMessage, in_prompt: Collection[str]) -> str:
        """One sentence about the author of `message`, or empty.

        What was told in the messages of `in_prompt` (their ids) is left out: it stands in the prompt already.
        """
        today = self._now().date()

        def read(database: sqlite3.Connection) -> list[str]:
            rows = database.execute(_FACTS, (message.channel, message.author_id)).fetchall()
            return [_told(says, day, today) for says, day, told_in in rows if told_in not in in_prompt]

        subject = _subject(message.author) if self._settings.remember else ""
        known: list[str] = self._file.attempt(read, []) if subject else []
        facts = [says for says in known if says]
        if not facts:
            return ""
        *most, last = facts
        return f"{subject} {', '.join(most)} and {last}." if most else f"{subject} {last}."

    def retract(self, retracted: ChatRetracted) -> None:
        """Erase what was taken from messages that moderation took back.

        A ban takes all of the viewer's, of earlier shows too; a cleared chat what was told in this show.
        """
        where, values = "channel = ?", [retracted.channel]
        if retracted.message_id is not None:
            where, values = where + " AND message_id = ?", [*values, retracted.message_id]
        elif retracted.author_id is not None:
            self.forget(retracted.channel, retracted.author_id)
            return
        else:
            where, values = where + " AND told >= ?", [*values, str(self._since)]
        self._file.attempt(lambda database: _erase(database, where, values), None)

    def forget(self, channel: str, author_id: str) -> bool:
        """Erase a viewer, who is then left alone in this show; False when the file cannot be written."""
        self._left_alone.add((channel, author_id))

        def erase(database: sqlite3.Connection) -> bool:
            database.execute("DELETE FROM viewers WHERE channel = ? AND author_id = ?", (channel, author_id))
            return True

        return self._file.attempt(erase, False)

    def listed(self) -> list[Regular]:
        """Everybody who is remembered, last seen first."""
        today = self._now().date()

        def read(database: sqlite3.Connection) -> list[Regular]:
            self._expire(database)
            rows = database.execute("SELECT * FROM viewers ORDER BY seen DESC").fetchall()
            found = []
            for channel, author_id, name, visits, seen in rows:
                facts = database.execute(_FACTS, (channel, author_id)).fetchall()
                told = tuple(_told(says, day, today) for says, day, _ in facts)
                found.append(Regular(channel, author_id, name, visits, datetime.fromtimestamp(seen), told))
            return found

        return self._file.attempt(read, [])

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    # -- inside ----------------------------------------------------------------------------------------

    def _time(self) -> float:
        return self._now().timestamp()

    def _note_visit(self, database: sqlite3.Connection, viewer: Viewer, name: str) -> bool:
        """Whether the viewer is known."""
        of_viewer = "WHERE channel = ? AND author_id = ?"
        row = database.execute(f"SELECT seen FROM viewers {of_viewer}", viewer).fetchone()
        away_s = self._time() - row[0] if row else 0.0
        if abs(away_s) > SEEN_EVERY_S:
            database.execute(
                f"UPDATE viewers SET seen = ?, name = ?, visits = visits + ? {of_viewer}",
                (self._time(), name, away_s > VISIT_GAP_S, *viewer),
            )
        return row is not None

    def _keep(self, database: sqlite3.Connection, viewer: Viewer, fact: Fact, message_id: str) -> None:
        """The newest fact first; `has a parrot called Kiwi` takes the place of `has a parrot`."""
        kept = [says for says, _, _ in database.execute(_FACTS, viewer)]
        if any(says.startswith(f"{fact.says} ") for says in kept):
            return
        of_viewer = "channel = ? AND author_id = ?"
        day = fact.day.isoformat() if fact.day else None
        database.execute(
            f"DELETE FROM facts WHERE {of_viewer}"
            " AND (says = ? OR substr(?, 1, length(says) + 1) = says || ' ')",
            (*viewer, fact.says, fact.says),
        )
        row = (*viewer, fact.says, day, message_id, self._time())
        database.execute("INSERT INTO facts VALUES (?, ?, ?, ?, ?, ?)", row)
        database.execute(
            f"DELETE FROM facts WHERE {of_viewer} AND rowid NOT IN"
            f" (SELECT rowid FROM facts WHERE {of_viewer} ORDER BY rowid DESC LIMIT {FACTS_OF_A_VIEWER})",
            viewer * 2,
        )

    def _expire(self, database: sqlite3.Connection) -> None:
        oldest = self._time() - self._settings.remember_days * 86_400
        over = (self._now().date() - AFTER_EVENT).isoformat()
        database.execute("DELETE FROM viewers WHERE seen < ?", (oldest,))
        database.execute(
            "DELETE FROM viewers WHERE rowid NOT IN"
            f" (SELECT rowid FROM viewers ORDER BY seen DESC LIMIT {MAX_VIEWERS})"
        )
        _erase(database, "day < ?", [over])


def _erase(database: sqlite3.Connection, where: str, values: list[str]) -> None:
    """Facts, and then the viewers of whom none is left."""
    if database.execute(f"DELETE FROM facts WHERE {where}", values).rowcount:
        database.execute(
            "DELETE FROM viewers WHERE NOT EXISTS (SELECT 1 FROM facts"
            " WHERE facts.channel = viewers.channel AND facts.author_id = viewers.author_id)"
        )


def _told(says: str, day: str | None, today: date) -> str:
    """A fact as it is on this day; empty when its event is too long over."""
    if day is None or date.fromisoformat(day) >= today:
        return says
    return says.replace("has ", "had ", 1) if today - date.fromisoformat(day) <= AFTER_EVENT else ""


def _subject(author: str) -> str:
    """`kwasi_k` as `Kwasi`: the one word of a name that she is told; empty where it could instruct her."""
    if author == "you":
        return _KEYBOARD
    found = _NAME.match(clean_name(author)) or _HANDLE.fullmatch(clean_name(author))
    if not found or found[0].casefold() in NOT_A_NAME:
        return ""
    return found[0][0].upper() + found[0][1:]
