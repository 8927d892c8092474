"""The model's part of a turn: asking for a draw, reading its tokens, and what follows a draw that is bad."""

from __future__ import annotations

import logging
import re

from services.director import voicing
from services.director.gate import Scene
from services.director.inputs import AWAY, Answered, Replayed
from services.director.reply import Piece, Reply, prepared
from services.director.stage import Stage
from services.director.turn import Turn
from shared.commands import Cancel, Generate, Replay
from shared.events import Finished, Token, TurnEnd
from shared.sanitize import clean_name

log = logging.getLogger(__name__)

MAX_DRAWS = 3
DRAW_HEAT = (1.0, 1.3, 1.6)
"""Factors on the temperature of the first, second and third draw: what was bad must not be drawn again."""
MODEL_WAIT_S = 30.0
"""A message waits this long for a model that is away; a model that is loading may take longer."""
LOADING_WAIT_S = 180.0
TOKEN_WAIT_S = 30.0
RETRY_S = 0.5


def begin(stage: Stage, turn: Turn) -> None:
    """Draw (again): a new generation under a new epoch, or wait for the model to come."""
    if turn.draw:
        turn.epoch = stage.raise_epoch()
    turn.draw += 1
    turn.generation = f"{turn.id}-{turn.draw}"
    message = turn.item.message
    assert message is not None
    viewer = clean_name(message.author)
    # Whom she remembers about a viewer (a parrot called Kiwi) she may name, though nobody typed it today.
    names = frozenset(re.findall(r"\b[A-Z]\w+", stage.memory.known_of(message)))
    if viewer != "you":
        names |= {viewer}
    scene = Scene(
        recent=tuple(stage.memory.replies()),
        asked=message.text,
        names=names,
        others=frozenset(stage.memory.authors() - {viewer.casefold()}),
    )
    turn.reply = Reply(stage.gate, scene, stage.persona.sentence_limit)
    turn.next_index = turn.consumed = 0
    turn.is_replaying = False
    turn.chunks.clear()
    turn.drawing = "waiting"
    _wait(stage, turn)
    stage.publish(turn, "thinking")
    ask(stage, turn)


def ask(stage: Stage, turn: Turn) -> None:
    """Send the request if the model is there; otherwise it is sent when the model comes."""
    if stage.llm != "ready" or turn.drawing != "waiting" or stage.now < turn.retry_at:
        return
    assert turn.generation is not None
    sampling = stage.persona.sampling
    heat = DRAW_HEAT[min(turn.bad_draws, len(DRAW_HEAT) - 1)]
    turn.drawing = "asked"
    turn.model_deadline = stage.now + TOKEN_WAIT_S
    fields = sampling.model_dump() | {"temperature": min(5.0, sampling.temperature * heat)}
    stage.emit(
        Generate(
            generation=turn.generation,
            messages=stage.memory.prompt(turn.item.message),
            pinned=stage.memory.n_pinned,
            turn=turn.id,
            epoch=turn.epoch,
            seed=stage.rng.getrandbits(31),
            queue_deadline_s=TOKEN_WAIT_S,
            **fields,
        )
    )


def on_answer(stage: Stage, turn: Turn, answer: Answered) -> None:
    """The request was refused, or nobody was there to take it."""
    command = answer.command
    if not isinstance(command, Generate) or command.generation != turn.generation or not answer.code:
        return
    if turn.drawing != "asked":
        return
    if answer.code in AWAY:
        turn.drawing = "waiting"
        turn.retry_at = stage.now + RETRY_S
        _wait(stage, turn)
    else:
        log.warning("turn %s: the model refused: %s", turn.id, answer.sentence)
        close(stage, turn, "error")


def on_token(stage: Stage, turn: Turn, token: Token) -> None:
    """The next piece, or a later one: then the hole is filled first."""
    if token.generation != turn.generation or turn.drawing not in ("asked", "running"):
        return
    _alive(stage, turn, token.tokens)
    if token.index == turn.next_index:
        turn.next_index += 1
        _feed(stage, turn, token.text)
    elif token.index > turn.next_index and not turn.is_replaying:
        turn.is_replaying = True
        stage.emit(Replay(generation=token.generation, from_index=turn.next_index))


def on_replayed(stage: Stage, turn: Turn, replayed: Replayed) -> None:
    """Lost pieces came back; without them (`pieces` empty) the ending's whole text fills the hole."""
    if replayed.generation != turn.generation or turn.drawing not in ("asked", "running"):
        return
    turn.is_replaying = False
    for piece in replayed.pieces[max(0, turn.next_index - replayed.from_index) :]:
        if turn.is_closed or turn.generation != replayed.generation:
            break
        turn.next_index += 1
        _feed(stage, turn, piece)


