"""The model on the bus: one thread steps the engine, publishes what it says and obeys commands in between."""

from __future__ import annotations

import logging
import os
import sys

from services.llm.backend import Backend, check_backend
from services.llm.outputs import Ended, Output, Piece, RefusedError
from services.llm.replay import ReplayMemory
from services.llm.runner import Runner
from shared.bus import Bus
from shared.clock import Clock
from shared.commands import (
    Cancel,
    CancelReply,
    Generate,
    GenerateReply,
    Replay,
    ReplayReply,
    SetAdapter,
    SetAdapterReply,
)
from shared.config import Settings
from shared.events import Finished, Token
from shared.model.errors import ModelError
from shared.service import Finding, Refused, Request, Service, StartError

log = logging.getLogger(__name__)

NICENESS = 5
"""Of the threads that compute: speech needs 10 tokens a second, but a late buffer is heard at once."""
STATS_S = 1.0
PROGRESS_S = 1.0


class LlmService(Service):
    """Runs the language model and streams its text onto the bus."""

    name = "llm"
    runner: Runner

    def __init__(self, settings: Settings, bus: Bus, clock: Clock) -> None:
        super().__init__(settings, bus, clock)
        self.memory = ReplayMemory(clock)
        self.epoch = 0
        """Highest epoch seen in a command; turns of older ones are over."""
        self._next_stats_s = 0.0
        self._next_progress_s = 0.0
        self._published_load = (0, 0)

    def start(self) -> None:
        """Load the model, fetching it first if need be; or find the server that has it."""
        _step_back()
        try:
            if self.settings.llm.backend_url:
                self.runner = Backend(self.settings.llm, self.bus.wake, self.clock)
            else:
                from services.llm.inference import Inference  # brings torch, which a backend does not need

                self.runner = Inference.load(
                    self.settings.llm,
                    progress=self._report_loading,
                    clock=self.clock,
                    look_up=self.bus.obey,
                )
        except ModelError as error:
            raise StartError(str(error)) from None
        self.bus.handle(Generate, self._generate)
        self.bus.handle(Cancel, self._cancel)
        self.bus.handle(Replay, self._replay)
        self.bus.handle(SetAdapter, self._set_adapter)
        self._publish_stats()
        self._tell_state()

    def tick(self) -> float:
        """One step of whoever runs the model."""
        if self.runner.busy:
            self._publish(self.runner.step())
        now = self.clock()
        if now >= self._next_stats_s or self._published_load != self.runner.occupancy():
            self._publish_stats()
            self._tell_state()
        return 0.0 if self.runner.busy else self._next_stats_s - now

    def stop(self) -> None:
        """End what runs; its readers get an ending instead of silence."""
        self._publish(self.runner.cancel(lambda _: True))

    def _tell_state(self) -> None:
        if self.runner.trouble:
            self.degraded(self.runner.trouble)
        else:
            self.ready(self.runner.describe())

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
            queued = self.runner.submit(command, cause=request.id)
        except RefusedError as error:
            raise Refused(str(error), error.code) from None
        except ValueError as error:
            raise Refused(str(error)) from None
        self.epoch = max(self.epoch, command.epoch or 0)
        self.memory.begin(command.generation)
        return GenerateReply(generation=command.generation, queued=queued)

    def _cancel(self, command: Cancel, _: Request) -> CancelReply:
        wanted, below = command.generation, command.below_epoch
        if wanted is None and below is None:
            raise Refused("llm.cancel needs a generation or below_epoch")
        self.epoch = max(self.epoch, below or 0)
        ended = self.runner.cancel(
            lambda one: (
                one.generation == wanted
                or (below is not None and one.epoch is not None and one.epoch < below)
            )
        )
        self._publish(ended)
        return CancelReply(cancelled=len(ended))

    def _replay(self, command: Replay, _: Request) -> ReplayReply:
        try:
            return self.memory.read(command.generation, command.from_index)
        except KeyError:
            raise Refused(f"generation {command.generation!r} is unknown or ended too long ago") from None

    def _set_adapter(self, command: SetAdapter, _: Request) -> SetAdapterReply:
        try:
            name, finishing = self.runner.adapt(command.adapter)
        except RefusedError as error:
            raise Refused(str(error), error.code) from None
        self._publish_stats()
        return SetAdapterReply(adapter=name, finishing=finishing)

    # -- events -----------------------------------------------------------------------------------------

    def _publish(self, outputs: list[Output] | list[Ended]) -> None:
        for output in outputs:
            if isinstance(output, Piece):
                self._publish_piece(output)
            else:
                self._publish_ended(output)

    def _publish_piece(self, piece: Piece) -> None:
        request = piece.request
        self.memory.add(request.generation, piece.text, piece.logprobs)
        token = Token(
            generation=request.generation,
            index=piece.index,
            text=piece.text,
            tokens=piece.tokens,
            turn=request.turn,
            epoch=request.epoch,
            logprobs=list(piece.logprobs),
        )
        self.bus.publish("llm.token", token, cause=request.cause)

    def _publish_ended(self, ended: Ended) -> None:
        request = ended.request
        finished = Finished(
            generation=request.generation,
            reason=ended.reason,
            text=ended.text,
            pieces=ended.pieces,
            turn=request.turn,
            epoch=request.epoch,
            prompt_tokens=ended.prompt_tokens,
            cached_tokens=ended.cached_tokens,
            completion_tokens=ended.completion_tokens,
            dropped_turns=request.dropped_turns,
            first_token_ms=round(ended.first_token_ms, 2),
            tokens_per_s=round(ended.tokens_per_s, 2),
            elapsed_ms=round(ended.elapsed_ms, 2),
            error=ended.error,
        )
        self.memory.end(request.generation, finished)
        self.bus.publish("llm.finished", finished, cause=request.cause)
        log.debug("generation %s ended: %s", request.generation, ended.reason)

    def _publish_stats(self) -> None:
        self._published_load = self.runner.occupancy()
        self._next_stats_s = self.clock() + STATS_S
        self.bus.publish("llm.stats", self.runner.stats())

    @classmethod
    def check(cls, settings: Settings) -> list[Finding]:
        """The weights: there, whole, able to run on the chosen device; or the server that has the model."""
        if settings.llm.backend_url:
            return [check_backend(settings.llm)]
        from services.llm.inference import Inference

        try:
            inference = Inference.load(settings.llm, offline=True)
        except ModelError as error:
            fix = (
                f"run `python -m shared.model.fetch {settings.llm.model}`, or set [llm] in configs/stack.toml"
            )
            return [Finding("llm model", False, str(error), fix)]
        return [Finding("llm model", True, inference.describe())]


def _step_back() -> None:
    """Let the voice and the bus go first: this thread and those it starts, but not the bus's own, which run
    already. Only on Linux is that a thread's own affair."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, 0, max(NICENESS, os.getpriority(os.PRIO_PROCESS, 0)))
