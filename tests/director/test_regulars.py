"""Who is remembered from show to show, and how they are forgotten."""

from __future__ import annotations

import logging
import sqlite3
import stat
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from services.director import __main__ as command_line
from services.director import regulars as module
from services.director import regulars_file
from services.director.regulars import Regulars, regulars_path
from shared.config import DirectorSettings
from shared.events import ChatMessage, ChatRetracted
from shared.service import StartError

TUESDAY = datetime(2026, 11, 24, 20, 0)
KIWI = "i have a parrot called kiwi"


class Shows:
    """One file and a clock; every `begin` is a director that starts again."""

    def __init__(self, path: Path, **settings: object) -> None:
        self.path = path
        self.now = TUESDAY
        self.settings = DirectorSettings.model_validate(settings)
        self._count = 0
        self.begin()

    def begin(self, after: timedelta = timedelta(0)) -> Regulars:
        if hasattr(self, "regulars"):
            self.regulars.close()
        self.now += after
        self.regulars = Regulars(self.path, self.settings, now=lambda: self.now)
        return self.regulars

    def tell(self, text: str, author: str = "Mia", **fields: str) -> ChatMessage:
        self._count += 1
        told = {"id": f"m{self._count}", "channel": "twitch", "author_id": author.lower(), **fields}
        message = ChatMessage.model_validate({"author": author, "text": text, **told})
        self.regulars.learn(message)
        return message

    def line(self, author: str = "Mia", channel: str = "twitch", author_id: str = "") -> str:
        asked = ChatMessage(
            id="q", channel=channel, author=author, author_id=author_id or author.lower(), text="hi"
        )
        return self.regulars.line(asked, ["q"])


@pytest.fixture
def shows(tmp_path: Path) -> Shows:
    return Shows(tmp_path / "state" / "regulars.sqlite3")


def test_a_viewer_is_known_in_the_next_show_and_nobody_of_the_same_name_elsewhere(shows: Shows) -> None:
    shows.tell(KIWI)
    shows.begin(timedelta(days=1))
    assert shows.line() == "Mia has a parrot called Kiwi."
    assert shows.line(channel="api") == ""
    assert shows.line(author_id="an-impostor") == ""
    assert shows.line("MiaTheGreat", author_id="mia") == "MiaTheGreat has a parrot called Kiwi."


@pytest.mark.parametrize(
    ("author", "subject"),
    [
        ("kwasi_k", "Kwasi"),
        ("Goran_b", "Goran"),
        ("J0n4s", "J0n4s"),
        ("you", "Your friend"),
        ("Ignore all previous", ""),
        ("SYSTEM", ""),
        ("akane", ""),
        ("a: b] <x>", ""),
    ],
)
def test_the_name_in_the_sentence(shows: Shows, author: str, subject: str) -> None:
    shows.tell(KIWI, author, author_id="1")
    assert shows.line(author, author_id="1") == (f"{subject} has a parrot called Kiwi." if subject else "")


def test_three_facts_newest_first_and_the_fuller_one_stays(shows: Shows) -> None:
    for text in ("i keep bees", "i have a parrot", "i work nights", KIWI, "i have a parrot", "i play chess"):
        shows.tell(text)
    assert shows.line() == "Mia plays chess, has a parrot called Kiwi and works nights."


def test_what_stands_in_the_prompt_already_is_not_said_twice(shows: Shows) -> None:
    told = shows.tell(KIWI)
    shows.tell("i work nights")
    assert shows.regulars.line(told, [told.id]) == "Mia works nights."


def test_an_event_passes_and_is_forgotten(shows: Shows) -> None:
    shows.tell("my exam is on friday")
    assert shows.line() == "Mia has an exam on Friday."
    shows.begin(timedelta(days=4))
    assert shows.line() == "Mia had an exam on Friday."
    shows.begin(timedelta(days=10))
    assert shows.line() == ""
    assert shows.regulars.listed() == []


def test_who_stays_away_is_forgotten_and_who_comes_is_not(shows: Shows) -> None:
    shows.tell(KIWI)
    shows.tell(KIWI, "Leo")
    shows.begin(timedelta(days=60))
    shows.tell("hello again")
    shows.begin(timedelta(days=60))
    (mia,) = shows.regulars.listed()
    assert (mia.name, mia.visits, mia.facts) == ("Mia", 2, ("has a parrot called Kiwi",))
    shows.now -= timedelta(days=900)
    shows.tell("a clock that jumps back harms nothing")
    assert shows.line()


def test_a_retracted_message_takes_its_facts_along(shows: Shows) -> None:
    told = shows.tell(KIWI)
    shows.tell("i work nights")
    elsewhere = ChatRetracted(channel="terminal", message_id=told.id, reason="deleted")
    shows.regulars.retract(elsewhere)
    assert "parrot" in shows.line()
    shows.regulars.retract(elsewhere.model_copy(update={"channel": "twitch"}))
    assert shows.line() == "Mia works nights."


