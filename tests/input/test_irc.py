"""IRC lines with tags: what the specification says and what hostile servers send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.input.irc import IrcMessage, encode_line, parse_line, unescape_tag


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"PING :tmi.twitch.tv", IrcMessage("PING", ("tmi.twitch.tv",))),
        (b"ping x", IrcMessage("PING", ("x",))),
        (b":a!b@c PRIVMSG #x :hi :) there", IrcMessage("PRIVMSG", ("#x", "hi :) there"), "a!b@c")),
        (b":s 001 me :Welcome, GLHF!", IrcMessage("001", ("me", "Welcome, GLHF!"), "s")),
        (b"@a=1;b=x\\sy;c;d= :n!u@h JOIN #x",
         IrcMessage("JOIN", ("#x",), "n!u@h", {"a": "1", "b": "x y", "c": "", "d": ""})),
        (b"@k=v=w  :p   CMD   a   b  ", IrcMessage("CMD", ("a", "b"), "p", {"k": "v=w"})),
        (b":x PRIVMSG #c :", IrcMessage("PRIVMSG", ("#c", ""), "x")),
        (b":x PRIVMSG #c :\xff\xfe!", IrcMessage("PRIVMSG", ("#c", "\ufffd\ufffd!"), "x")),
    ],
)  # fmt: skip
def test_lines(line: bytes, message: IrcMessage) -> None:
    assert parse_line(line) == message


@pytest.mark.parametrize("line", [b"", b"  ", b"@a=b", b":prefix", b"@a=b :p", b"\r", b"@", b":"])
def test_what_is_no_message_gives_none(line: bytes) -> None:
    assert parse_line(line) is None


@given(st.binary(max_size=200))
def test_nothing_a_server_sends_makes_it_stumble(line: bytes) -> None:
    message = parse_line(line)
    assert message is None or (message.command and " " not in message.command)


def test_tag_values_are_unescaped_once_from_left_to_right() -> None:
    assert unescape_tag(r"a\sb\:c\\s\r\nd") == "a b;c\\s\r\nd"
    assert unescape_tag(r"\\\\s\x") == r"\\sx"
    assert unescape_tag("end\\") == "end"


@given(st.text())
def test_one_line_goes_out_whatever_is_in_it(text: str) -> None:
    sent = encode_line("PONG", text)
    assert sent.endswith(b"\r\n")
    assert sent.count(b"\n") == sent.count(b"\r") == 1
    assert b"\0" not in sent
