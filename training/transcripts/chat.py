"""A chat log of any known kind, read into messages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from training.transcripts.chat_json import parse_twitch, parse_youtube
from training.transcripts.chat_text import is_table, parse_csv, parse_plain
from training.transcripts.json_items import items
from training.transcripts.reading import in_order, read_chunks, read_head, read_lines
from training.transcripts.records import Drop, Message


def read_chat(path: Path, drop: Drop) -> list[Message]:
    """All messages from the start of the video on, in order. Raises TrainingError where it is no chat."""
    head = read_head(path)
    if head.startswith("{"):
        if '"replayChatItemAction"' in head:
            found = parse_youtube(read_lines(path), path)
        else:
            found = parse_twitch(items(read_chunks(path), "comments", path), path)
    elif path.suffix.lower() == ".csv" or is_table(head.split("\n", 1)[0]):
        found = parse_csv(read_lines(path), path)
    else:
        found = parse_plain(read_lines(path), path, drop)

    def from_the_start() -> Iterator[Message]:
        for message in found:
            if message.at_s >= 0:
                yield message
            else:
                drop("before the stream", message.text)

    return in_order(from_the_start(), lambda message: message.at_s, path, "messages")
