"""Streams as files become dialogues that training reads; broken and hostile files give one sentence."""

from __future__ import annotations

import json
import sys
import tracemalloc
from pathlib import Path

import pytest

from tests.training.training_helpers import ROOT
from training.dialogues import Dialogue, read_dialogues
from training.transcripts.__main__ import main
from training.transcripts.reading import by_stem, read_lines
from training.transcripts.subtitles import read_subtitles

FILES = ROOT / "tests/data/transcripts"


def made(tmp_path: Path, *arguments: str | Path, language: str = "any") -> list[Dialogue]:
    out = tmp_path / "out.jsonl"
    report = tmp_path / "report.json"
    assert (
        main([*map(str, arguments), "--out", str(out), "--language", language, "--report", str(report)]) == 0
    )
    return read_dialogues([out])


def said(dialogues: list[Dialogue]) -> list[list[str]]:
    return [[turn.content for turn in one.turns] for one in dialogues]


def test_rolling_captions_and_live_chat_become_replies_and_idle_talk(tmp_path: Path) -> None:
    pytest.importorskip("py3langid", reason="the extra `transcripts` is not installed")
    dialogues = made(
        tmp_path,
        *("--subtitles", FILES / "rolling.en.vtt", "--chat", FILES / "rolling.live_chat.json"),
        *("--streamer", "Mika", "Mika Hoshino"),
        language="en",
    )
    texts = said(dialogues)
    assert [
        "whats your favorite snack for long streams?",
        "My favorite snack for long streams is rice crackers with way too much seaweed on them.",
    ] in texts
    assert ["Wait Akane is trending somewhere that cannot be right."] in texts
    assert ["watch the frog!!! a link", "No no not the frog it jumped right in front of my boat."] in texts
    everything = (tmp_path / "out.jsonl").read_text("utf-8") + (tmp_path / "report.json").read_text("utf-8")
    for private in ("mika", "noodle", "paula", "turnip", "example.com", "1234567", "otto"):
        assert private not in everything.lower().replace("rolling", "")
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert {reason: found["count"] for reason, found in report["dropped"].items()} == {
        "repeated by rolling captions": 18,
        "no speech": 1,
        "with a censored word": 1,
        "before the stream": 1,
        "from a bot": 1,
        "a command": 1,
        "repeated by its author": 1,
        "message not answered": 1,
        "another language": 1,
    }
    assert report["scrubbed"] == {"e-mail address": 1, "phone number": 1, "address of the web": 1}


def test_a_viewer_that_she_calls_by_half_the_handle_is_called_by_the_invented_name(tmp_path: Path) -> None:
    dialogues = made(
        tmp_path,
        *("--subtitles", FILES / "rolling.en.vtt", "--chat", FILES / "rolling.live_chat.json"),
        *("--streamer", "Mika"),
    )
    kitten = next(one for one in dialogues if "kitten" in one.turns[0].content)
    handle = kitten.turns[0].author
    assert kitten.viewers == [handle]
    assert handle.split("_")[0].title() in kitten.turns[1].content
    assert "biscuit" in kitten.turns[1].content, "the cat keeps its name"


def test_guests_are_answered_and_nobody_is_taken_for_her(tmp_path: Path) -> None:
    dialogues = made(
        tmp_path,
        *("--subtitles", FILES / "collab.srt", "--chat", FILES / "collab.json", "--streamer", "Mika"),
    )
    guests = next(one for one in dialogues if one.topic == "guests")
    assert said([guests]) == [
        [
            "Hello, hello. Why is your ladder made of cheese?",
            "Because wood was too expensive, and cheese grows back. It does grow back, I checked.",
        ]
    ]
    everything = (tmp_path / "out.jsonl").read_text("utf-8").lower()
    assert "somebody in the room" not in everything
    assert "is that a duck" not in everything
    for private in ("bram", "gravel", "duckfan"):
        assert private not in everything


