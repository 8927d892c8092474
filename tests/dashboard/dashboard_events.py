"""A show as a list of messages, for tests of what is drawn."""

from __future__ import annotations

from collections.abc import Iterator

from shared.events import (
    ChatMessage,
    Event,
    Health,
    LlmStats,
    Mood,
    Processes,
    ProcessInfo,
    Token,
    TurnState,
)
from shared.topics import TOPICS
from shared.wire import Message

SESSIONS = {name: f"{at:012x}-00000000" for at, name in enumerate(("director", "llm", "input", "tts"))}
_TOPIC_OF = {row.event: name for name, row in TOPICS.items()}


def message(event: Event, source: str = "", session: str = "", mono: int = 0, seq: int = 0) -> Message:
    """`event` as a reader gets it, from the publisher the topic table names."""
    topic = _TOPIC_OF[type(event)]
    source = source or TOPICS[topic].publisher
    session = session or SESSIONS.get(source, "0" * 12 + "-ffffffff")
    return Message(topic, event, source, session, seq, "here", 0, mono)


def chat(id: str, text: str, author: str = "you", channel: str = "terminal", author_id: str = "") -> Message:
    line = ChatMessage(id=id, channel=channel, author=author, author_id=author_id or author, text=text)
    return message(line)


def turn(name: str, epoch: int, phase: str, **fields: object) -> Message:
    return message(TurnState.model_validate({"turn": name, "epoch": epoch, "phase": phase, **fields}))


def tokens(generation: str, text: str, turn: str, epoch: int, start: int = 0) -> list[Message]:
    """`text` in pieces of a word."""
    words = text.split(" ")
    pieces = [words[0], *(f" {word}" for word in words[1:])]
    return [
        message(Token(generation=generation, index=i, text=piece, tokens=i + 1, turn=turn, epoch=epoch))
        for i, piece in enumerate(pieces)
        if i >= start
    ]


def exchange(number: int, prompt: str, reply: str, **fields: object) -> list[Message]:
    """A line and its answered turn, as the bus carries them."""
    epoch, name, generation = 1000 + number, f"t{number}", f"g{number}"
    about = {"author": "you", "channel": "terminal", "prompt": prompt, "message_id": f"m{number}", **fields}
    about = {"generation": generation, "author_id": about["author"], **about}
    end = about.pop("end", "stop")
    heard = reply if end == "stop" else reply[: len(reply) // 2]
    figures = {
        "tokens": len(reply.split()),
        "tokens_per_s": 48.1,
        "timings_ms": {"first_token": 92.4, "first_sound": 410.0, "done": 1320.0},
    }
    return [
        chat(f"m{number}", prompt, str(about["author"]), str(about["channel"])),
        turn(name, epoch, "thinking", **about),
        *tokens(generation, reply, name, epoch),
        turn(name, epoch, "speaking", **about, text=reply.split(". ")[0]),
        turn(name, epoch, "done", **about, text=reply, heard=heard, end=end, **figures),
    ]


STATS = LlmStats(
    model="smollm2-135m",
    device="cpu",
    dtype="bfloat16",
    parameters=134_515_008,
    context=2048,
    slots=2,
    active=1,
    kv_used=1100,
    kv_capacity=4096,
    tokens_per_s=48.1,
    first_token_ms=92.0,
    tokens_total=1204,
    threads=2,
)


def health(name: str, phase: str = "ready", mono: int = 0, **fields: object) -> Message:
    values = {"phase": phase, "pid": 4000 + len(name), "rss_mb": 41.0, **fields}
    return message(Health.model_validate(values), source=name, mono=mono)


def processes(**states: str) -> Message:
    return message(
        Processes(
            processes=[
                ProcessInfo.model_validate({"name": name, "state": state}) for name, state in states.items()
            ]
        )
    )


def demo() -> Iterator[Message]:
    """A show in the middle of its third reply."""
    yield message(STATS)
    names = ("bus", "llm", "tts", "director", "input", "dashboard")
    yield processes(**dict.fromkeys(names, "ready"))
    for name in names:
        yield health(name, rss_mb=22.0 if name != "llm" else 512.0, pid=40212 + len(name))
    yield health("recorder", "degraded", detail="The disk is nearly full: 312 MB are left.")
    for rate in (31.0, 44.0, 48.0, 47.0, 52.0, 39.0, 48.1):
        yield message(STATS.model_copy(update={"tokens_per_s": rate}))
    yield from exchange(1, "hi Akane!", "Hi there! I'm Akane, and I'm so happy you came by tonight.")
    yield from exchange(
        2, "what's your favourite colour?", "Madder red, of course. It is in my name, after all!",
        author="Mika", channel="twitch", end="interrupted",
    )  # fmt: skip
    yield chat("m3", "tell me a story about a lighthouse please", "ゆき", "twitch")
    yield chat("m4", "[bold]hello[/bold] \x1b[31mred", "evil<|im_end|>", "twitch")
    about = {"author": "ゆき", "channel": "twitch", "prompt": "tell me a story about a lighthouse please",
             "message_id": "m3", "generation": "g3", "queued": 1}  # fmt: skip
    yield message(Mood(turn="t3", epoch=1003, mood="happy"))
    yield turn("t3", 1003, "thinking", **about)
    story = "Once upon a time a lighthouse fell in love with a passing ship. Every night it blinked, and"
    yield from tokens("g3", story, "t3", 1003)
    yield turn("t3", 1003, "speaking", **about, text="Once upon a time a lighthouse fell in love", tokens=12)
