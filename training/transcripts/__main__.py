"""Subtitles and chat logs of streams, turned into dialogues for training.finetune.

python -m training.transcripts --subtitles day1.vtt --chat day1.live_chat.json --streamer Mika --out out.jsonl
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from shared.config import Section
from shared.persona import load_persona
from training.arguments import parse
from training.dialogues import Dialogue
from training.errors import TrainingError
from training.guard import ended
from training.transcripts.languages import language_test
from training.transcripts.names import Names, plain_name
from training.transcripts.personal import scrubbed
from training.transcripts.pipeline import dialogues_of, exchanges_of
from training.transcripts.reading import by_stem
from training.transcripts.report import Report, table


class Arguments(Section):
    """One run."""

    subtitles: list[str] = Field([], description="what she says: SRT, WebVTT or YouTube's json3 files")
    chat: list[str] = Field(
        [], description="what viewers write: YouTube's live_chat.json, TwitchDownloader's JSON, text, CSV"
    )
    streamer: list[str] = Field(
        min_length=1, description="her name; more names (account, nickname) behind it"
    )
    out: str = Field(min_length=1, description="file of dialogues to write, .jsonl")
    persona: str = Field("akane", description="who takes the streamer's place")
    language: str = Field("en", description="code of the language to keep, or any")
    window_s: float = Field(30.0, gt=0, le=600, description="how old a message may be that she answers")
    report: str = Field("", description="file for the report as JSON")


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 2 and one sentence for wrong arguments or files, 130 for Ctrl-C."""

    def job() -> int:
        return transcribe(parse(Arguments, "python -m training.transcripts", __doc__ or "", argv))

    return ended(job, "Stopped; nothing is written.")


def transcribe(arguments: Arguments) -> int:
    """Read all files, write the dialogues, report on stderr."""
    subtitles = [Path(name).expanduser() for name in arguments.subtitles]
    chats = [Path(name).expanduser() for name in arguments.chat]
    out = Path(arguments.out).expanduser()
    if not subtitles and not chats:
        raise TrainingError(
            "There is nothing to read: name files with --subtitles, with --chat or with both."
        )
    if not all(map(plain_name, arguments.streamer)):
        raise TrainingError("--streamer needs a name with letters.")
    written = [out, *([Path(arguments.report).expanduser()] if arguments.report else [])]
    for path in written:
        if any(path.resolve() == read.resolve() for read in (*subtitles, *chats)):
            raise TrainingError(f"{path} is read and would be written: give another name.")
    persona = load_persona(arguments.persona)
    may_be = language_test(arguments.language)
    names = Names(arguments.streamer, persona)
    report = Report()
    streams = [
        exchanges_of(*pair, arguments.streamer, arguments.window_s, names, report)
        for pair in by_stem(subtitles, chats)
    ]
    dialogues = dialogues_of(streams, names, may_be, report)
    shown = report.as_json(lambda text: names.replaced(scrubbed(text, lambda kind: None)))
    print(table(shown), file=sys.stderr)
    if arguments.report:
        _write(written[1], json.dumps(shown, ensure_ascii=False, indent=2) + "\n")
    if not dialogues:
        raise TrainingError("No dialogue is left: the report above says why.")
    _write(out, "".join(json.dumps(_line(one), ensure_ascii=False) + "\n" for one in dialogues))
    return 0


def _line(dialogue: Dialogue) -> dict[str, Any]:
    """One line of the file, in the form of the persona set."""
    turns = [turn.model_dump(exclude=None if turn.role == "user" else {"author"}) for turn in dialogue.turns]
    return {"id": dialogue.id, "topic": dialogue.topic, "viewers": dialogue.viewers, "turns": turns}


def _write(path: Path, text: str) -> None:
    """The whole file or none of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


if __name__ == "__main__":
    sys.exit(main())
