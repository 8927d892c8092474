"""The document follows the code, and the bytes of every event stay readable."""

from __future__ import annotations

import json
from pathlib import Path

import msgpack
import pytest

from shared import events
from shared.protocol_tables import DOCUMENT, written
from shared.topics import TOPICS
from shared.wire import WIRE_VERSION, WireError, decode_event, encode_event

GOLDEN = Path(__file__).parents[1] / "data" / "wire_golden.json"
"""topic -> frames in hex, as version 1 sends them. Never changed, only added to: old bytes must stay readable."""

HEADER = {
    "v": 1, "type": "", "source": "somebody", "session": "0199a0b1c2d3-00c0ffee", "host": "here",
    "ts": 1_790_000_000_000_000_000, "mono": 5_000_000_000, "seq": 7, "cause": "0199a0b1c2d3-00c0ffee/chat.message/1",
}  # fmt: skip

EXAMPLES: dict[str, events.Event] = {
    "sys.health": events.Health(phase="ready", pid=42, detail="all is well", last_seq={"llm.token": 9}, gaps={"a/b": 1}),
    "sys.processes": events.Processes(
        processes=[events.ProcessInfo(name="llm", state="ready", pid=42, session="s", restarts=1, detail="d")]
    ),
    "chat.message": events.ChatMessage(
        id="m1", channel="twitch", author="あかり", author_id="7", text="hi 🌸", badges=["vip/1"], bits=100, first=True,
        rule="profanity",
    ),
    "chat.retracted": events.ChatRetracted(channel="twitch", message_id="m1", reason="deleted"),
    "turn.state": events.TurnState(
        turn="t", epoch=3, phase="done", author="a", prompt="p", text="x", heard="x", end="stop", timings_ms={"done": 1.5},
        author_id="7", rule="profanity",
    ),
    "show.cleared": events.Cleared(epoch=3),
    "show.muted": events.Muted(muted=True),
    "avatar.mood": events.Mood(turn="t", epoch=3, mood="happy", intensity=0.5),
    "llm.token": events.Token(
        generation="g", index=0, text="Hé", tokens=1, turn="t", epoch=3,
        logprobs=[events.TokenLogprob(raw="Hé".encode(), logprob=-0.5, top=[(b"H", -0.25), ("Hé".encode(), -0.5)])],
    ),
    "llm.finished": events.Finished(generation="g", reason="stop", text="Hé", pieces=1, prompt_tokens=5),
    "llm.stats": events.LlmStats(model="m", device="cpu", dtype="bfloat16", parameters=10, context=2048),
    "speech.timeline": events.Timeline(
        turn="t", epoch=3, chunk=0, text="Hi.", duration_s=0.5, sample_rate_hz=24000,
        words=[events.Word(text="Hi.", start_s=0.0, end_s=0.4)],
        visemes=[events.Viseme(shape="A", start_s=0.1, openness=0.7)], last=True,
    ),
    "speech.progress": events.Progress(
        turn="t", epoch=3, chunk=0, position_s=0.25, words_heard=1, heard="Hi.", sound_mono_ns=6_000_000_000
    ),
    "speech.finished": events.SpeechFinished(turn="t", epoch=3, reason="done", heard="Hi.", chunks=1),
    "avatar.mouth": events.Mouth(turn="t", epoch=3, shape="E", openness=0.25, position_s=0.1),
    "train.step": events.TrainStep(
        run="nano", step=7, steps=100, loss=3.5, rate=0.001, gradient_norm=0.75, tokens=4096, tokens_per_s=1000.0,
        mfu=0.25, left_s=60.0, heldout_loss=3.25, bits_per_byte=1.5,
    ),
    "bus.probe": events.Probe(nonce="n"),
}  # fmt: skip


def frames_of(topic: str) -> list[bytes]:
    return encode_event(topic, EXAMPLES[topic], {**HEADER, "type": TOPICS[topic].event.__name__})


def golden() -> dict[str, list[list[str]]]:
    return json.loads(GOLDEN.read_text())


def test_the_document_is_what_the_tables_say() -> None:
    text = DOCUMENT.read_text("utf-8")
    assert text == written(text), "run `python -m shared.protocol_tables`"


def test_every_topic_has_golden_bytes() -> None:
    assert set(golden()) == set(TOPICS) == set(EXAMPLES)


@pytest.mark.parametrize("topic", TOPICS)
def test_golden_bytes_are_sent_and_read(topic: str) -> None:
    kept = [[bytes.fromhex(frame) for frame in frames] for frames in golden()[topic]]
    assert frames_of(topic) in kept, f"fields of {topic} were added: append its new bytes to {GOLDEN.name}"
    for frames in kept:
        message = decode_event(frames)
        assert (message.topic, message.id) == (topic, f"0199a0b1c2d3-00c0ffee/{topic}/7")
        assert message.cause == HEADER["cause"]
    assert message.payload == EXAMPLES[topic]


def test_unknown_fields_are_ignored() -> None:
    topic, head, payload = frames_of("llm.token")
    wider = msgpack.packb({**msgpack.unpackb(payload), "colour": "madder"})
    assert (
        decode_event([topic, msgpack.packb({**msgpack.unpackb(head), "new": 1}), wider]).payload
        == EXAMPLES["llm.token"]
    )


def test_another_version_is_refused_clearly() -> None:
    topic, head, payload = frames_of("llm.token")
    other = msgpack.packb({**msgpack.unpackb(head), "v": WIRE_VERSION + 1})
    with pytest.raises(WireError, match="somebody speaks wire version 2, this program speaks 1"):
        decode_event([topic, other, payload])


if __name__ == "__main__":
    known = golden() if GOLDEN.exists() else {}
    for name in TOPICS:
        row = [frame.hex() for frame in frames_of(name)]
        if row not in known.setdefault(name, []):
            known[name].append(row)
    GOLDEN.write_text(json.dumps(known, indent=1) + "\n")
