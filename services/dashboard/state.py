"""What the screen shows, as a value: a pure function takes it and one bus message to the next value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from services.dashboard.draft import Draft
from services.dashboard.health import Beat, ProcessRow, table
from shared.bus import Message, SourceLost
from shared.commands import ReplayReply
from shared.events import (
    ChatMessage,
    ChatRetracted,
    Health,
    LlmStats,
    Mood,
    Muted,
    Processes,
    ProcessInfo,
    Token,
    TrainStep,
    TurnEnd,
    TurnState,
)

EXCHANGE_LIMIT = 500
"""Exchanges kept for scrolling back; older ones leave the screen."""
WAITING_LIMIT = 50
SPARK_LIMIT = 48
"""Samples of tokens per second kept for the sparkline."""
TOPICS = (
    "chat.message",
    "chat.retracted",
    "turn.state",
    "llm.token",
    "llm.stats",
    "avatar.mood",
    "show.muted",
    "sys.health",
    "sys.processes",
    "train.step",
)


@dataclass(frozen=True)
class Exchange:
    """A viewer's line (empty when she speaks by herself) and her reply, live or ended."""

    turn: str
    epoch: int
    author: str = ""
    author_id: str = ""
    prompt: str = ""
    message_id: str | None = None
    channel: str = ""
    rule: str = ""
    """Of the block-list, if the line breaks one: other pictures leave it out."""
    draft: Draft | None = None
    text: str = ""
    heard: str = ""
    end: TurnEnd | None = None
    timings_ms: dict[str, float] = field(default_factory=dict)
    tokens: int = 0
    tokens_per_s: float = 0.0
    retracted: bool = False

    @property
    def live(self) -> bool:
        return self.end is None

    @property
    def reply(self) -> str:
        """What stands in her bubble: accepted text once the turn ended, else whichever reaches further."""
        if self.draft is None or not self.live:
            return self.text
        return max(self.draft.text, self.text, key=len)


@dataclass(frozen=True)
class Waiting:
    """A line that was not picked yet; `epoch` is the show's when it arrived."""

    id: str
    author: str
    author_id: str
    channel: str
    text: str
    epoch: int
    rule: str = ""


