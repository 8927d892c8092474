"""Whatever happens in whatever order: every message ends once, epochs rise, the voice gets chunks in order."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from conversation import Conversation
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from services.director.drawing import LOADING_WAIT_S
from services.director.inputs import (
    Answered,
    Died,
    Heard,
    InterruptAsked,
    MuteAsked,
    PresenceChanged,
    SayAsked,
)
from shared.commands import Command, Generate, Speak
from shared.events import ChatRetracted, Finished, Progress, SpeechFinished, Token, TurnState

TEXTS = (
    "Hello there, my friend.",
    " I'm Emma.",
    " Well then!",
    " As an AI model",
    " tea",
    ".",
    "",
    " User: hi ",
    " Bye bye.",
)
LOOK_S = 60.0
STEPS = (
    "ask", "ask", "ask_bad", "say", "token", "token", "token", "token_far", "finish", "finish_length", "finish_error",
    "accept", "refuse", "unreachable", "heard", "spoken", "stopped", "speech_error", "interrupt", "retract", "retract_all",
    "mute", "unmute", "llm_dies", "llm_back", "tts_dies", "tts_back", "tts_gone", "wait", "wait_long", "stale",
)  # fmt: skip


class Fuzz:
    def __init__(self, voice: str, llm: str) -> None:
        self.talk = Conversation(voice=voice, llm=llm, queue_limit=3)
        self.asked: list[str] = []
        self.index: Counter[str] = Counter()
        self.text: Counter[str] = Counter()
        self.said = 0

    def last(self, kind: type) -> Any:
        found = self.talk.all(kind)
        return found[-1] if found else None

    def step(self, name: str, number: int) -> None:
        talk = self.talk
        talk.clock.advance(0.01)
        generate: Generate | None = self.last(Generate)
        speak: Speak | None = self.last(Speak)
        if name == "ask":
            self.asked.append(talk.ask("hi", author=f"V{number % 3}", channel="twitch").id)
        elif name == "ask_bad":
            self.asked.append(talk.ask("fuck you", author="V9", channel="twitch").id)
        elif name == "say":
            self.said += 1
            talk.do(SayAsked(f"say-{self.said}", "Short words. Other words.", "happy"))
        elif name in ("interrupt", "mute", "unmute"):
            talk.do(InterruptAsked() if name == "interrupt" else MuteAsked(name == "mute"))
        elif name == "retract":
            talk.do(ChatRetracted(channel="twitch", author_id=f"V{number % 3}", reason="banned"))
        elif name == "retract_all":
            talk.do(ChatRetracted(channel="twitch", reason="cleared"))
        elif name.startswith("llm_"):
            talk.do(PresenceChanged("llm", "starting" if name == "llm_dies" else "ready"))
            if name == "llm_dies":
                talk.do(Died("llm"))
        elif name.startswith("tts_"):
            presence = {"tts_dies": "starting", "tts_back": "ready", "tts_gone": "absent"}[name]
            talk.do(PresenceChanged("tts", presence))  # type: ignore[arg-type]
            if name != "tts_back":
                talk.do(Died("tts"))
        elif name.startswith("wait"):
            talk.wait(0.5 if name == "wait" else 12)
        elif name in ("refuse", "unreachable"):
            for command in (generate, speak):
                if command is not None:
                    talk.do(Answered(command, name, "no."))
        elif name == "stale":
            talk.do(Token(generation="old", index=0, text="stale.", tokens=1))
            talk.do(SpeechFinished(turn="old", epoch=1, reason="done", heard="x", chunks=1))
        elif name == "accept":
            talk.accept_speech()
        elif generate is not None and name.startswith(("token", "finish")):
            self.model(generate, name, number)
        elif speak is not None and name == "heard":
            heard = Progress(
                turn=speak.turn,
                epoch=speak.epoch,
                chunk=speak.chunk,
                position_s=1,
                words_heard=1,
                heard="Hello",
            )
            talk.do(Heard(heard))
        elif speak is not None:
            reason = {"spoken": "done", "stopped": "stopped", "speech_error": "error"}.get(name)
            if reason:
                talk.finish_speech(reason, "Hello")

    def model(self, generate: Generate, name: str, number: int) -> None:
        key = generate.generation
        if name.startswith("finish"):
            reason = {"finish": "stop", "finish_length": "length", "finish_error": "error"}[name]
            text = "Hello there, my friend." if number % 2 else ""
            self.talk.do(Finished(generation=key, reason=reason, text=text, pieces=1))  # type: ignore[arg-type]
            return
        index = self.index[key] + (3 if name == "token_far" else 0)
        self.index[key] = index + 1
        self.talk.do(Token(generation=key, index=index, text=TEXTS[number % len(TEXTS)], tokens=index + 1))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    steps=st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 8)), max_size=40),
    voice=st.sampled_from(["ready", "starting", "absent"]),
    llm=st.sampled_from(["ready", "absent"]),
)
@example(
    steps=[("ask", 0), ("token", 0), ("tts_gone", 0), ("token", 0), ("tts_back", 0)],
    voice="ready",
    llm="ready",
)
@example(steps=[("ask", 0)] * 4 + [("llm_dies", 0)], voice="ready", llm="ready")
def test_every_message_ends_once(steps: list[tuple[str, int]], voice: str, llm: str) -> None:
    fuzz = Fuzz(voice, llm)
    for name, number in steps:
        fuzz.step(name, number)
    # From here nobody answers any more: only the waits can end what is open. The longest is for a model that
    # loads, it is per message, and a deadline that falls between two looks is seen at the second.
    turns = fuzz.talk.turns
    n_open = len(turns.queue) + (turns.turn is not None)
    for _ in range(n_open * (math.ceil(LOADING_WAIT_S / LOOK_S) + 1)):
        fuzz.talk.wait(LOOK_S)
    assert (turns.turn, list(turns.queue)) == (None, [])
    done = [state for state in fuzz.talk.all(TurnState) if state.phase == "done"]
    first = {state.turn: state for state in reversed(done)}.values()
    assert Counter(state.message_id for state in first if state.message_id) == Counter(fuzz.asked)
    # Only what is taken back after its end ends once more.
    again = [state for state in done if not any(state is one for one in first)]
    assert [state.end for state in again] == ["retracted"] * len(again)
    assert len({state.turn for state in again}) == len(again)
    assert not {state.turn for state in again} & {state.turn for state in first if state.end == "retracted"}
    check_epochs(fuzz.talk.did)
    check_speech([item for item in fuzz.talk.did if isinstance(item, Speak)])


def check_epochs(did: list[Any]) -> None:
    epoch = 0
    for item in did:
        if isinstance(item, (TurnState, Speak)) or (
            isinstance(item, Command) and getattr(item, "epoch", None)
        ):
            assert item.epoch >= epoch, f"{item} is older than {epoch}"
            epoch = item.epoch


def check_speech(spoken: list[Speak]) -> None:
    """Within an epoch: chunks 0, 1, 2, …, and nothing after the last."""
    for epoch in {speak.epoch for speak in spoken}:
        chunks = [speak for speak in spoken if speak.epoch == epoch]
        assert [speak.chunk for speak in chunks] == list(range(len(chunks)))
        assert not any(speak.last for speak in chunks[:-1])
        assert len({speak.turn for speak in chunks}) == 1
