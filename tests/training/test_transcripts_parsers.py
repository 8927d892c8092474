"""Whatever a parser is given, it reads what a writer wrote, or says one sentence; nothing else happens."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.training_helpers import ROOT
from training.errors import TrainingError
from training.transcripts.__main__ import main
from training.transcripts.chat import read_chat
from training.transcripts.cleaning import fluent, unmarked, unsounded
from training.transcripts.json_items import items
from training.transcripts.records import Cue
from training.transcripts.speech import joined, spoken, unrolled
from training.transcripts.subtitles import parse_cues, read_subtitles

FILES = sorted((ROOT / "tests/data/transcripts").iterdir())
HERE = Path("here")
WORDS = st.lists(st.text("abcdefghij", min_size=1, max_size=8), min_size=1, max_size=8).map(" ".join)
LINES = st.lists(WORDS, min_size=1, max_size=2).map("\n".join)
TIMES = st.lists(st.integers(0, 50_000_000), min_size=1, max_size=20, unique=True).map(sorted)


def nothing(reason: str, text: str) -> None:
    pass


def shown(ms: int, mark: str) -> str:
    return f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}{mark}{ms % 1000:03d}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("transcripts")


@given(TIMES, st.data(), st.sampled_from([",", "."]))
def test_cues_are_read_as_written(times: list[int], data: st.DataObject, mark: str) -> None:
    cues = [Cue(ms / 1000, (ms + 900) / 1000, data.draw(LINES)) for ms in times]
    blocks = [
        f"{number}\n{shown(ms, mark)} --> {shown(ms + 900, mark)}\n{cue.text}\n"
        for number, (ms, cue) in enumerate(zip(times, cues, strict=True), 1)
    ]
    lines = ("WEBVTT\n\n" * (mark == ".") + "\n".join(blocks)).split("\n")
    read = list(parse_cues(lines, HERE))
    assert [one.text for one in read] == [one.text for one in cues]
    for one, other in zip(read, cues, strict=True):
        assert one.start_s == pytest.approx(other.start_s)
        assert one.end_s == pytest.approx(other.end_s)


@given(st.lists(WORDS, min_size=1, max_size=12).filter(lambda all_: all(a != b for a, b in pairwise(all_))))
def test_rolling_captions_give_each_line_once(lines: list[str]) -> None:
    cues: list[Cue] = []
    before = " "
    for at, line in enumerate(lines):
        start_s = 2.0 * at
        first, *rest = line.split()
        tagged = first + "".join(f"<00:00:00.500><c> {word}</c>" for word in rest)
        cues.append(Cue(start_s, start_s + 1.99, f"{before}\n{tagged}"))
        cues.append(Cue(start_s + 1.99, start_s + 2.0, f"{line}\n "))
        before = line
    assert [unmarked(one.text) for one in unrolled(cues, nothing)] == lines


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(max_size=8), VALUES, max_size=4)


@given(st.lists(OBJECTS, max_size=4), OBJECTS, st.booleans(), st.integers(1, 9), st.sampled_from([None, 1]))
def test_items_of_a_document_come_whole_however_it_is_cut(
    found: list[dict[str, Any]], other: dict[str, Any], escape: bool, size: int, indent: int | None
) -> None:
    other.pop("comments", None)
    document = {"first": [{"comments": [other]}], **other, "comments": found, "last": other}
    text = json.dumps(document, ensure_ascii=escape, indent=indent)
    chunks = (text[at : at + size] for at in range(0, len(text), size))
    assert list(items(chunks, "comments", HERE)) == found


def attempts(path: Path) -> Iterator[str]:
    for read in (read_subtitles, lambda one: read_chat(one, nothing)):
        try:
            read(path)
        except TrainingError as error:
            yield str(error)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400), st.sampled_from(["a.srt", "a.vtt", "a.json", "a.csv", "a.log"]))
def test_any_bytes_are_read_or_refused_in_one_sentence(folder: Path, content: bytes, name: str) -> None:
    path = folder / name
    path.write_bytes(content)
    for told in attempts(path):
        assert "\n" not in told
        assert told.endswith(".")


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(FILES), st.data())
def test_a_damaged_file_ends_in_dialogues_or_in_one_sentence(
    folder: Path, file: Path, data: st.DataObject
) -> None:
    content = file.read_bytes()
    at = data.draw(st.integers(0, len(content)))
    junk = data.draw(
        st.sampled_from([b"", b"\xff", b"\n", b'"', b"}", b"[[", b"-->", b"1e999", b"<v ", b"\xe2\x80\x8b"])
    )
    path = folder / file.name
    path.write_bytes(content[:at] + junk + content[at + data.draw(st.integers(0, 60)) :])
    kind = "--subtitles" if file.suffix in (".vtt", ".srt", ".json3") else "--chat"
    out = str(folder / "out.jsonl")
    assert main([kind, str(path), "--streamer", "Mika", "MikaBot", "--language", "any", "--out", out]) in (
        0,
        2,
    )


MESSAGES = st.lists(
    st.tuples(st.integers(0, 90_000), st.text("abcXYZ_09", min_size=1, max_size=10), WORDS),
    min_size=1,
    max_size=10,
).map(sorted)


@settings(deadline=None)
@given(MESSAGES)
def test_plain_and_csv_chat_are_read_as_written(folder: Path, wanted: list[tuple[int, str, str]]) -> None:
    log = folder / "r.log"
    log.write_text(
        "".join(
            f"[{shown(s * 1000, '.')[:8]}] {author}: {text}\n" for s, author, text in wanted if s < 40_000
        )
        or "x"
    )
    table = folder / "r.csv"
    file = io.StringIO()
    csv.writer(file).writerows([("seconds", "author", "text"), *wanted])
    table.write_text(file.getvalue())
    assert [(m.at_s, m.author, m.text) for m in read_chat(table, nothing)] == sorted(
        wanted, key=lambda one: one[0]
    )
    early = [one for one in wanted if one[0] < 40_000]
    if early:
        assert [(m.at_s, m.author, m.text) for m in read_chat(log, nothing)] == early


@given(st.text(max_size=300))
def test_cleaning_ends_and_leaves_nothing_that_is_not_shown(text: str) -> None:
    clean = fluent(unsounded(unmarked(text)))
    assert "\n" not in clean
    assert not {"\u200b", "\u202e", "\x1b", "♪"} & set(clean)
    assert clean == "" or any(character.isalnum() or character == "_" for character in clean)


@given(
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 40), st.text(max_size=60)), max_size=15).map(
        sorted
    )
)
def test_utterances_keep_order_and_length(found: list[tuple[int, int, str]]) -> None:
    cues = [Cue(float(start), float(start + length), text) for start, length, text in found]
    utterances = list(joined(spoken(list(unrolled(cues, nothing)), frozenset(["mika"])), nothing))
    for before, after in pairwise(utterances):
        assert before.start_s <= after.start_s
    for one in utterances:
        assert one.start_s <= one.end_s
        assert len(one.text) < 450
