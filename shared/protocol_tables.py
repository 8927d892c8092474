"""The tables of `docs/protocol.md`, from the code; `python -m shared.protocol_tables` writes them there."""

from __future__ import annotations

import inspect
import re
import sys
import types
import typing
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from shared import commands, events
from shared.config import ROOT
from shared.topics import TOPICS, Delivery

DOCUMENT = ROOT / "docs" / "protocol.md"
_PROMISE = {
    Delivery.STREAM: "stream",
    Delivery.STATE: "state, last one kept",
    Delivery.ENDING: f"ending, last {Delivery.ENDING.value} kept",
}


def tables() -> dict[str, str]:
    """Name of a generated section -> its markdown."""
    used = [topic.event for topic in TOPICS.values()]
    nested = [model for model in vars(events).values() if _is_event(model) and model not in used]
    return {
        "topics": _topics(),
        "events": "\n".join(_model(model) for model in [*dict.fromkeys(used), *nested]),
        "commands": "\n".join(_command(command) for command in commands.COMMANDS.values())
        + "\n"
        + _model(commands.ChatTurn),
    }


def written(text: str) -> str:
    """`text` of the document with every generated section made anew."""
    for name, table in tables().items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        text, count = pattern.subn(lambda match, table=table: match[1] + table + match[2], text)  # type: ignore[misc]
        if count != 1:
            raise ValueError(f"{DOCUMENT} needs one section between <!-- {name} --> and <!-- /{name} -->")
    return text


def _topics() -> str:
    rows = ["| topic | payload | publisher | rate | class |", "|---|---|---|---|---|"]
    for topic in TOPICS.values():
        promise = _PROMISE[topic.delivery] + (", outlives its source" if topic.outlives_source else "")
        who = "every process" if topic.publisher == "*" else topic.publisher
        rows.append(f"| `{topic.name}` | `{topic.event.__name__}` | {who} | {topic.rate} | {promise} |")
    return "\n".join(rows) + "\n"


def _command(command: type[commands.Command]) -> str:
    owner = "any service, named by the sender" if command.owner == "*" else command.owner
    text = f"#### `{command.wire_name}` → {owner}\n\n{inspect.getdoc(command)}\n\n{_fields(command)}"
    if command.reply.model_fields:
        text += f"\nReply: {inspect.getdoc(command.reply)}\n\n{_fields(command.reply)}"
    return text


def _model(model: type[BaseModel]) -> str:
    return f"#### `{model.__name__}`\n\n{inspect.getdoc(model)}\n\n{_fields(model)}"


def _fields(model: type[BaseModel]) -> str:
    if not model.model_fields:
        return "(no fields)\n"
    notes = _attribute_docs(model)
    rows = ["| field | type | default | meaning |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        default = "required" if field.is_required() else f"`{_plain(field.default)}`"
        rows.append(f"| `{name}` | {_type(field.annotation)} | {default} | {notes.get(name, '')} |")
    return "\n".join(rows) + "\n"


def _plain(value: Any) -> str:
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value.value if isinstance(value, Enum) else value)


def _type(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return " \\| ".join(f'"{value}"' for value in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join("nil" if part is type(None) else _type(part) for part in arguments)
    if origin is list:
        return f"array of {_type(arguments[0])}"
    if origin is tuple:
        return "array (" + ", ".join(_type(part) for part in arguments) + ")"
    if origin is dict:
        return f"map {_type(arguments[0])} → {_type(arguments[1])}"
    names = {str: "text", int: "int", float: "float", bool: "bool", bytes: "bin"}
    return names.get(annotation) or f"map `{annotation.__name__}`"


def _attribute_docs(model: type[BaseModel]) -> dict[str, str]:
    """Field -> the docstring that follows it in the source."""
    found = re.findall(
        r'^    (\w+): [^\n]+\n    """(.*?)"""', inspect.getsource(model), re.DOTALL | re.MULTILINE
    )
    return {name: " ".join(text.split()) for name, text in found}


def _is_event(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, events.Event) and value is not events.Event


def main() -> int:
    """Write the document; returns the exit status."""
    path = Path(DOCUMENT)
    path.write_text(written(path.read_text("utf-8")), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
