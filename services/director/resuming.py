"""A director's first step: it goes on where an earlier one was killed."""

from __future__ import annotations

from services.director import resting
from services.director.inputs import Resumed
from services.director.stage import Stage
from shared.commands import Cancel, StopSpeech
from shared.events import TurnState


def resume(stage: Stage, resumed: Resumed) -> None:
    """Close what an earlier director left open, rise above its epoch, and let its last face go."""
    latest = {state.turn: state for state in resumed.states}
    stage.epoch = max([stage.epoch, resumed.epoch, *(state.epoch for state in resumed.states)])
    stage.raise_epoch()
    stage.ended.extend(latest.values())
    for state in latest.values():
        if state.phase in ("thinking", "speaking"):
            closed = {"phase": "done", "end": "lost", "epoch": stage.epoch, "queued": 0}
            stage.emit(state.model_copy(update=closed))
    if resumed.states:
        stage.emit(Cancel(below_epoch=stage.epoch))
        stage.emit(StopSpeech(epoch=stage.epoch))
        stage.rest_at = stage.now + resting.REST_S
    stage.emit(TurnState(turn="", epoch=stage.epoch, phase="idle"))
