"""The reducer: whatever is missed, the chat ends the same; what is over never comes back."""

from __future__ import annotations

from dashboard_events import (
    SESSIONS,
    STATS,
    chat,
    exchange,
    health,
    message,
    processes,
    tokens,
    turn,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from services.dashboard.lines import exchange_lines, panel, waiting_lines
from services.dashboard.state import (
    EXCHANGE_LIMIT,
    WAITING_LIMIT,
    DashboardState,
    Exchange,
    repair,
    replay_all,
)
from shared.commands import ReplayReply
from shared.events import ChatMessage, ChatRetracted, Mood, TrainStep, TurnState
from shared.topics import TOPICS
from shared.tracking import SourceLost
from shared.wire import Message

ABOUT = {"author": "Mika", "channel": "twitch", "prompt": "hi", "message_id": "m1", "generation": "g1"}


def last(state: DashboardState) -> Exchange:
    return state.exchanges[-1]


def test_a_reply_grows_token_by_token_and_ends_as_the_accepted_text() -> None:
    items = [turn("t1", 1, "thinking", **ABOUT), *tokens("g1", "one two three", "t1", 1)]
    seen = [last(replay_all(items[:n])).reply for n in range(1, len(items) + 1)]
    assert seen == ["", "one", "one two", "one two three"]
    state = replay_all([*items, turn("t1", 1, "done", **ABOUT, text="one two.", end="stop")])
    assert last(state).reply == "one two."
    assert not last(state).live


def test_a_redraw_replaces_the_draft_and_the_old_tokens_stay_away() -> None:
    old = tokens("g1", "as an AI model", "t1", 1)
    second = {**ABOUT, "generation": "g2", "draw": 2}
    state = replay_all([turn("t1", 1, "thinking", **ABOUT), *old[:2], turn("t1", 2, "thinking", **second)])
    assert last(state).reply == ""
    state = replay_all([*old[2:], *tokens("g2", "well hello", "t1", 2)], state)
    assert last(state).reply == "well hello"
    assert len(state.exchanges) == 1


def test_older_epochs_never_change_the_screen() -> None:
    state = replay_all(exchange(5, "now", "Present. Really."))
    late = [
        turn("t2", 1002, "thinking", **ABOUT),
        *tokens("g2", "ghost words", "t2", 1002),
        turn("t5", 1002, "done", text="ghost", end="stop"),
        message(Mood(epoch=1002, mood="sad")),
    ]
    assert replay_all(late, state) == state


def test_tokens_that_overtake_the_turn_state_are_kept() -> None:
    state = replay_all([*tokens("g1", "fast words", "t1", 1), turn("t1", 1, "thinking", **ABOUT)])
    assert last(state).reply == "fast words"


def test_tokens_of_other_peoples_generations_are_not_chat() -> None:
    foreign = tokens("api", "not hers", "t9", 1)
    for item in foreign:
        item.payload = item.payload.model_copy(update={"turn": None, "epoch": None})
    assert replay_all(foreign) == DashboardState()


def test_a_hole_is_shown_and_repaired_by_a_replay() -> None:
    pieces = tokens("g1", "a b c d e f", "t1", 1)
    state = replay_all([turn("t1", 1, "thinking", **ABOUT), pieces[0], *pieces[3:5]])
    assert last(state).reply == "… d e"
    assert state.hole == "g1"
    state = repair(state, "g1", ReplayReply(from_index=0, pieces=["a", " b", " c", " d"], finished=False))
    assert last(state).reply == "a b c d e"
    assert state.hole is None
    assert last(replay_all([pieces[5]], state)).reply == "a b c d e f"


def test_a_replay_of_another_generation_or_too_short_changes_nothing() -> None:
    state = replay_all([turn("t1", 1, "thinking", **ABOUT), *tokens("g1", "a b c d", "t1", 1, start=2)])
    reply = ReplayReply(from_index=0, pieces=["x"], finished=False)
    assert repair(state, "g2", reply) is state
    assert last(repair(state, "g1", reply)).reply == last(state).reply


def test_lines_wait_below_until_they_are_picked() -> None:
    state = replay_all([chat("m1", "first"), chat("m2", "second"), turn("t1", 1, "thinking", **ABOUT)])
    assert [w.text for w in state.waiting] == ["second"]
    done = turn("t1", 1, "done", **ABOUT, end="stop", queued=1)
    assert [w.text for w in replay_all([done], state).waiting] == ["second"]
    nobody_answers = turn("t1", 1, "done", **ABOUT, end="stop", queued=0)
    assert replay_all([nobody_answers], state).waiting == ()


def test_a_line_that_came_during_the_turn_is_not_dropped_with_its_end() -> None:
    state = replay_all([turn("t1", 1, "thinking", **ABOUT), chat("m2", "just now")])
    state = replay_all([turn("t1", 1, "done", **ABOUT, end="stop", queued=0)], state)
    assert [w.text for w in state.waiting] == ["just now"]


def test_retraction_hides_a_waiting_and_an_answered_line() -> None:
    state = replay_all([*exchange(1, "rude", "Hm.", author="bad", channel="twitch"), chat("m2", "x", "bad")])
    gone = message(ChatRetracted(channel="twitch", message_id="m1", reason="deleted"))
    assert last(replay_all([gone], state)).retracted
    ban = message(ChatRetracted(channel="twitch", author_id="bad", reason="banned"))
    banned = replay_all([chat("m3", "y", "bad", "twitch"), chat("m4", "z", "good", "twitch"), ban], state)
    assert last(banned).retracted
    assert [w.id for w in banned.waiting] == ["m2", "m4"], "another channel's and another author's lines stay"


def test_a_screen_that_never_saw_the_line_knows_whose_it_was() -> None:
    seen = [item for item in exchange(1, "rude", "Hm.", author="bad") if isinstance(item.payload, TurnState)]
    ban = message(ChatRetracted(channel="terminal", author_id="bad", reason="banned"))
    assert last(replay_all([*seen, ban])).retracted


def test_a_blocked_line_is_marked_while_it_waits_and_afterwards() -> None:
    line = message(
        ChatMessage(id="m1", channel="twitch", author="bad", author_id="b", text="rude", rule="self_harm")
    )
    waiting = replay_all([line])
    assert [text.plain for text in waiting_lines(waiting, 60)] == ["◦ bad twitch  [blocked: self harm] rude"]
    refused = turn("t1", 1, "done", end="refused", prompt="rude", author="bad", message_id="m1", rule="lewd")
    assert exchange_lines(last(replay_all([refused])), 60)[0].plain == "bad  [blocked: lewd] rude"


def test_a_lost_director_closes_the_reply_and_the_next_turn_goes_on() -> None:
    items = [turn("t1", 1, "thinking", **ABOUT), *tokens("g1", "half a", "t1", 1)]
    state = replay_all([*items, SourceLost("director", SESSIONS["director"])])
    assert (last(state).end, last(state).reply, state.phase) == ("lost", "half a", "idle")


def test_the_loss_of_an_earlier_director_does_not_close_the_turn_of_its_successor() -> None:
    begun = turn("t2", 2, "thinking", **ABOUT)
    begun.session = "0" * 11 + "f-00000000"
    state = replay_all(
        [turn("t1", 1, "thinking", **ABOUT), begun, SourceLost("director", SESSIONS["director"])]
    )
    assert last(state).live
    assert state.exchanges[0].end == "lost"


def test_everything_is_bounded() -> None:
    items = [item for n in range(EXCHANGE_LIMIT + 20) for item in exchange(n, "q", "a b")]
    items += [chat(f"x{n}", "spam") for n in range(WAITING_LIMIT + 20)]
    state = replay_all(items)
    assert len(state.exchanges) == EXCHANGE_LIMIT
    assert len(state.waiting) == WAITING_LIMIT
    assert last(state).turn == f"t{EXCHANGE_LIMIT + 19}"


def test_the_health_table_joins_what_the_launcher_and_the_processes_say() -> None:
    second = 1_000_000_000
    state = replay_all(
        [
            processes(llm="ready", tts="backoff", bus="ready"),
            health("llm", "loading", mono=9 * second, gaps={"input/chat.message": 2, "tts/x.y": 1}),
            health("tts", mono=9 * second),
            health("bus", mono=1 * second),
            health("guest", mono=9 * second),
        ]
    )
    rows = {row.name: row for row in state.rows}
    assert list(rows) == ["llm", "tts", "bus", "guest"]
    assert (rows["llm"].state, rows["llm"].gaps) == ("loading", 3)
    assert rows["tts"].state == "backoff", "the launcher knows better than the last heartbeat of a dead one"
    assert rows["bus"].state == "silent"
    assert rows["guest"].pid is not None


def test_a_lost_process_leaves_the_table_but_its_successor_stays() -> None:
    state = replay_all([health("guest")])
    assert replay_all([SourceLost("guest", "older")], state).rows
    assert not replay_all([SourceLost("guest", state.beats["guest"].session)], state).rows


def test_the_sparkline_only_counts_work() -> None:
    idle = STATS.model_copy(update={"active": 0})
    assert replay_all([message(STATS), message(idle), message(STATS)]).rates == (48.1, 48.1)


def _retained(items: list[Message]) -> list[Message]:
    """What the broker would give to somebody who comes now."""
    endings = [item for item in items if item.topic == "turn.state"]
    return endings[-TOPICS["turn.state"].delivery.value :]


@st.composite
def shows(draw: st.DrawFn) -> list[Message]:
    items: list[Message] = []
    for number in range(draw(st.integers(1, 8))):
        words = draw(st.lists(st.sampled_from(["la", "[b]", "\x1b[31m", "…", "ゆ"]), min_size=1, max_size=6))
        end = draw(st.sampled_from(["stop", "interrupted", "refused", "error"]))
        items += exchange(number, f"line {number}", " ".join(words), end=end)
    return items


@settings(max_examples=150, deadline=None)
@given(shows(), st.data())
def test_whoever_comes_late_ends_with_the_same_chat(items: list[Message], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(items)))
    dropped = data.draw(st.sets(st.integers(0, len(items) - 1)))
    from_start = replay_all(items)
    lossy = [
        item
        for n, item in enumerate(items[cut:], cut)
        if n not in dropped or isinstance(item.payload, TurnState)
    ]
    late = replay_all([*_retained(items[:cut]), *lossy])
    strip = [(e.turn, e.author, e.prompt, e.reply, e.heard, e.end) for e in from_start.exchanges]
    assert [(e.turn, e.author, e.prompt, e.reply, e.heard, e.end) for e in late.exchanges] == strip
    assert (late.epoch, late.phase, late.live) == (from_start.epoch, from_start.phase, None)


def test_a_training_run_is_two_lines_until_it_is_gone() -> None:
    step = TrainStep(
        run="nano", step=12, steps=1200, loss=3.25, rate=0.01, gradient_norm=1.0, tokens=9, tokens_per_s=1.0
    )
    state = replay_all([message(step)])
    lines = panel(state, 48).plain.splitlines()
    assert [line for line in lines if line.startswith("training")] == [
        "training    loss 3.250 · 12 of 1,200 · nano"
    ]
    assert "            1 tokens/s" in lines
    told = step.model_copy(update={"tokens_per_s": 5120.4, "left_s": 3725.2, "bits_per_byte": 1.716})
    shown = panel(replay_all([message(told)]), 60).plain.splitlines()
    assert "            5,120 tokens/s · 1:02:05 left · 1.72 bits a byte" in shown
    narrow = panel(replay_all([message(told)]), 30).plain.splitlines()
    assert "            5,120 tokens/s · …" in narrow
    assert all(len(line) <= 30 for line in panel(state, 30).plain.splitlines() if line.startswith("training"))
    gone = replay_all([SourceLost("training", "0" * 12 + "-ffffffff")], state)
    assert "training" not in panel(gone, 48).plain