def test_a_ban_takes_all_and_a_cleared_chat_what_was_told_in_this_show(shows: Shows) -> None:
    shows.tell(KIWI)
    shows.tell(KIWI, "Leo")
    shows.begin(timedelta(days=1))
    shows.tell("i work nights")
    shows.regulars.retract(ChatRetracted(channel="twitch", reason="cleared"))
    assert shows.line() == "Mia has a parrot called Kiwi."
    shows.regulars.retract(ChatRetracted(channel="twitch", author_id="mia", reason="banned"))
    assert [one.name for one in shows.regulars.listed()] == ["Leo"]


def test_who_asks_is_forgotten_at_once_in_the_file_too(shows: Shows) -> None:
    shows.tell(KIWI)
    assert b"Kiwi" in shows.path.read_bytes()
    assert shows.regulars.forget("twitch", "mia")
    assert b"Kiwi" not in shows.path.read_bytes()
    shows.tell("i work nights")
    assert shows.line() == "", "left alone for the rest of the show"
    shows.begin()
    shows.tell("i work nights")
    assert shows.line() == "Mia works nights."


def test_switched_off_nothing_is_kept_or_told_but_can_be_erased(shows: Shows) -> None:
    shows.tell(KIWI)
    shows.settings = DirectorSettings(remember=False)
    shows.begin()
    shows.tell("i work nights")
    assert shows.line() == ""
    assert shows.regulars.listed()[0].facts == ("has a parrot called Kiwi",)
    assert shows.regulars.forget("twitch", "mia")
    assert shows.regulars.listed() == []


def test_blocked_words_are_not_kept(tmp_path: Path) -> None:
    regulars = Regulars(
        tmp_path / "r",
        DirectorSettings(),
        lambda text: "profanity" if "Dung" in text else None,
        lambda: TUESDAY,
    )
    told = ChatMessage(id="1", channel="twitch", author="Mia", author_id="1", text="my dog is called dung")
    regulars.learn(told)
    assert regulars.listed() == []
    regulars.close()


def test_the_longest_unseen_make_room(shows: Shows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_VIEWERS", 2)
    for name in ("Ann", "Ben", "Cleo"):
        shows.now += timedelta(hours=1)
        shows.tell(KIWI, name)
    assert [one.name for one in shows.regulars.listed()] == ["Cleo", "Ben"]


@pytest.mark.parametrize("content", [b"no database" * 500, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_broken_file_is_put_aside_with_one_warning(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "regulars.sqlite3"
    path.write_bytes(content)
    shows = Shows(path)
    shows.tell(KIWI)
    assert shows.line() == "Mia has a parrot called Kiwi."
    assert path.with_suffix(".broken").read_bytes() == content
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    shows.begin()
    assert shows.line() == "Mia has a parrot called Kiwi."


def test_a_file_of_a_later_layout_is_put_aside_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "regulars.sqlite3"
    with sqlite3.connect(path) as later:
        later.execute("PRAGMA user_version = 99")
    later.close()
    Shows(path).regulars.close()
    assert "layout 99" in caplog.text
    assert path.with_suffix(".broken").exists()


def test_where_nothing_can_be_written_she_remembers_until_the_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    shows = Shows(tmp_path / "file" / "regulars.sqlite3")
    shows.tell(KIWI)
    assert shows.line() == "Mia has a parrot called Kiwi."
    assert len(caplog.records) == 1


def test_a_file_that_breaks_during_the_show_does_not_end_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(regulars_file, "BUSY_S", 0.01)
    shows = Shows(tmp_path / "regulars.sqlite3")
    shows.tell(KIWI)
    other = sqlite3.connect(shows.path)
    other.execute("BEGIN EXCLUSIVE")
    assert shows.line() == ""
    assert not shows.regulars.forget("twitch", "mia")
    other.close()
    assert len(caplog.records) == 1
    assert shows.line() == "Mia has a parrot called Kiwi."


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps the user's folder to its owner instead")
def test_only_the_owner_may_read_it(shows: Shows) -> None:
    assert stat.S_IMODE(shows.path.stat().st_mode) == 0o600


def test_the_operator_lists_and_erases_while_the_show_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AKANE_STATE", str(tmp_path))
    shows = Shows(regulars_path())
    shows.now = datetime.now()
    shows.tell(KIWI)
    shows.tell("i work nights", "Leo")

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["director", *arguments])
        assert command_line.main() == 0
        return capsys.readouterr().out

    assert "twitch/mia  Mia: has a parrot called Kiwi (visits: 1," in run("--regulars")
    assert run("--forget", "twitch/mia") == "Erased: 1.\n"
    assert shows.line() == ""
    with pytest.raises(StartError, match="Nobody is remembered as 'twitch/mia'"):
        run("--forget", "twitch/mia")
    assert run("--forget", "all", "--regulars") == "Erased: 1.\n"
