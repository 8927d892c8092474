"""Twitch chat read without an account, as a state machine: lines and seconds in, lines and events out.

Protocol: https://dev.twitch.tv/docs/chat/irc/ ; a plain IRC server, which knows no tags, is understood too.
"""

from __future__ import annotations

import random
import re
import uuid
from collections import OrderedDict
from dataclasses import dataclass

from services.input.irc import IrcMessage, encode_line, parse_line
from shared.events import ChatMessage, ChatRetracted
from shared.sanitize import clean_name, clean_text

CHANNEL = "twitch"
PING_AFTER_S = 60.0
"""Silence after which the server is asked whether it is still there."""
PONG_WITHIN_S = 10.0
JOIN_WITHIN_S = 20.0
_SEEN_IDS = 4_096
_MAX_NICKS = 3
_NAME = re.compile(r"[a-zA-Z0-9_]{1,25}")
_ID = re.compile(r"[\w-]{1,64}", re.ASCII)
_ACTION = re.compile(r"\x01ACTION (.*?)\x01?", re.DOTALL)
_SHUT_OUT = {"msg_channel_suspended", "msg_banned", "tos_ban", "msg_room_not_found", "msg_channel_blocked"}
"""`msg-id` of the notices after which nothing will ever arrive."""
_CANNOT_JOIN = {"403", "405", "465", "471", "473", "474", "475", "476", "477"}
_LOGIN_REFUSED = re.compile(r"login|improperly formatted auth", re.IGNORECASE)
_NICK_TAKEN = {"432", "433", "436"}


@dataclass(frozen=True)
class Send:
    """Bytes for the server."""

    data: bytes


@dataclass(frozen=True)
class Status:
    """How it stands, for people; `ok` when chat is arriving."""

    ok: bool
    detail: str


@dataclass(frozen=True)
class Lost:
    """This connection is of no use any more: close it and connect again."""

    reason: str


Action = Send | Status | Lost | ChatMessage | ChatRetracted


def channel_name(name: str) -> str | None:
    """The name as Twitch writes it (lower case, no `#`), or None when it cannot be one."""
    name = name.removeprefix("#")
    return name.lower() if _NAME.fullmatch(name) else None


def backoff_s(failures: int, rng: random.Random) -> float:
    """Seconds before the next attempt: 1 to 60, doubling, spread so that clients do not come in step."""
    return max(1.0, min(60.0, 2.0 ** min(failures, 6)) * rng.uniform(0.5, 1.0))


