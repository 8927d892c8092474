"""Dialogues as people write them, one JSON object a line: checked, and made the director's messages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, StringConstraints, model_validator

from shared.config import ConfigError, validate
from shared.persona import Persona, cleaned_line
from training.errors import TrainingError

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20_000)]


class Record(BaseModel):
    """A line of a JSONL file."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: Text


Kind = TypeVar("Kind", bound=Record)


class Turn(BaseModel):
    """What somebody said; `author` "you" is the person at the keyboard, whose name is not shown."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: Literal["user", "assistant"]
    author: str = "you"
    content: Text


class Dialogue(Record):
    """One conversation. It may begin with a turn of hers: what she says into the silence."""

    topic: str = ""
    mood: str = ""
    viewers: list[str] = []
    memory: str = ""
    """What she knows of these viewers from earlier days."""
    tagged: bool = False
    """Whether her sentences begin with mood tags; her instructions then ask for them."""
    turns: list[Turn]

    @model_validator(mode="after")
    def _speaks(self) -> Dialogue:
        if not any(turn.role == "assistant" for turn in self.turns):
            raise ValueError("no turn is hers, so there is nothing to learn")
        return self


def dialogue_files(paths: Iterable[str], root: Path, what: str = "dialogues") -> list[Path]:
    """The JSONL files that are meant, a folder's by name. Raises TrainingError where there are none."""
    files: list[Path] = []
    for name in paths:
        path = root / Path(name).expanduser()
        found = sorted(path.glob("*.jsonl")) if path.is_dir() else [path] if path.exists() else []
        if not found:
            raise TrainingError(f"There are no {what} at {path}: name a .jsonl file or a folder of them.")
        files += found
    return files


def read_dialogues(files: Sequence[Path]) -> list[Dialogue]:
    """All dialogues in order. Raises TrainingError, with file and line, for the first bad one."""
    return read_records(files, Dialogue)


def read_records(files: Sequence[Path], kind: type[Kind]) -> list[Kind]:
    """All lines in order, each checked to be of that kind. Raises TrainingError, with file and line."""
    records: list[Kind] = []
    seen: dict[str, str] = {}
    for path in files:
        try:
            lines = path.read_bytes().decode("utf-8-sig").split("\n")
        except OSError as error:
            raise TrainingError(f"{path} cannot be read: {error.strerror}.") from None
        except UnicodeDecodeError:
            raise TrainingError(f"{path} is not UTF-8 text: save it as UTF-8.") from None
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            where = f"{path} line {number}"
            record = _parse(line, where, kind)
            if record.id in seen:
                raise TrainingError(
                    f"{where} has the id {record.id[:60]!r} of {seen[record.id]}: make it another."
                )
            seen[record.id] = where
            records.append(record)
    if not records:
        raise TrainingError(f"There is no {kind.__name__.lower()} in {', '.join(map(str, files))}.")
    return records


def _parse(line: str, where: str, kind: type[Kind]) -> Kind:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise TrainingError(f"{where} is not valid JSON: {str(error)[:80]}.") from None
    if not isinstance(value, dict):
        needed = ", ".join(name for name, field in kind.model_fields.items() if field.is_required())
        raise TrainingError(f"{where} is no JSON object with {needed}.")
    try:
        return validate(kind, value, where)
    except ConfigError as error:
        raise TrainingError(str(error)[:300]) from None


def messages(dialogue: Dialogue, persona: Persona | None, examples: bool) -> tuple[list[dict[str, str]], int]:
    """The prompt's messages exactly as the director sends them, and how many of them are its head.

    Without a persona (general chat, mixed in) there is no head. `examples` puts the persona's worked examples
    into it.
    """
    head = persona.pinned(dialogue.memory, examples, dialogue.tagged) if persona is not None else []
    turns = [{"role": turn.role, "content": turn.content} for turn in head]
    for turn in dialogue.turns:
        content = cleaned_line(turn.author, turn.content) if turn.role == "user" else turn.content
        turns.append({"role": turn.role, "content": content})
    return turns, len(head)