def test_json3_and_chat_with_a_bot_stand_alone(tmp_path: Path) -> None:
    alone = made(tmp_path, "--subtitles", FILES / "captions.en.json3", "--streamer", "Mika")
    assert [one.topic for one in alone] == ["idle"] * 3
    chat = made(tmp_path, "--chat", FILES / "bot.log", FILES / "table.csv", "--streamer", "MikaBot")
    assert [
        "what are you painting, a boat?",
        "A boat, yes, and most of my left sleeve.",
        "lol which color",
        "The color on the tin says harbor fog.",
    ] in said(chat)


def test_the_same_stream_twice_is_learned_once(tmp_path: Path) -> None:
    once = made(tmp_path, "--chat", FILES / "bot.log", "--streamer", "MikaBot")
    twice = made(tmp_path, "--chat", FILES / "bot.log", FILES / "bot.log", "--streamer", "MikaBot")
    assert twice == once


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.srt", b"", "is empty"),
        ("a.srt", b"\x7fELF\0\0\1\2", "is no text file"),
        ("a.srt", b"1\n00:00:01,000 --> 00:00:02,000\n" + "naïve".encode("latin-1"), "is not UTF-8"),
        ("a.srt", b"just a letter to my aunt\n", "There are no subtitles in"),
        ("a.srt", b"1\n00:00:0x,000 --> 00:00:02,000\nhi\n", "line 2 has times that cannot be read"),
        ("a.srt", b"1\n-00:00:01,000 --> 00:00:02,000\nhi\n", "below zero"),
        ("a.srt", b"1\n00:00:03,000 --> 00:00:02,000\nhi\n", "an end before its start"),
        ("a.srt", b"00:05:00,0 --> 00:05:01,0\na\n\n00:01:00,0 --> 00:01:01,0\nb\n", "goes back in time"),
        ("a.srt", b"9999:00:00,0 --> 9999:00:01,0\na\n", "times go from 0 to 100 hours"),
        ("a.srt", b"00:00:01,0 --> 00:00:02,0\n" + b"ab cd\n" * 500, "longer than 2,000 characters"),
        ("a.json3", b'{"events": [{"tStartMs": 1, "segs": [{"utf8": "a"}', "ends in the middle of its JSON"),
        ("a.json3", b'{"events": [{"tStartMs": "x", "segs": []}]}', "no time in ms"),
        ("a.json3", b'{"events": [{"tStartMs": -5, "segs": [{"utf8": "a"}]}]}', "times go from 0"),
        ("a.json3", b'{"events": [' + b"[" * 100_000, "nested deeper"),
        ("a.json3", b'{"events": [{]}', "closes what was not opened"),
        ("a.json3", b'{"events": [{"tStartMs": 1e, "segs": 3}]}', "is not valid JSON"),
        (
            "c.json",
            b'{"replayChatItemAction": {"actions": []}}\n{"replayChat',
            "line 2 is not valid JSON",
        ),
        ("c.json", b'{"replayChatItemAction": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001, "JSON"),
        ("c.json", b'{"comments": [{"content_offset_seconds": "noon"}]}', "no time in seconds"),
        ("c.json", b'{"comments": 3}', "There are no messages"),
        ("c.txt", b"Dear diary,\ntoday was fine.\n", "is no chat log that is known"),
        ("c.txt", b"[0:09:00] a: hello\n[0:01:00] b: hello\n", "goes back in time"),
        ("c.csv", b"when,who\n1,2\n", "has no column for the time"),
        ("c.csv", b"time,user,message\nnoon,a,b\n", "has the time 'noon'"),
        ("c.csv", b"time,user,message\n1,a\n", "too few columns"),
        ("c.csv", b'time,user,message\n1,a,"' + b"never closed\n" * 20_000, "is no CSV table"),
        ("c.txt", b"[0:00:01] viewer: is she here?\n", "writes nothing in"),
    ],
)
def test_a_broken_file_gives_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes, sentence: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    kind = "--chat" if name.startswith("c") else "--subtitles"
    out = tmp_path / "out.jsonl"
    assert main([kind, str(path), "--streamer", "Mika", "--language", "any", "--out", str(out)]) == 2
    told = capsys.readouterr().err
    assert sentence in told
    assert told.count("\n") == 1
    assert str(path) in told
    assert not out.exists()


