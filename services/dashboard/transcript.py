"""The plain transcript as a pure function: what to print after each event. Only accepted text appears."""

from __future__ import annotations

from dataclasses import dataclass, replace

from services.dashboard.words import ENDS, blocked_note, ending_note, parameters, printable, short_dtype
from shared.bus import Message, SourceLost
from shared.events import LlmStats, TurnState
from shared.sanitize import clean_name

TOPICS = ("turn.state", "llm.stats")


@dataclass(frozen=True)
class Transcript:
    """What has been printed of the present turn. Printed text cannot be taken back, so a draft never is."""

    epoch: int = 0
    session: str = ""
    turn: str = ""
    written: str = ""
    open: bool = False
    held: str = ""
    """Lines that were refused while she answered: printed below her answer."""


def advance(transcript: Transcript, item: Message | SourceLost) -> tuple[Transcript, str]:
    """The transcript after `item` and the text to print for it."""
    if isinstance(item, SourceLost):
        if item.source != "director" or item.session != transcript.session:
            return transcript, ""
        return replace(transcript, open=False, held=""), _cut_off(transcript)
    event = item.payload
    if not isinstance(event, TurnState) or event.epoch < transcript.epoch:
        return transcript, ""
    if event.end == "retracted" and event.turn != transcript.turn:
        return transcript, ""  # printed long ago, or not known here: there is nothing to say of it
    if event.turn != transcript.turn and event.phase == "done" and transcript.open:
        _, line = advance(Transcript(), item)
        return replace(transcript, held=transcript.held + line), ""
    out = ""
    if event.turn != transcript.turn or event.phase == "idle":
        out = _cut_off(transcript)
        transcript = Transcript(turn=event.turn, open=event.phase != "idle")
        if transcript.open and event.prompt and event.channel != "terminal":
            out += f"{clean_name(event.author)}: {blocked_note(event.rule)}{printable(event.prompt)}\n"
    transcript = replace(transcript, epoch=event.epoch, session=item.session)
    if not transcript.open:
        return transcript, out
    text = printable(event.text)
    if text != transcript.written and not transcript.written.startswith(text):
        more = text.removeprefix(transcript.written)
        if more == text:  # the first chunk, or a text that is not a continuation and has to begin anew
            out += ("\n" if transcript.written else "") + "Akane: "
        out += more
        transcript = replace(transcript, written=text)
    if event.phase == "done":
        out += _ending(event, bool(transcript.written)) + transcript.held
        transcript = replace(transcript, open=False, held="")
    return transcript, out


def introduction(stats: LlmStats) -> str:
    """Who answers here: model, device, dtype and size."""
    where = f"{stats.device} {short_dtype(stats.dtype)}"
    return f"Akane: {printable(stats.model)}, {where}, {parameters(stats.parameters)}"


def _ending(event: TurnState, written: bool) -> str:
    out = ""
    note = ending_note(event.end, written)
    if note:
        out = f" ({note})" if written else f"Akane: ({note})"
    elif not written:
        out = "Akane: …"
    out += "\n"
    if event.tokens:
        first_ms, done_ms = event.timings_ms.get("first_token", 0.0), event.timings_ms.get("done", 0.0)
        out += (
            f"[{event.tokens} tokens, {event.tokens_per_s:.1f} tokens/s, "
            f"first token {first_ms:.0f} ms, elapsed {done_ms / 1000:.1f} s]\n"
        )
    return out


def _cut_off(transcript: Transcript) -> str:
    if not transcript.open:
        return ""
    begun = "" if transcript.written else "Akane:"
    return f"{begun} ({ENDS['lost']})\n{transcript.held}"