class TwitchChat:
    """What has been said in one channel; outlives its connections, so that nothing is delivered twice."""

    def __init__(self, channel: str, max_chars: int, rng: random.Random) -> None:
        self.channel = channel
        self._max_chars = max_chars
        self._rng = rng
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._nick = ""
        self._opened_at = 0.0
        self._heard_at = 0.0
        self._pinged_at: float | None = None
        self._complained = False
        self._nicks_tried = 0
        self.joined = False

    def opened(self, now: float) -> list[Action]:
        """A connection stands: what to say first. `now` in monotonic seconds, here and below."""
        self._opened_at = self._heard_at = now
        self._pinged_at = None
        self._complained = self.joined = False
        self._nicks_tried = 0
        return [Send(encode_line("CAP", "REQ", "twitch.tv/tags twitch.tv/commands")), *self._introduce()]

    def received(self, line: bytes, now: float) -> list[Action]:
        """A line has come in, without its line end."""
        self._heard_at = now
        self._pinged_at = None
        message = parse_line(line)
        if message is None:
            return []
        command = message.command
        if command in ("PRIVMSG", "CLEARMSG", "CLEARCHAT") and not self._is_ours(message):
            return []
        match command:
            case "PRIVMSG":
                return self._said(message)
            case "CLEARMSG":
                target = _checked_id(message.tags.get("target-msg-id", ""))
                return [ChatRetracted(channel=CHANNEL, message_id=target, reason="deleted")] if target else []
            case "CLEARCHAT":
                return [self._cleared(message)]
            case "PING":
                return [Send(encode_line("PONG", message.text))]
            case "CAP" if len(message.params) > 1 and message.params[1] in ("ACK", "NAK"):
                # Without the capabilities chat goes on with plain names and no retractions.
                return [Send(encode_line("CAP", "END"))]
            case "001":
                return [Send(encode_line("JOIN", f"#{self.channel}"))]
            case "JOIN" | "366" if not self.joined and (command == "366" or message.nick == self._nick):
                self.joined = True
                return [Status(True, f"connected to the Twitch chat of {self.channel}")]
            case "RECONNECT":
                return [Lost("the server asked for a new connection")]
            case "ERROR":
                return [Lost(f"the server said: {clean_text(message.text, 120)}")]
            case "NOTICE" if message.tags.get("msg-id") in _SHUT_OUT:
                return [self._shut_out(message)]
            case "NOTICE" if not self.joined and _LOGIN_REFUSED.search(message.text):
                return [Lost(f"the server refused us: {clean_text(message.text, 120)}")]
        if command in _NICK_TAKEN:
            if self._nicks_tried >= _MAX_NICKS:
                return [Lost(f"the server takes no name of ours: {clean_text(message.text, 120)}")]
            return self._introduce()
        if command in _CANNOT_JOIN:
            return [self._shut_out(message)]
        return []

    def tick(self, now: float) -> list[Action]:
        """Time has passed: ask a silent server whether it lives, give up on one that does not answer."""
        if self._pinged_at is not None and now - self._pinged_at >= PONG_WITHIN_S:
            return [Lost(f"the server has been silent for {now - self._heard_at:.0f} s")]
        if self._pinged_at is None and now - self._heard_at >= PING_AFTER_S:
            self._pinged_at = now
            return [Send(encode_line("PING", "akane"))]
        if not self.joined and not self._complained and now - self._opened_at >= JOIN_WITHIN_S:
            self._complained = True
            return [
                Status(False, f"Twitch does not open the channel {self.channel!r}: check that it exists.")
            ]
        return []

    def _introduce(self) -> list[Action]:
        self._nicks_tried += 1
        self._nick = f"justinfan{self._rng.randint(10_000, 99_999_999)}"
        return [
            Send(encode_line("NICK", self._nick)),
            Send(encode_line("USER", self._nick, "0", "*", self._nick)),
        ]

    def _is_ours(self, message: IrcMessage) -> bool:
        return bool(message.params) and message.params[0].lower() == f"#{self.channel}"

    def _said(self, message: IrcMessage) -> list[Action]:
        text = message.text
        if action := _ACTION.fullmatch(text):
            text = f"*{action[1]}*"
        elif text.startswith("\x01") or len(message.params) < 2:
            return []
        tags = message.tags
        if tags.get("reply-parent-user-login") == self.channel:
            text = re.sub(r"^@\S+\s+", "", text)  # Twitch prefixes answers; this one is for her
        text = clean_text(text, self._max_chars)
        id = _checked_id(tags.get("id", ""))
        if not text or (id is not None and self._is_repeated(id)):
            return []
        login = message.nick.lower()
        bits = tags.get("bits", "")
        return [
            ChatMessage(
                id=id or uuid.uuid4().hex,
                channel=CHANNEL,
                author=clean_name(tags.get("display-name") or message.nick),
                author_id=_checked_id(tags.get("user-id", "")) or clean_name(login),
                text=text,
                badges=_badges(tags),
                bits=int(bits) if bits.isdecimal() and len(bits) < 10 else 0,
                first=tags.get("first-msg") == "1",
            )
        ]

    def _cleared(self, message: IrcMessage) -> ChatRetracted:
        if len(message.params) < 2:
            return ChatRetracted(channel=CHANNEL, reason="cleared")
        author = _checked_id(message.tags.get("target-user-id", "")) or clean_name(message.text.lower())
        return ChatRetracted(channel=CHANNEL, author_id=author, reason="banned")

    def _shut_out(self, message: IrcMessage) -> Status:
        self._complained = True
        reason = clean_text(message.text, 120).rstrip(".")
        return Status(False, f"Twitch does not let us read {self.channel!r}: {reason}.")

    def _is_repeated(self, id: str) -> bool:
        repeated = id in self._seen
        self._seen[id] = None
        self._seen.move_to_end(id)
        if len(self._seen) > _SEEN_IDS:
            self._seen.popitem(last=False)
        return repeated


def _checked_id(value: str) -> str | None:
    return value if _ID.fullmatch(value) else None


def _badges(tags: dict[str, str]) -> list[str]:
    names = [clean_name(badge.partition("/")[0]) for badge in tags.get("badges", "").split(",") if badge]
    for tag, name in (("mod", "moderator"), ("vip", "vip"), ("subscriber", "subscriber")):
        if tags.get(tag) == "1" and name not in names:
            names.append(name)
    return names[:16]
