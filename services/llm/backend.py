"""A model that runs elsewhere: an OpenAI-compatible server in the place of our engine. Needs no torch."""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from services.llm.backend_http import Exchange, first_model, server_of
from services.llm.backend_stream import BackendError, Chunk, request_of
from services.llm.outputs import Asked, Ended, Output, Piece, RefusedError
from services.llm.trimming import first_kept
from shared.clock import Clock, monotonic
from shared.commands import ChatTurn, Generate
from shared.config import LlmSettings
from shared.events import EndReason, LlmStats
from shared.model.errors import ModelError
from shared.service import Finding

PROBE_S = 5.0
"""How often a server that was away is looked for."""
CHARS_A_TOKEN = 3
"""Too few rather than too many: the server's tokenizer is not known here."""
TURN_TOKENS = 8
ROOM_TOKENS = 256


@dataclass
class Run:
    """One request, waiting or running. Times are the clock's seconds."""

    command: Generate
    cause: str | None
    dropped_turns: int
    path: str
    body: dict[str, object]
    received_s: float
    exchange: Exchange | None = None
    pieces: list[str] = field(default_factory=list)
    reason: EndReason | None = None
    first_s: float | None = None
    heard_s: float = 0.0
    counts: tuple[int, int, int] = (0, 0, 0)
    """Prompt, cached and completion tokens, once the server has told."""

    @property
    def generation(self) -> str:
        """Its id."""
        return self.command.generation

    @property
    def turn(self) -> str | None:
        """The show's turn it belongs to."""
        return self.command.turn

    @property
    def epoch(self) -> int | None:
        """That turn's epoch."""
        return self.command.epoch

    @property
    def tokens(self) -> int:
        """Tokens so far: the server's count, or one a piece."""
        return self.counts[2] or len(self.pieces)


Report = Chunk | BackendError | None
"""What a reading thread says of its run; None is the end of the stream."""


