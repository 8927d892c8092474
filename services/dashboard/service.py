"""The dashboard's bus side: reduces what arrives, hands the state to the screen, sends what was typed."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from services.dashboard.feed import Answer, Feed
from services.dashboard.state import TOPICS, DashboardState, reduce, repair
from shared.bus import Bus, CommandError, Message, SourceLost
from shared.clock import Clock
from shared.commands import Command, Panic, Replay, ReplayReply, Reply, StopSpeech
from shared.config import Settings
from shared.service import BEAT_S, Service

GATHER_S = 0.03
"""Events that arrive within this are taken together: the screen is not drawn more often anyway."""
AWAY_AFTER_S = 2.5
"""This very process' heartbeat comes back over the bus each second: so long without it is no chance."""


class Dashboard(Service):
    """The terminal: chat, figures and the health of every process."""

    name = "dashboard"
    topics = TOPICS

    def __init__(self, settings: Settings, bus: Bus, clock: Clock) -> None:
        super().__init__(settings, bus, clock)
        self.feed = Feed()
        self.state = DashboardState()
        self._replayed = ""
        self._heard_at = clock()

    def attach(self, feed: Feed) -> None:
        """Show on the screen behind `feed`."""
        self.feed = feed
        feed.wake = self.bus.wake

    def on_event(self, message: Message) -> None:
        """Everything goes through the reducer."""
        self._heard_at = self.clock()
        self.state = reduce(self.state, message)

    def on_lost(self, lost: SourceLost) -> None:
        """So does the loss of a process."""
        self.state = reduce(self.state, lost)

    def tick(self) -> float:
        """Send what was typed, ask for missed tokens, show what is new."""
        for command in self.feed.take_commands():
            self.bus.ask(command, partial(self._answered, command))
            if isinstance(command, Panic) and command.muted:
                # The director may hang; its next epoch is never below this one, so nothing of it is refused.
                self.bus.ask(StopSpeech(epoch=self.state.epoch + 1), lambda _: None)
        hole = self.state.hole
        if hole is not None and hole != self._replayed:
            self._replayed = hole
            self.bus.ask(Replay(generation=hole), partial(self._replay_arrived, hole))
        connected = self.clock() - self._heard_at < AWAY_AFTER_S
        if self.state.connected != connected:
            self.state = replace(self.state, connected=connected)
        if self.feed.show(self.state):
            # Waking for each of 600 tokens a second would take the interpreter away from the typing thread.
            self.feed.rest(GATHER_S)
        return BEAT_S

    def _answered(self, command: Command, result: Reply | CommandError) -> None:
        if isinstance(result, CommandError):
            self.feed.answer(Answer(command, None, str(result)))
        else:
            self.feed.answer(Answer(command, result))

    def _replay_arrived(self, generation: str, result: Reply | CommandError) -> None:
        if isinstance(result, ReplayReply):  # else the ending will bring the whole text
            self.state = repair(self.state, generation, result)
