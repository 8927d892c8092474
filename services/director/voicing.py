"""The voice's part of a turn: handing it chunks, hearing from it, and going on when it is away."""

from __future__ import annotations

import logging

from services.director.inputs import AWAY, Answered, Heard
from services.director.stage import Stage
from services.director.turn import Turn
from shared.commands import Speak, StopSpeech
from shared.events import Mood, MoodName, SpeechFinished, TurnEnd

log = logging.getLogger(__name__)

VOICE_WAIT_S = 10.0
"""A turn waits this long for a voice that is starting or was killed."""
SPEECH_WAIT_S = 15.0
"""Longest silence of a voice that has something to say."""
STOP_WAIT_S = 1.0
_END_OF: dict[str, TurnEnd] = {"stopped": "interrupted", "error": "error", "lost": "lost"}


def push(stage: Stage, turn: Turn) -> None:
    """Hand over what passed and was not sent; without a voice it counts as said."""
    if turn.phase == "done" or turn.is_stopping:
        return
    if stage.voice == "starting":
        if turn.chunks and turn.voice_deadline is None:
            turn.voice_deadline = stage.now + VOICE_WAIT_S
        if turn.is_closed and not turn.chunks:
            turn.phase = "done"
        return
    if stage.voice == "absent":
        _push_to_nobody(stage, turn)
        return
    if not turn.is_voiced:  # what was shown to nobody before the voice came is not said afterwards
        turn.voice_base = turn.sent
    if turn.sent == turn.voice_base and turn.sent < len(turn.chunks):
        turn.voice_epoch = turn.epoch
    for number in range(turn.sent, len(turn.chunks)):
        piece = turn.chunks[number]
        is_last = turn.is_closed and number == len(turn.chunks) - 1
        _feel(stage, turn, piece.mood)
        _speak(stage, turn, number, piece.text, piece.mood, is_last)
        turn.sent += 1
    if not turn.is_closed or turn.is_last_sent:
        return
    if turn.sent > turn.voice_base:
        _speak(stage, turn, turn.sent, "", "neutral", True)
    else:
        turn.phase = "done"


def on_answer(stage: Stage, turn: Turn, answer: Answered) -> None:
    """The voice took a chunk, refused it, or was not there."""
    command = answer.command
    if not isinstance(command, Speak) or command.turn != turn.id or command.epoch != turn.voice_epoch:
        return
    if turn.is_stopping or turn.phase == "done":
        return
    if not answer.code:
        turn.voice_deadline = stage.now + SPEECH_WAIT_S
        if turn.phase == "thinking":
            stage.publish(turn, "speaking")
    elif answer.code in AWAY:
        log.warning("turn %s: the voice is away: %s", turn.id, answer.sentence)
        if stage.voice == "ready":
            stage.voice = "absent" if answer.code == "no_such_service" else "starting"
            lost(stage, turn)
    else:
        log.warning("turn %s: the voice refused: %s", turn.id, answer.sentence)
        _give_up(stage, turn)


def on_heard(stage: Stage, turn: Turn, heard: Heard) -> None:
    """What sounded so far."""
    progress = heard.progress
    if progress.turn != turn.id or progress.epoch != turn.voice_epoch:
        return
    turn.progress[progress.chunk + turn.voice_base] = progress.heard
    if not turn.is_stopping:
        turn.voice_deadline = stage.now + SPEECH_WAIT_S
    if heard.sound_at is not None:
        turn.note("first_sound", heard.sound_at)


def on_finished(stage: Stage, turn: Turn, finished: SpeechFinished) -> None:
    """The voice is silent again: the turn is done."""
    if finished.turn != turn.id or finished.epoch < turn.voice_epoch:
        return
    if finished.reason == "done" and turn.is_last_sent:
        turn.heard = " ".join(piece.text for piece in turn.chunks[turn.voice_base :])
        turn.phase = "done"
        return
    if finished.reason == "done" and not turn.is_stopping:
        return
    if not turn.is_stopping:
        log.warning("turn %s: the voice ended: %s %s", turn.id, finished.reason, finished.error)
        turn.end = _END_OF[finished.reason]
    turn.heard = finished.heard
    turn.phase = "done"


def lost(stage: Stage, turn: Turn) -> None:
    """The voice died: what it had not said to the end is said again if it comes back in time."""
    if not turn.is_voiced or turn.phase == "done":
        return
    if turn.is_stopping:
        turn.phase = "done"
        return
    if stage.voice == "absent":
        _give_up(stage, turn)
        return
    turn.sent = turn.voice_base = turn.begun_chunks()
    turn.cut_off = turn.progress.get(turn.voice_base, turn.cut_off)
    turn.progress.clear()
    turn.is_last_sent = False
    turn.voice_deadline = stage.now + VOICE_WAIT_S
    turn.epoch = stage.raise_epoch()
    stage.publish(turn, "thinking" if turn.phase == "thinking" else "speaking")


def stop(stage: Stage, turn: Turn) -> None:
    """Fall silent under the turn's new epoch; done once the voice says what was heard, or soon after."""
    if turn.is_voiced and stage.voice == "ready":
        turn.is_stopping = True
        turn.voice_deadline = stage.now + STOP_WAIT_S
        stage.emit(StopSpeech(epoch=turn.epoch))
        stage.publish(turn, turn.phase)
    else:
        turn.phase = "done"


def tick(stage: Stage, turn: Turn) -> None:
    """Give up on a voice that says nothing."""
    if turn.voice_deadline is None or stage.now < turn.voice_deadline or turn.phase == "done":
        return
    if turn.is_stopping:
        turn.phase = "done"
    elif not turn.is_voiced:
        # It never came: the words are shown instead of heard.
        log.warning("turn %s: the voice did not come within %.0f s", turn.id, VOICE_WAIT_S)
        stage.voice = "absent"
        turn.voice_deadline = None
        push(stage, turn)
    elif stage.voice == "ready" and not turn.is_closed and turn.sent == len(turn.chunks):
        turn.voice_deadline = None
    else:
        _give_up(stage, turn)


def _push_to_nobody(stage: Stage, turn: Turn) -> None:
    if turn.is_voiced:
        _give_up(stage, turn)
        return
    if turn.sent < len(turn.chunks):
        for piece in turn.chunks[turn.sent :]:
            _feel(stage, turn, piece.mood)
        turn.sent = len(turn.chunks)
        stage.publish(turn, "speaking")
    if turn.is_closed:
        turn.phase = "done"


def _feel(stage: Stage, turn: Turn, mood: MoodName) -> None:
    stage.emit(Mood(turn=turn.id, epoch=turn.epoch, mood=mood), turn.item.cause)


def _speak(stage: Stage, turn: Turn, number: int, text: str, mood: MoodName, is_last: bool) -> None:
    turn.is_voiced = True
    turn.is_last_sent = is_last
    turn.voice_deadline = stage.now + SPEECH_WAIT_S
    stage.emit(
        Speak(
            turn=turn.id,
            epoch=turn.voice_epoch,
            chunk=number - turn.voice_base,
            text=text,
            mood=mood,
            last=is_last,
        )
    )


def _give_up(stage: Stage, turn: Turn) -> None:
    turn.epoch = stage.raise_epoch()
    if stage.voice == "ready":
        stage.emit(StopSpeech(epoch=turn.epoch))
    turn.end = "lost"
    turn.phase = "done"