def test_wrong_arguments_give_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log, srt = str(FILES / "bot.log"), str(FILES / "collab.srt")
    copy = tmp_path / "copy.log"
    copy.write_bytes((FILES / "bot.log").read_bytes())
    late = tmp_path / "late.log"
    late.write_text("[1:00:00] a: hello there\n")
    out = ["--out", str(tmp_path / "o.jsonl"), "--language", "any"]
    for arguments, sentence in (
        (["--streamer", "M", *out], "There is nothing to read"),
        (["--chat", str(tmp_path / "none"), "--streamer", "M", *out], "There is no file"),
        (["--chat", str(tmp_path), "--streamer", "M", *out], "There is no file"),
        (["--chat", log, "--streamer", "!?", *out], "needs a name with letters"),
        (
            ["--chat", str(copy), "--streamer", "M", "--out", str(copy), "--language", "any"],
            "would be written",
        ),
        (["--subtitles", srt, "--streamer", "Zelda", *out], "the names there are BRAM, MIKA"),
        (["--subtitles", srt, "--chat", str(late), "--streamer", "Mika", *out], "do not meet"),
        (["--subtitles", srt, "--chat", log, str(late), "--streamer", "Mika", *out], "Which chat belongs to"),
    ):
        assert main(arguments) == 2
        told = capsys.readouterr().err
        assert sentence in told
        assert told.count("\n") == 1


def test_an_unknown_language_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("py3langid", reason="the extra `transcripts` is not installed")
    out = str(tmp_path / "o.jsonl")
    assert (
        main(
            ["--chat", str(FILES / "bot.log"), "--streamer", "MikaBot", "--language", "klingon", "--out", out]
        )
        == 2
    )
    assert "There is no language 'klingon'" in capsys.readouterr().err


def test_a_missing_py3langid_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "py3langid.langid", None)
    out = str(tmp_path / "o.jsonl")
    assert main(["--chat", str(FILES / "bot.log"), "--streamer", "MikaBot", "--out", out]) == 2
    assert "py3langid, which tells languages apart, is missing" in capsys.readouterr().err


def test_a_line_without_end_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "line.srt"
    with path.open("wb") as file:
        for _ in range(100):
            file.write(b"x" * (1 << 20))
    tracemalloc.start()
    with pytest.raises(Exception, match="line 1 is longer than"):
        list(read_lines(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 << 20


def test_endless_cues_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.transcripts.reading.MAX_RECORDS", 50)
    path = tmp_path / "long.srt"
    path.write_text("00:00:01,000 --> 00:00:02,000\nhi\n\n" * 51)
    with pytest.raises(Exception, match="more than 50 subtitles"):
        read_subtitles(path)


def test_utf16_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    text = (FILES / "collab.srt").read_text("utf-8")
    path = tmp_path / "w.srt"
    path.write_bytes(text.replace("\n", "\r\n").encode("utf-16"))
    assert read_subtitles(path) == read_subtitles(FILES / "collab.srt")


def test_pairs_by_stem_then_by_order() -> None:
    def paths(*names: str) -> list[Path]:
        return [Path(name) for name in names]

    assert by_stem(
        paths("b.en.vtt", "a [x.y].en-US.vtt"), paths("a [x.y].live_chat.json", "b.live_chat.json")
    ) == [
        (Path("b.en.vtt"), Path("b.live_chat.json")),
        (Path("a [x.y].en-US.vtt"), Path("a [x.y].live_chat.json")),
    ]
    assert by_stem(paths("p.srt"), paths("q.log")) == [(Path("p.srt"), Path("q.log"))]
    assert by_stem([], paths("q.log")) == [(None, Path("q.log"))]