@dataclass(frozen=True)
class DashboardState:
    """Everything the screen is drawn from."""

    exchanges: tuple[Exchange, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    early: Draft | None = None
    """Tokens of a turn's generation that no `turn.state` has named yet: two sources have no common order."""
    epoch: int = 0
    director: str = ""
    """Bus session that the last `turn.state` came from; a loss of an earlier one changes nothing."""
    phase: str = "idle"
    queued: int = 0
    mood: str = "neutral"
    muted: bool = False
    """Her director says so, or the last one did: the next goes by it."""
    stats: LlmStats | None = None
    rates: tuple[float, ...] = ()
    training: TrainStep | None = None
    """Where a training run stands that asked to be watched."""
    supervised: tuple[ProcessInfo, ...] = ()
    beats: dict[str, Beat] = field(default_factory=dict)
    connected: bool = True
    """Something came over the bus lately."""

    @property
    def live(self) -> Exchange | None:
        """The exchange whose turn is going on."""
        return self.exchanges[-1] if self.exchanges and self.exchanges[-1].live else None

    @property
    def hole(self) -> str | None:
        """The generation whose beginning this screen missed and could ask for."""
        draft = self.live.draft if self.live else None
        return draft.generation if draft and draft.first else None

    def timing_ms(self, name: str) -> float | None:
        """The last one known of this name: `first_token`, `first_sound`, …"""
        known = (e.timings_ms[name] for e in reversed(self.exchanges) if name in e.timings_ms)
        return next(known, None)

    @property
    def rows(self) -> list[ProcessRow]:
        """The health table: what the launcher supervises in its order, then whoever else beats."""
        return table(self.supervised, self.beats)


def reduce(state: DashboardState, item: Message | SourceLost) -> DashboardState:
    """The next state. Messages of older epochs, and those that say nothing new, return `state` itself."""
    if isinstance(item, SourceLost):
        return _lost(state, item)
    event = item.payload
    if isinstance(event, Token):
        return _token(state, event)
    if isinstance(event, TurnState):
        return state if event.epoch < state.epoch else _turn(replace(state, director=item.session), event)
    if isinstance(event, ChatMessage):
        return _chat(state, event)
    if isinstance(event, ChatRetracted):
        return _retracted(state, event)
    if isinstance(event, Mood):
        return state if event.epoch and event.epoch < state.epoch else replace(state, mood=event.mood)
    if isinstance(event, Muted):
        return replace(state, muted=event.muted)
    if isinstance(event, LlmStats):
        busy = event.active and event.tokens_per_s > 0
        rates = (*state.rates, event.tokens_per_s)[-SPARK_LIMIT:] if busy else state.rates
        return replace(state, stats=event, rates=rates)
    if isinstance(event, TrainStep):
        return replace(state, training=event)
    if isinstance(event, Processes):
        return replace(state, supervised=tuple(event.processes))
    if isinstance(event, Health):
        return replace(state, beats={**state.beats, item.source: Beat(item.session, item.mono, event)})
    return state


def repair(state: DashboardState, generation: str, replay: ReplayReply) -> DashboardState:
    """`state` with the missed beginning of the live reply filled in."""
    live = state.live
    if live is None or live.draft is None or live.draft.generation != generation:
        return state
    return _with_last(state, replace(live, draft=live.draft.repair(replay)))


def _turn(state: DashboardState, event: TurnState) -> DashboardState:
    picked = next((w for w in state.waiting if w.id == event.message_id), None)
    waiting = tuple(w for w in state.waiting if w is not picked)
    if event.phase == "done" and event.queued == 0:
        # The director has seen whatever came before this turn began: what is still here, nobody answers.
        waiting = tuple(w for w in waiting if w.epoch >= event.epoch)
    state = replace(state, epoch=event.epoch, phase=event.phase, queued=event.queued, waiting=waiting)
    if event.phase == "idle":
        return _end_others(state, "")
    state = _end_others(state, event.turn)
    known = next((e for e in reversed(state.exchanges) if e.turn == event.turn), None)
    exchange = known or Exchange(turn=event.turn, epoch=event.epoch)
    if exchange.end is not None and event.phase != "done":
        return state
    exchange = replace(
        exchange,
        epoch=event.epoch,
        author=event.author or exchange.author,
        author_id=event.author_id or exchange.author_id,
        prompt=event.prompt or exchange.prompt,
        message_id=event.message_id or exchange.message_id,
        channel=event.channel or exchange.channel,
        rule=event.rule or exchange.rule,
        text=event.text,
        heard=event.heard,
        timings_ms=event.timings_ms or exchange.timings_ms,
        tokens=event.tokens or exchange.tokens,
        tokens_per_s=event.tokens_per_s or exchange.tokens_per_s,
        end=(event.end or "stop") if event.phase == "done" else None,
        retracted=exchange.retracted or event.end == "retracted",
    )
    early = state.early
    if exchange.end is not None:
        exchange = replace(exchange, draft=None)
    elif event.generation and (exchange.draft is None or exchange.draft.generation != event.generation):
        if early is not None and early.generation == event.generation:
            exchange, early = replace(exchange, draft=early), None
        else:
            exchange = replace(exchange, draft=Draft(event.generation, event.epoch, event.turn))
    state = replace(state, early=early)
    if known is None:
        return replace(state, exchanges=(*state.exchanges, exchange)[-EXCHANGE_LIMIT:])
    return replace(state, exchanges=tuple(exchange if e.turn == event.turn else e for e in state.exchanges))


def _token(state: DashboardState, event: Token) -> DashboardState:
    """Tokens without a turn are somebody else's generation and have no place in the chat."""
    if event.turn is None or (event.epoch is not None and event.epoch < state.epoch):
        return state
    live = state.live
    if live is not None and live.draft is not None and live.draft.generation == event.generation:
        draft = live.draft.add(event)
        return state if draft is live.draft else _with_last(state, replace(live, draft=draft))
    early = state.early
    if early is None or early.generation != event.generation:
        early = Draft(event.generation, event.epoch or 0, event.turn)
    return replace(state, early=early.add(event))


def _chat(state: DashboardState, event: ChatMessage) -> DashboardState:
    if any(e.message_id == event.id for e in reversed(state.exchanges)):
        return state
    line = Waiting(
        event.id, event.author, event.author_id, event.channel, event.text, state.epoch, event.rule
    )
    kept = tuple(w for w in state.waiting if w.id != event.id)
    return replace(state, waiting=(*kept, line)[-WAITING_LIMIT:])


def _retracted(state: DashboardState, event: ChatRetracted) -> DashboardState:
    waiting = tuple(w for w in state.waiting if not event.names(w.channel, w.id, w.author_id))
    exchanges = tuple(
        replace(e, retracted=True) if e.prompt and event.names(e.channel, e.message_id, e.author_id) else e
        for e in state.exchanges
    )
    return replace(state, waiting=waiting, exchanges=exchanges)


def _lost(state: DashboardState, lost: SourceLost) -> DashboardState:
    beat = state.beats.get(lost.source)
    if beat is not None and beat.session == lost.session:
        state = replace(state, beats={n: b for n, b in state.beats.items() if n != lost.source})
    if lost.source == "director" and lost.session == state.director:
        state = replace(_end_others(state, ""), phase="idle", early=None)
    if lost.source == "training":
        state = replace(state, training=None)
    if lost.source == "llm" and state.stats is not None:
        state = replace(state, stats=state.stats.model_copy(update={"active": 0, "queued": 0}))
    return state


def _end_others(state: DashboardState, turn: str) -> DashboardState:
    """There is one turn at a time: whatever else is still open lost its ending."""
    if not any(e.live and e.turn != turn for e in state.exchanges):
        return state
    closed = (
        replace(e, end="lost", text=e.reply, draft=None) if e.live and e.turn != turn else e
        for e in state.exchanges
    )
    return replace(state, exchanges=tuple(closed))


def _with_last(state: DashboardState, exchange: Exchange) -> DashboardState:
    return replace(state, exchanges=(*state.exchanges[:-1], exchange))


def replay_all(items: Iterable[Message | SourceLost], state: DashboardState | None = None) -> DashboardState:
    """The state after all of `items`."""
    state = DashboardState() if state is None else state
    for item in items:
        state = reduce(state, item)
    return state