def on_finished(stage: Stage, turn: Turn, finished: Finished) -> None:
    """The draw is complete: feed what is missing and the open rest, then close the turn or draw again."""
    if finished.generation != turn.generation:
        return
    if finished.completion_tokens:
        turn.tokens, turn.tokens_per_s = finished.completion_tokens, finished.tokens_per_s
    if turn.drawing not in ("asked", "running"):
        return
    assert turn.reply is not None
    if finished.reason in ("stop", "length"):
        _alive(stage, turn, finished.completion_tokens)
        _feed(stage, turn, finished.text[turn.consumed :])
        if not turn.is_closed and turn.generation == finished.generation:
            rest = turn.reply.finish(was_truncated=finished.reason == "length")
            _take(stage, turn, rest, more_to_come=False)
        if turn.is_closed or turn.generation != finished.generation:
            return
        turn.drawing = "over"
        if turn.chunks:
            close(stage, turn, "stop" if finished.reason == "stop" else "length")
        else:
            _draw_again(stage, turn, "empty")
    else:
        log.warning("turn %s: its generation ended: %s %s", turn.id, finished.reason, finished.error)
        lost(stage, turn)


def lost(stage: Stage, turn: Turn) -> None:
    """The model went away in the middle: draw again while nothing was spoken, else end at what there is."""
    if turn.drawing not in ("asked", "running"):
        return
    turn.losses += 1
    if turn.sent:
        close(stage, turn, "lost")
    elif turn.losses > MAX_DRAWS:
        close(stage, turn, "error")
    else:
        turn.retry_at = stage.now + RETRY_S
        begin(stage, turn)


def tick(stage: Stage, turn: Turn) -> None:
    """Ask again when it is time; give up when a wait is over."""
    if turn.is_closed or turn.model_deadline is None:
        return
    ask(stage, turn)
    patience = LOADING_WAIT_S - MODEL_WAIT_S if turn.drawing == "waiting" and stage.llm == "starting" else 0.0
    if stage.now < turn.model_deadline + patience:
        return
    if turn.drawing == "waiting":
        log.warning("turn %s: the model did not come within %.0f s", turn.id, MODEL_WAIT_S)
    else:
        log.warning("turn %s: no token for %.0f s", turn.id, TOKEN_WAIT_S)
        stage.emit(Cancel(generation=turn.generation))
    close(stage, turn, "lost" if turn.sent else "error")


def close(stage: Stage, turn: Turn, end: TurnEnd) -> None:
    """Nothing more will be added to the turn."""
    turn.drawing = "over"
    turn.model_deadline = None
    turn.is_closed = True
    turn.end = end
    voicing.push(stage, turn)


def stop(stage: Stage, turn: Turn) -> None:
    """End the draw that runs, if one does."""
    if turn.drawing in ("asked", "running") and turn.generation is not None:
        stage.emit(Cancel(generation=turn.generation))
    turn.drawing = "over"
    turn.model_deadline = None


def _wait(stage: Stage, turn: Turn) -> None:
    """Patience counts from the first time that the model was found away."""
    if turn.away_since is None:
        turn.away_since = stage.now
    turn.model_deadline = turn.away_since + MODEL_WAIT_S


def _alive(stage: Stage, turn: Turn, tokens: int) -> None:
    if turn.drawing == "asked":
        turn.drawing = "running"
        turn.note("first_token", stage.now)
    turn.away_since = None
    turn.model_deadline = stage.now + TOKEN_WAIT_S
    turn.tokens = max(turn.tokens, tokens)


def _feed(stage: Stage, turn: Turn, text: str) -> None:
    assert turn.reply is not None
    turn.consumed += len(text)
    _take(stage, turn, turn.reply.feed(text))


def _take(stage: Stage, turn: Turn, pieces: list[Piece], more_to_come: bool = True) -> None:
    """Add what passed; stop the model at the sentence limit or at a broken rule.

    The last pieces are not handed over here: `close` marks them as the last.
    """
    assert turn.reply is not None
    for piece in pieces:
        turn.note("first_chunk", stage.now)
        turn.chunks.append(piece)
    if turn.reply.is_full:
        stop(stage, turn)
        close(stage, turn, "stop")
        return
    if not turn.reply.verdict:
        stop(stage, turn)
        verdict = turn.reply.verdict
        log.info("turn %s draw %d: %s: %r", turn.id, turn.draw, verdict.rule, verdict.found)
        # Pieces of this very step were not sent yet, but they passed: keep them rather than draw again.
        if turn.chunks:
            close(stage, turn, "stop")
        else:
            _draw_again(stage, turn, verdict.rule)
        return
    if more_to_come:
        voicing.push(stage, turn)


def _draw_again(stage: Stage, turn: Turn, why: str) -> None:
    turn.bad_draws += 1
    if turn.bad_draws < MAX_DRAWS:
        begin(stage, turn)
        return
    log.warning("turn %s: no draw of %d was fit to be voiced (%s)", turn.id, MAX_DRAWS, why)
    lines = stage.persona.fallback
    turn.chunks = prepared(lines[stage.fallbacks % len(lines)])
    stage.fallbacks += 1
    close(stage, turn, "refused")
