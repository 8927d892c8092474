"""THE table: topic -> event model, publisher, expected rate, delivery class."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from shared import events


class Delivery(Enum):
    """What the bus promises for a topic; the value is how many messages per source the broker retains."""

    STREAM = 0
    """Ordered; may be dropped under overload; every gap is counted and shown."""
    STATE = 1
    """Keyed by (topic, source): the broker keeps the last one for late joiners."""
    ENDING = 64
    """Says how something ended and carries it whole: the broker keeps the last 64 of each source."""


@dataclass(frozen=True)
class Topic:
    """One row of the table."""

    name: str
    event: type[events.Event]
    publisher: str
    """Service that publishes it; `*` means every process."""
    rate: str
    delivery: Delivery
    outlives_source: bool = False
    """Retained after the publisher died, because its successor continues from it."""


_ROWS = (
    Topic("sys.health", events.Health, "*", "1/s", Delivery.STATE),
    Topic("sys.processes", events.Processes, "launcher", "on change, 1/s", Delivery.STATE),
    Topic("chat.message", events.ChatMessage, "input", "as people type", Delivery.STREAM),
    Topic("chat.retracted", events.ChatRetracted, "input", "rare", Delivery.STREAM),
    Topic("turn.state", events.TurnState, "director", "4 a turn", Delivery.ENDING, outlives_source=True),
    Topic("show.cleared", events.Cleared, "director", "rare", Delivery.STATE, outlives_source=True),
    Topic("show.muted", events.Muted, "director", "on change", Delivery.STATE, outlives_source=True),
    Topic("avatar.mood", events.Mood, "director", "1 a chunk, 1 at rest", Delivery.STATE),
    Topic("llm.token", events.Token, "llm", "10 to 600/s", Delivery.STREAM),
    Topic("llm.finished", events.Finished, "llm", "1 a generation", Delivery.ENDING),
    Topic("llm.stats", events.LlmStats, "llm", "1/s", Delivery.STATE),
    Topic("speech.timeline", events.Timeline, "tts", "1 a chunk", Delivery.STREAM),
    Topic("speech.progress", events.Progress, "tts", "10/s while speaking", Delivery.STREAM),
    Topic("speech.finished", events.SpeechFinished, "tts", "1 a turn", Delivery.ENDING),
    Topic("avatar.mouth", events.Mouth, "tts", "30/s while speaking", Delivery.STREAM),
    Topic("train.step", events.TrainStep, "training", "1 a step, if asked", Delivery.STATE),
    Topic("bus.probe", events.Probe, "*", "while connecting", Delivery.STREAM),
)

TOPICS: dict[str, Topic] = {topic.name: topic for topic in _ROWS}
"""Every topic by name."""
