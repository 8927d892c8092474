"""The plain transcript: only accepted text, readable, without escape codes."""

from __future__ import annotations

from dashboard_events import SESSIONS, STATS, chat, exchange, tokens, turn

from services.dashboard.transcript import Transcript, advance, introduction
from shared.tracking import SourceLost
from shared.wire import Message

ABOUT = {"author": "Mika", "channel": "twitch", "prompt": "hi", "message_id": "m1", "generation": "g1"}


def printed(*items: Message | SourceLost) -> str:
    transcript, out = Transcript(), ""
    for item in items:
        transcript, more = advance(transcript, item)
        out += more
    return out


def test_a_typed_line_is_not_repeated_and_the_figures_follow() -> None:
    assert printed(*exchange(1, "hello", "Hi. How are you?")) == (
        "Akane: Hi. How are you?\n[4 tokens, 48.1 tokens/s, first token 92 ms, elapsed 1.3 s]\n"
    )


def test_a_viewers_line_is_printed_by_name_when_it_is_answered() -> None:
    out = printed(*exchange(1, "hello", "Hi.", author="Mika", channel="twitch"))
    assert out.startswith("Mika: hello\nAkane: Hi.\n[")


def test_chunks_appear_as_they_are_accepted_and_drafts_never() -> None:
    think = turn("t1", 1, "thinking", **ABOUT)
    draft = tokens("g1", "As an AI model I", "t1", 1)
    again = turn("t1", 2, "thinking", **{**ABOUT, "generation": "g2"})
    first = turn("t1", 2, "speaking", **ABOUT, text="Well.")
    second = turn("t1", 2, "speaking", **ABOUT, text="Well. Hello!")
    assert printed(think, *draft, again) == "Mika: hi\n"
    assert printed(think, *draft, again, first) == "Mika: hi\nAkane: Well."
    assert printed(think, *draft, again, first, second) == "Mika: hi\nAkane: Well. Hello!"


def test_every_way_to_end_is_one_closed_line() -> None:
    def end(**fields: object) -> str:
        return printed(turn("t1", 1, "thinking", **ABOUT), turn("t1", 1, "done", **ABOUT, **fields))

    assert end(end="refused") == "Mika: hi\nAkane: (not answered)\n"
    assert end(end="refused", text="Let's not.") == "Mika: hi\nAkane: Let's not.\n", "in her own words"
    assert end(end="interrupted", text="Well,") == "Mika: hi\nAkane: Well, (interrupted)\n"
    assert end(end="stop") == "Mika: hi\nAkane: …\n"


def test_what_is_taken_back_before_or_after_its_turn_is_not_printed() -> None:
    speaking = turn("t2", 2, "speaking", **ABOUT, text="Well,")
    gone = {"channel": "twitch", "end": "retracted"}
    assert printed(speaking, turn("t1", 2, "done", **gone), speaking) == "Mika: hi\nAkane: Well,"
    ended = turn("t2", 2, "done", **gone)
    assert printed(speaking, ended) == "Mika: hi\nAkane: Well, (taken back)\n"


def test_a_blocked_line_is_marked() -> None:
    blocked = turn("t1", 1, "done", **ABOUT, end="refused", rule="lewd\x1b[31m")
    assert printed(blocked) == "Mika: [blocked: lewd] hi\nAkane: (not answered)\n"


def test_a_line_that_is_refused_while_she_answers_stands_below_her_answer() -> None:
    speaking = turn("t1", 1, "speaking", **ABOUT, text="Well.")
    refused = turn("t2", 1, "done", **{**ABOUT, "author": "Bo", "prompt": "x"}, end="refused", rule="lewd")
    done = turn("t1", 1, "done", **ABOUT, text="Well. Hello!", end="stop")
    below = "Bo: [blocked: lewd] x\nAkane: (not answered)\n"
    assert printed(speaking, refused, speaking) == "Mika: hi\nAkane: Well."
    assert printed(speaking, refused, speaking, done) == f"Mika: hi\nAkane: Well. Hello!\n{below}"
    lost = SourceLost("director", SESSIONS["director"])
    assert printed(speaking, refused, lost) == f"Mika: hi\nAkane: Well. (cut off)\n{below}"


def test_a_lost_director_closes_the_open_line_once() -> None:
    speaking = turn("t1", 1, "speaking", **ABOUT, text="Well,")
    lost = SourceLost("director", SESSIONS["director"])
    late = turn("t1", 1, "done", **ABOUT, text="Well, ghost", end="stop")
    assert printed(speaking, lost, lost, late) == "Mika: hi\nAkane: Well, (cut off)\n"


def test_a_new_turn_closes_one_that_never_ended() -> None:
    speaking = turn("t1", 1, "speaking", **ABOUT, text="Well,")
    assert printed(speaking, *exchange(2, "next", "Yes.")).startswith(
        "Mika: hi\nAkane: Well, (cut off)\nAkane: Yes."
    )


def test_old_epochs_and_repetitions_print_nothing() -> None:
    items = exchange(1, "hello", "Hi.")
    assert printed(*items, items[-1], turn("t0", 1, "done", text="ghost", end="stop")) == printed(*items)


def test_hostile_text_reaches_the_terminal_as_text() -> None:
    items = exchange(
        1, "\x1b[2J\x1b]0;x\x07wipe", "a\x1b[31mb\x9b1mc\rd\x00", author="\x1b[5mev\u202eil", channel="twitch"
    )
    out = printed(chat("m9", "waits"), *items)
    assert out.startswith("evil: wipe\nAkane: ab")
    assert not any((ord(c) < 32 and c != "\n") or 0x7F <= ord(c) < 0xA0 or c == "\u202e" for c in out)


def test_the_introduction_names_model_device_and_size() -> None:
    assert introduction(STATS) == "Akane: smollm2-135m, cpu bf16, 135 M parameters"
