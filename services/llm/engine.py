"""Continuous batching over a few cache rows: one `step` at a time, no bus, no threads, a clock passed in."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

from torch import Tensor

from services.llm.generation import Generation, Request
from services.llm.outputs import Ended, Output, Piece, RefusedError
from services.llm.rows import Rows
from shared.clock import Clock, monotonic
from shared.events import EndReason
from shared.model.adapter import Adapter
from shared.model.generate import LanguageModel, prefill
from shared.model.sampling import Sampler
from shared.model.static_decode import decoder_for

RUNNING_DELAY_S = 0.03
"""What a chunk of a joining prompt may take while others run; on busy cores it takes up to half more."""
SMALLEST_CHUNK = 16

Done = tuple[Generation, Tensor | Exception]
"""Logits (V,) that follow a generation's last token, or why there are none."""

log = logging.getLogger(__name__)


class Engine:
    """Requests wait in line, take a free row, are prefilled in chunks, then decode together."""

    def __init__(
        self,
        model: LanguageModel,
        *,
        slots: int = 1,
        context: int | None = None,
        kv_tokens: int | None = None,
        queue_limit: int = 16,
        prefill_chunk: int = 256,
        clock: Clock = monotonic,
        look_up: Callable[[], None] = lambda: None,
    ) -> None:
        """`look_up` is called when the model is done and before tokens are chosen: who is cancelled in it
        says nothing more."""
        self.model = model
        self.look_up = look_up
        self.rows = Rows(model.new_cache(batch=slots, max_seq_len=context), kv_tokens)
        self.decode = decoder_for(model, self.rows.cache)
        self.queue_limit = queue_limit
        self.prefill_chunk = prefill_chunk
        self.clock = clock
        self.waiting: deque[Generation] = deque()
        self.running: list[Generation] = []
        self.prefill_tokens_per_s = 0.0
        self.tokens_total = 0
        self.adapter: Adapter | None = None
        """What computes beside the model."""
        self._next: Adapter | None = None
        self._draining = False
        """Whether `_next` waits for what runs to end."""

    def adapt(self, adapter: Adapter | None) -> int:
        """Use this adapter, or none, as soon as nothing runs; returns how many generations that waits for.

        They finish on the one before, and nobody is admitted until then. `require_fits` must have passed.
        """
        self._next, self._draining = adapter, bool(self.running)
        if not self.running:
            self._adapt()
        return len(self.running)

    def _adapt(self) -> None:
        self.model.set_adapter(self._next)
        self.adapter = self._next
        self.rows.adapter = "" if self.adapter is None else self.adapter.fingerprint()
        self.decode = decoder_for(self.model, self.rows.cache)  # a recorded step has the old one in it

    def _adapt_when_drained(self) -> None:
        if not self._draining or self.running:
            return
        self._draining = False
        try:
            self._adapt()
        except Exception as error:
            log.error("the adapter before stays", exc_info=error)

    @property
    def context(self) -> int:
        """Tokens that prompt and reply may have together."""
        return min(self.rows.cache.max_seq_len, self.rows.budget)

    @property
    def busy(self) -> bool:
        """Whether a step would do anything."""
        return bool(self.waiting or self.running)

    def submit(self, request: Request) -> int:
        """Put a request in line; returns how many are ahead of it. Raises RefusedError."""
        active = [*self.running, *self.waiting]
        if any(other.request.generation == request.generation for other in active):
            raise RefusedError(f"generation {request.generation!r} exists already: choose another id")
        if not request.tokens:
            raise RefusedError("the prompt is empty")
        if _longest(request) > self.context:
            raise RefusedError(
                f"{len(request.tokens)} prompt tokens and max_tokens {request.max_tokens} do not fit the "
                f"context of {self.context}: shorten the prompt or lower max_tokens",
                "too_long",
            )
        ahead = len(self.waiting) - self.rows.startable([_longest(one.request) for one in self.waiting])
        if ahead >= self.queue_limit:
            raise RefusedError(f"{ahead} generations are waiting already: try again later", "busy")
        sampler = Sampler(request.params, self.model.config.n_tokens, request.seed)
        self.waiting.append(Generation(request, self.clock(), sampler))
        return ahead

    def cancel(self, matches: Callable[[Request], bool]) -> list[Ended]:
        """End every request that `matches`, at once; its row is free when this returns."""
        found = [one for one in (*self.running, *self.waiting) if matches(one.request)]
        return [self._end(generation, "cancelled") for generation in found]

    def step(self) -> list[Output]:
        """Admit, prefill one chunk of one prompt, decode one token of every stream that runs."""
        outputs: list[Output] = []
        now = self.clock()
        for generation in [one for one in self.waiting if _is_overdue(one, now)]:
            waited = f"no slot was free within {generation.request.queue_deadline_s:g} s"
            outputs.append(self._end(generation, "lost", waited))
        while (
            not self._draining and self.waiting and self.rows.startable([_longest(self.waiting[0].request)])
        ):
            generation = self.waiting.popleft()
            request = generation.request
            generation.row, generation.cached_tokens = self.rows.claim(request.tokens, _longest(request))
            generation.filled = generation.cached_tokens
            self.running.append(generation)
        decoding = [one for one in self.running if one.is_decoding]
        joining = [one for one in self.running if not one.is_decoding]
        done: list[Done] = []
        if joining:
            done += self._prefill_chunk(joining[0], alone=not decoding)
        if decoding:
            done += self._decode(decoding)
        self.look_up()
        for generation, result in done:
            if generation not in self.running:
                continue
            if isinstance(result, Exception):
                outputs.append(self._fail(generation, result))
            else:
                outputs += self._accept(generation, result)
        return outputs

    def _prefill_chunk(self, generation: Generation, alone: bool) -> list[Done]:
        assert generation.row is not None
        size = self.prefill_chunk
        if not alone:
            bearable = int(self.prefill_tokens_per_s * RUNNING_DELAY_S)
            size = max(SMALLEST_CHUNK, min(size, bearable))
        chunk = generation.request.tokens[generation.filled : generation.filled + size]
        begin = self.clock()
        try:
            logits = prefill(self.model, self.rows.cache, generation.row, chunk)
        except Exception as error:
            return [(generation, error)]
        if (spent := self.clock() - begin) > 0 and len(chunk) >= SMALLEST_CHUNK:
            self.prefill_tokens_per_s = len(chunk) / spent
        self.rows.extend(generation.row, chunk)
        generation.filled += len(chunk)
        if generation.is_decoding:
            return [(generation, logits)]
        # Prompts that join together take turns: a short one does not wait for all of a long one.
        self.running.remove(generation)
        self.running.append(generation)
        return []

    def _decode(self, batch: list[Generation]) -> list[Done]:
        rows = [one.row for one in batch if one.row is not None]
        last = [one.sampler.generated[-1] for one in batch]
        try:
            logits = self.decode(rows, last)
        except Exception as error:
            if len(batch) == 1:
                return [(batch[0], error)]
            # No row has advanced: alone, each shows whether it was the one that failed.
            return [result for one in batch for result in self._decode([one])]
        for row, token in zip(rows, last, strict=True):
            self.rows.extend(row, [token])
        return [(one, logits[index]) for index, one in enumerate(batch)]

    def _accept(self, generation: Generation, logits: Tensor) -> list[Output]:
        """Choose the next token and tell what it means: text, an end, or nothing yet."""
        request = generation.request
        try:
            chosen_from = logits
            for process in request.processors:
                chosen_from = process(chosen_from, generation.sampler.generated)
            token = generation.sampler.choose(chosen_from)
            if request.observe is not None and token not in request.stop_tokens:
                generation.unsent.append(request.observe(logits, token))
            stopped = token in request.stop_tokens
            text = "" if stopped else request.text.feed(token)
            full = len(generation.sampler.generated) >= request.max_tokens
            stopped = stopped or request.text.stopped
            if stopped or full:
                text += request.text.finish()
        except Exception as error:
            return [self._fail(generation, error)]
        now = self.clock()
        if generation.first_token_s is None:
            generation.first_token_s = now
        generation.last_token_s = now
        self.tokens_total += 1
        outputs: list[Output] = []
        if text:
            generation.pieces.append(text)
            count = len(generation.sampler.generated)
            index = len(generation.pieces) - 1
            outputs.append(Piece(request, index, text, count, tuple(generation.unsent)))
            generation.unsent.clear()
        if stopped or full:
            outputs.append(self._end(generation, "stop" if stopped else "length"))
        return outputs

    def _fail(self, generation: Generation, error: Exception) -> Ended:
        log.error("generation %s failed", generation.request.generation, exc_info=error)
        return self._end(generation, "error", f"{type(error).__name__}: {error}"[:300])

    def _end(self, generation: Generation, reason: EndReason, error: str = "") -> Ended:
        if generation.row is None:
            self.waiting.remove(generation)
        else:
            self.running.remove(generation)
            self.rows.release(generation.row)
            self._adapt_when_drained()
        return generation.ended(reason, self.clock(), error)


def _longest(request: Request) -> int:
    """Tokens that prompt and reply may come to."""
    return len(request.tokens) + request.max_tokens


def _is_overdue(generation: Generation, now_s: float) -> bool:
    return now_s - generation.received_s > generation.request.queue_deadline_s
