"""The model on the bus: one thread steps the engine, publishes what it says and obeys commands in between."""

from __future__ import annotations

import logging

from services.llm.engine import Output, RefusedError
from services.llm.generation import Ended, Piece
from services.llm.inference import Inference
from services.llm.replay import ReplayMemory
from shared.bus import Bus
from shared.clock import Clock
from shared.commands import Cancel, CancelReply, Generate, GenerateReply, Replay, ReplayReply
from shared.config import Settings
from shared.events import Finished, LlmStats, Token
from shared.model.errors import ModelError
from shared.service import Finding, Refused, Request, Service, StartError

log = logging.getLogger(__name__)

STATS_S = 1.0
PROGRESS_S = 1.0


class LlmService(Service):
    """Runs the language model and streams its text onto the bus."""

    name = "llm"
    inference: Inference

    def __init__(self, settings: Settings, bus: Bus, clock: Clock) -> None:
        super().__init__(settings, bus, clock)
        self.memory = ReplayMemory(clock)
        self.epoch = 0
        """Highest epoch seen in a command; turns of older ones are over."""
        self._last_ended: Ended | None = None
        self._next_stats_s = 0.0
        self._next_progress_s = 0.0
        self._published_load = (0, 0)

    def start(self) -> None:
        """Load the model, fetching it first if need be."""
        try:
            self.inference = Inference.load(
                self.settings.llm, progress=self._report_loading, clock=self.clock
            )
        except ModelError as error:
            raise StartError(str(error)) from None
        self.bus.handle(Generate, self._generate)
        self.bus.handle(Cancel, self._cancel)
        self.bus.handle(Replay, self._replay)
        self._publish_stats()
        self.ready(self.inference.describe())

    def tick(self) -> float:
        """One step of the engine."""
        engine = self.inference.engine
        if engine.busy:
            self._publish(engine.step())
        now = self.clock()
        if now >= self._next_stats_s or self._published_load != self._load():
            self._publish_stats()
        return 0.0 if engine.busy else self._next_stats_s - now

    def stop(self) -> None:
        """End what runs; its readers get an ending instead of silence."""
        self._publish(self.inference.engine.cancel(lambda _: True))

    def _report_loading(self, stage: str, done: int, total: int) -> None:
        """A sign of life while the loop cannot beat."""
        if (now := self.clock()) >= self._next_progress_s:
            self._next_progress_s = now + PROGRESS_S
            self.detail = f"{stage} {self.settings.llm.model}: {100 * done // max(1, total)} %"
            self.beat()

    # -- commands ---------------------------------------------------------------------------------------

    def _generate(self, command: Generate, request: Request) -> GenerateReply:
        if command.epoch is not None and command.epoch < self.epoch:
            raise Refused(f"epoch {command.epoch} is over: the show is at {self.epoch}")
        if command.generation in self.memory:
            raise Refused(f"generation {command.generation!r} exists already: choose another id")
        try:
            queued = self.inference.submit(command, cause=request.id)
        except (RefusedError, ValueError) as error:
            raise Refused(str(error)) from None
        self.epoch = max(self.epoch, command.epoch or 0)
        self.memory.begin(command.generation)
        return GenerateReply(generation=command.generation, queued=queued)

    def _cancel(self, command: Cancel, _: Request) -> CancelReply:
        wanted, below = command.generation, command.below_epoch
        if wanted is None and below is None:
            raise Refused("llm.cancel needs a generation or below_epoch")
        self.epoch = max(self.epoch, below or 0)
        ended = self.inference.engine.cancel(
            lambda one: (
                one.generation == wanted
                or (below is not None and one.epoch is not None and one.epoch < below)
            )
        )
        self._publish(ended)
        return CancelReply(cancelled=len(ended))

    def _replay(self, command: Replay, _: Request) -> ReplayReply:
        try:
            pieces, finished = self.memory.read(command.generation, command.from_index)
        except KeyError:
            raise Refused(f"generation {command.generation!r} is unknown or ended too long ago") from None
        return ReplayReply(from_index=command.from_index, pieces=list(pieces), finished=finished)

    # -- events -----------------------------------------------------------------------------------------

    def _publish(self, outputs: list[Output] | list[Ended]) -> None:
        for output in outputs:
            if isinstance(output, Piece):
                self._publish_piece(output)
            else:
                self._publish_ended(output)

    def _publish_piece(self, piece: Piece) -> None:
        request = piece.request
        self.memory.add(request.generation, piece.text)
        token = Token(
            generation=request.generation,
            index=piece.index,
            text=piece.text,
            tokens=piece.tokens,
            turn=request.turn,
            epoch=request.epoch,
        )
        self.bus.publish("llm.token", token, cause=request.cause)

    def _publish_ended(self, ended: Ended) -> None:
        request = ended.request
        self.memory.end(request.generation)
        if ended.completion_tokens > 1:  # one token has no rate: the director warms the cache so
            self._last_ended = ended
        finished = Finished(
            generation=request.generation,
            reason=ended.reason,
            text=ended.text,
            pieces=ended.pieces,
            turn=request.turn,
            epoch=request.epoch,
            prompt_tokens=len(request.tokens),
            cached_tokens=ended.cached_tokens,
            completion_tokens=ended.completion_tokens,
            dropped_turns=request.dropped_turns,
            first_token_ms=round(ended.first_token_ms, 2),
            tokens_per_s=round(ended.tokens_per_s, 2),
            elapsed_ms=round(ended.elapsed_ms, 2),
            error=ended.error,
        )
        self.bus.publish("llm.finished", finished, cause=request.cause)
        log.debug("generation %s ended: %s", request.generation, ended.reason)

    def _load(self) -> tuple[int, int]:
        engine = self.inference.engine
        return len(engine.running), len(engine.waiting)

    def _publish_stats(self) -> None:
        inference, engine = self.inference, self.inference.engine
        self._published_load = active, queued = self._load()
        self._next_stats_s = self.clock() + STATS_S
        latest = next((one for one in reversed(engine.running) if one.first_token_s is not None), None)
        last = self._last_ended
        rate = latest.decode_tokens_per_s if latest else last.tokens_per_s if last else 0.0
        first = latest.first_token_ms if latest else last.first_token_ms if last else 0.0
        stats = LlmStats(
            model=inference.loaded.name,
            device=inference.device,
            dtype=inference.loaded.dtype,
            parameters=inference.loaded.parameters,
            context=engine.context,
            slots=engine.rows.cache.batch,
            active=active,
            queued=queued,
            kv_used=engine.rows.used,
            kv_capacity=engine.rows.cache.batch * engine.context,
            tokens_per_s=round(rate, 2),
            first_token_ms=round(first, 2),
            tokens_total=engine.tokens_total,
            threads=inference.threads,
        )
        self.bus.publish("llm.stats", stats)

    @classmethod
    def check(cls, settings: Settings) -> list[Finding]:
        """The weights: there, whole, and able to run on the chosen device."""
        try:
            inference = Inference.load(settings.llm, offline=True)
        except ModelError as error:
            fix = "run `python -m shared.model.fetch`, or set [llm] in configs/stack.toml"
            return [Finding("llm model", False, str(error), fix)]
        return [Finding("llm model", True, inference.describe())]