class Backend:
    """A `services.llm.runner.Runner`; threads read, the owner's thread decides."""

    def __init__(
        self,
        settings: LlmSettings,
        wake: Callable[[], None],
        clock: Clock = monotonic,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Waits up to LIST_S for the server to say what it has. Raises ModelError for a bad address."""
        if settings.adapter not in ("", "auto"):
            raise ModelError("llm.adapter is for a model of ours: that of llm.backend_url runs elsewhere.")
        self._settings = settings
        self._server = server_of(settings.backend_url, (env or os.environ).get("AKANE_BACKEND_KEY", ""))
        self._wake = wake
        self._clock = clock
        self._inbox: queue.SimpleQueue[tuple[Run, Report]] = queue.SimpleQueue()
        self._probes: queue.SimpleQueue[tuple[str, int] | BackendError] = queue.SimpleQueue()
        self._waiting: deque[Run] = deque()
        self._running: list[Run] = []
        self._last: Ended | None = None
        self._tokens_total = 0
        self.model = settings.backend_model
        self.context = settings.context
        self.trouble = ""
        """One sentence while the server is not there."""
        self._is_probing = True
        self._next_probe_s = 0.0
        self._probe()
        self._take_probe()

    @property
    def busy(self) -> bool:
        """Whether a step would do anything now."""
        if not (self._inbox.empty() and self._probes.empty()):
            return True
        now = self._clock()
        is_probe_due = bool(self.trouble) and not self._is_probing and now >= self._next_probe_s
        return is_probe_due or any(self._is_overdue(run, now) for run in (*self._waiting, *self._running))

    def submit(self, command: Generate, cause: str | None = None) -> int:
        """Put a command in line; returns how many are ahead of it. Raises RefusedError."""
        if not self.model:
            raise RefusedError(self.trouble or "the backend has not named a model yet", "unavailable")
        if any(run.generation == command.generation for run in (*self._waiting, *self._running)):
            raise RefusedError(f"generation {command.generation!r} exists already: choose another id")
        if len(self._waiting) >= self._settings.queue_limit:
            raise RefusedError(
                f"{len(self._waiting)} generations are waiting already: try again later", "busy"
            )
        messages, dropped = self._trimmed(command)
        path, body = request_of(command, messages, self.model)
        self._waiting.append(Run(command, cause, dropped, path, body, self._clock()))
        self._start_waiting()
        return len(self._waiting)

    def step(self) -> list[Output]:
        """What the threads have read since the last call."""
        outputs: list[Output] = []
        self._take_probe()
        while not self._inbox.empty():
            run, report = self._inbox.get()
            if run in self._running:
                outputs += self._take(run, report)
        now = self._clock()
        for run in [each for each in (*self._waiting, *self._running) if self._is_overdue(each, now)]:
            if run in self._waiting:
                waited = f"no slot was free within {run.command.queue_deadline_s:g} s"
                outputs.append(self._end(run, "lost", waited))
            else:
                silence = f"The backend said nothing for {self._settings.backend_timeout_s:g} s."
                outputs.append(self._end(run, "error", silence))
        if self.trouble and not self._is_probing and now >= self._next_probe_s:
            self._is_probing = True
            threading.Thread(target=self._probe, name="backend-probe", daemon=True).start()
        return outputs

    def cancel(self, matches: Callable[[Asked], bool]) -> list[Ended]:
        """End every request that `matches`, at once; the server sees its connection close."""
        found = [run for run in (*self._running, *self._waiting) if matches(run)]
        return [self._end(run, "cancelled") for run in found]

    def adapt(self, wanted: str) -> tuple[str, int]:
        """Refuses: what that server's model is made of is not ours to change."""
        raise RefusedError("the model runs on a server elsewhere: load the adapter there")

    def occupancy(self) -> tuple[int, int]:
        """Generations that run and that wait."""
        return len(self._running), len(self._waiting)

    def stats(self) -> LlmStats:
        """What is known of a model elsewhere."""
        last = self._last
        return LlmStats(
            model=self.model or "unknown",
            device=self._server.place,
            dtype="backend",
            parameters=0,
            context=self.context,
            slots=self._settings.slots,
            active=len(self._running),
            queued=len(self._waiting),
            tokens_per_s=round(last.tokens_per_s, 2) if last else 0.0,
            first_token_ms=round(last.first_token_ms, 2) if last else 0.0,
            tokens_total=self._tokens_total,
        )

    def describe(self) -> str:
        """For people: which model runs where."""
        return f"{self.model} at {self._server.place}"

    # -- in the owner's thread ---------------------------------------------------------------------------

    def _trimmed(self, command: Generate) -> tuple[list[ChatTurn], int]:
        """The messages that fit the context by a rough count, and how many were left out."""
        messages = list(command.messages)
        if not messages:
            return [], 0
        counts = [len(one.content) // CHARS_A_TOKEN + TURN_TOKENS for one in messages]
        pinned = min(command.pinned, len(messages) - 1)
        budget = self.context - (command.max_tokens or ROOM_TOKENS)
        start = first_kept(counts, [one.role for one in messages], pinned, budget)
        return [*messages[:pinned], *messages[start:]], start - pinned

    def _start_waiting(self) -> None:
        while self._waiting and len(self._running) < self._settings.slots:
            run = self._waiting.popleft()
            run.exchange = Exchange(self._server, self._settings.backend_timeout_s)
            run.heard_s = self._clock()
            self._running.append(run)
            name = f"backend-{run.generation}"
            threading.Thread(target=self._read, args=(run, run.exchange), name=name, daemon=True).start()

    def _take(self, run: Run, report: Report) -> list[Output]:
        if isinstance(report, BackendError):
            if not run.pieces:
                self.trouble = str(report)  # until a probe finds it well
            return [self._end(run, "lost" if report.lost else "error", str(report))]
        if report is None:
            return [self._end(run, run.reason or "stop")]
        run.heard_s = self._clock()
        run.reason = run.reason or report.reason
        if report.completion_tokens:
            run.counts = (report.prompt_tokens, report.cached_tokens, report.completion_tokens)
        if not report.text:
            return []
        if run.first_s is None:
            run.first_s = run.heard_s
        run.pieces.append(report.text)
        return [Piece(run, len(run.pieces) - 1, report.text, len(run.pieces), report.logprobs)]

    def _end(self, run: Run, reason: EndReason, error: str = "") -> Ended:
        if run in self._waiting:
            self._waiting.remove(run)
        else:
            self._running.remove(run)
            assert run.exchange is not None
            run.exchange.close()
        now = self._clock()
        span = run.heard_s - (run.first_s or 0.0)
        prompt_tokens, cached_tokens, _ = run.counts
        ended = Ended(
            request=run,
            reason=reason,
            text="".join(run.pieces),
            pieces=len(run.pieces),
            prompt_tokens=prompt_tokens,
            cached_tokens=cached_tokens,
            completion_tokens=run.tokens,
            first_token_ms=0.0 if run.first_s is None else 1000 * (run.first_s - run.received_s),
            tokens_per_s=(run.tokens - 1) / span if run.tokens > 1 and span > 0 else 0.0,
            elapsed_ms=1000 * (now - run.received_s),
            error=error,
        )
        if run.tokens:
            self._last = ended
            self._tokens_total += run.tokens
        self._start_waiting()
        return ended

    def _is_overdue(self, run: Run, now: float) -> bool:
        if run.exchange is None:
            return now - run.received_s > run.command.queue_deadline_s
        return now - run.heard_s > self._settings.backend_timeout_s

    def _take_probe(self) -> None:
        while not self._probes.empty():
            found = self._probes.get()
            self._is_probing = False
            self._next_probe_s = self._clock() + PROBE_S
            if isinstance(found, BackendError):
                self.trouble = str(found)
            else:
                self.trouble = ""
                self.model, context = found
                self.context = context or self._settings.context

    # -- in threads of their own -------------------------------------------------------------------------

    def _read(self, run: Run, exchange: Exchange) -> None:
        last: Report = None
        try:
            for chunk in exchange.stream(run.path, run.body):
                self._inbox.put((run, chunk))
                self._wake()
        except BackendError as error:
            last = error
        except Exception as error:
            last = BackendError(f"The backend's reply cannot be read ({type(error).__name__}: {error}).")
        self._inbox.put((run, last))
        self._wake()

    def _probe(self) -> None:
        try:
            self._probes.put(first_model(self._server, self._settings.backend_model))
        except BackendError as error:
            self._probes.put(error)
        self._wake()


def check_backend(settings: LlmSettings, env: Mapping[str, str] | None = None) -> Finding:
    """The row of `--check`: is the server there, and has it the model?"""
    try:
        server = server_of(settings.backend_url, (env or os.environ).get("AKANE_BACKEND_KEY", ""))
        model, _ = first_model(server, settings.backend_model)
    except (ModelError, BackendError) as error:
        return Finding("llm backend", False, str(error), "start that server, or set llm.backend_url")
    return Finding("llm backend", True, f"{model} at {server.place}")
