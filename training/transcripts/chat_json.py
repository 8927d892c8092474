"""Chat as YouTube's live chat replay (JSON lines) and as TwitchDownloader's comments (one JSON document)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from training.errors import TrainingError
from training.transcripts.json_items import dig, load_object, number
from training.transcripts.records import Message

_RENDERERS = ("liveChatTextMessageRenderer", "liveChatPaidMessageRenderer")


def parse_youtube(lines: Iterable[str], path: Path) -> Iterator[Message]:
    """Messages and paid messages; other items (tickers, memberships, banners) carry no text of a viewer."""
    for at, line in enumerate(lines, 1):
        if not line.strip():
            continue
        entry = load_object(line, f"{path} line {at}")
        replay = dig(entry, "replayChatItemAction")
        if replay is None and at == 1:
            raise TrainingError(f"{path} is no live chat replay: its lines have no replayChatItemAction.")
        offset_ms = number(dig(replay, "videoOffsetTimeMsec") or dig(entry, "videoOffsetTimeMsec") or 0)
        actions = dig(replay, "actions")
        for action in actions if isinstance(actions, list) else ():
            for renderer in _RENDERERS:
                item = dig(action, "addChatItemAction", "item", renderer)
                if item is None:
                    continue
                if offset_ms is None:
                    raise TrainingError(f"{path} line {at} has a videoOffsetTimeMsec that is no time in ms.")
                # What comes before the start of the video has its time as text alone, -0:05.
                early = str(dig(item, "timestampText", "simpleText") or "").startswith("-")
                author, text = dig(item, "authorName", "simpleText"), _runs(dig(item, "message", "runs"))
                if isinstance(author, str) and text:
                    yield Message(-1.0 if early else offset_ms / 1000, author, text)


def _runs(runs: object) -> str:
    """Text of a message: of its emoji those that are characters."""
    parts: list[str] = []
    for run in runs if isinstance(runs, list) else ():
        text = dig(run, "text")
        if isinstance(text, str):
            parts.append(text)
        elif not dig(run, "emoji", "isCustomEmoji"):
            emoji = dig(run, "emoji", "emojiId")
            parts.append(emoji if isinstance(emoji, str) else "")
    return "".join(parts)


def parse_twitch(comments: Iterable[dict[str, Any]], path: Path) -> Iterator[Message]:
    """Messages of TwitchDownloader's `comments`, without their emotes."""
    for comment in comments:
        at_s = number(dig(comment, "content_offset_seconds"))
        if at_s is None:
            raise TrainingError(f"{path} has a comment whose content_offset_seconds is no time in seconds.")
        author = dig(comment, "commenter", "display_name") or dig(comment, "commenter", "name")
        fragments = dig(comment, "message", "fragments")
        if isinstance(fragments, list) and fragments:
            texts = [dig(one, "text") for one in fragments if not dig(one, "emoticon")]
            body: object = " ".join("".join(text for text in texts if isinstance(text, str)).split())
        else:
            body = dig(comment, "message", "body")
        if isinstance(author, str) and isinstance(body, str) and body:
            yield Message(at_s, author, body)
