"""Model, tokenizer, template and engine together: takes `llm.generate` as it stands, knows no bus."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from services.llm.adapters import find_adapter
from services.llm.constraint import Constraints
from services.llm.engine import Engine
from services.llm.generation import LogitsProcessor, Request
from services.llm.outputs import Asked, Ended, Output, RefusedError
from services.llm.processors import log_probabilities, penalties
from services.llm.prompt import PromptBuilder
from services.llm.reply_text import ReplyText
from shared.clock import Clock, monotonic
from shared.commands import ChatTurn, Generate
from shared.config import LlmSettings
from shared.events import LlmStats
from shared.model.device import describe, set_threads
from shared.model.errors import ModelError
from shared.model.gpt import GPT
from shared.model.loading import LoadedModel, load_model
from shared.model.packing import pack
from shared.model.progress import Progress
from shared.model.sampling import SamplingParams
from shared.model.weight_only import Bits, quantise

log = logging.getLogger(__name__)

BITS: dict[str, Bits | None] = {"none": None, "int8": 8, "int4": 4}


@dataclass
class Inference:
    """A loaded model that is ready to answer."""

    loaded: LoadedModel
    engine: Engine
    prompts: PromptBuilder
    constraints: Constraints
    threads: int
    last_ended: Ended | None = None

    @classmethod
    def load(
        cls,
        settings: LlmSettings,
        *,
        progress: Progress | None = None,
        offline: bool = False,
        clock: Clock = monotonic,
        look_up: Callable[[], None] = lambda: None,
    ) -> Inference:
        """Load what the settings name and run it once, so that the first reply does not pay for it.

        `look_up` is the engine's. Raises ModelError with one sentence.
        """
        bits = BITS[settings.quantise]
        if bits is not None and settings.engine == "native":
            raise ModelError("llm.quantise is for PyTorch: the native engine keeps the file's own bits.")
        threads = set_threads(settings.threads)
        loaded = load_model(
            settings.model,
            device=settings.device,
            dtype=settings.dtype,
            engine=settings.engine if bits is None else "torch",
            threads=settings.threads,
            progress=progress,
            offline=offline,
        )
        if isinstance(loaded.model, GPT):
            if bits is None:
                pack(loaded.model)
            else:
                _quantise(loaded, bits)
        else:
            # Sampling alone is left to PyTorch, and its threads would spin beside the native ones.
            threads = loaded.model.threads
            set_threads(1)
        engine = Engine(
            loaded.model,
            slots=settings.slots,
            context=settings.context,
            kv_tokens=settings.kv_tokens or None,
            queue_limit=settings.queue_limit,
            prefill_chunk=settings.prefill_chunk,
            clock=clock,
            look_up=look_up,
        )
        engine.adapt(find_adapter(settings.adapter, loaded))
        prompts = PromptBuilder(loaded.template, loaded.tokenizer, engine.context)
        made = cls(loaded, engine, prompts, Constraints(loaded.tokenizer), threads)
        made._warm_up()
        log.info("%s", made.describe())
        return made

    def describe(self) -> str:
        """For people: which model runs where."""
        loaded = self.loaded
        threads = f", {self.threads} threads" if loaded.device == "cpu" else ""
        count = f"{loaded.parameters / 1e6:,.1f} M"
        adapter = f", adapter {self.adapter}" if self.adapter else ""
        return f"{loaded.name}: {count} parameters, {loaded.dtype} on {self.device}{threads}{adapter}"

    @property
    def device(self) -> str:
        """`cpu`, `mps`, or cuda with the card's name."""
        return describe(self.loaded.model.device)

    def submit(self, command: Generate, cause: str | None = None) -> int:
        """Put a command in line; returns how many are ahead of it. Raises RefusedError."""
        dropped, room = 0, command.max_tokens or 1
        if command.prompt is None:
            tokens, dropped = self.prompts.build(command.messages, command.pinned, room)
        else:
            tokens = self.prompts.continued(command.prompt, room)
        template, tokenizer = self.loaded.template, self.loaded.tokenizer
        own_stops = template.stop_strings if command.prompt is None else ()
        observe = None
        if command.logprobs is not None:
            count = self.loaded.model.config.n_tokens
            observe = log_probabilities(command.logprobs, count, tokenizer.token_bytes)
        request = Request(
            generation=command.generation,
            tokens=tokens,
            text=ReplyText(tokenizer, [*command.stop, *own_stops]),
            max_tokens=command.max_tokens or self.engine.context - len(tokens),
            params=SamplingParams(
                temperature=command.temperature,
                top_k=command.top_k,
                top_p=command.top_p,
                min_p=command.min_p,
                repetition_penalty=command.repetition_penalty,
            ),
            seed=command.seed,
            stop_tokens=tokenizer.end_ids,
            queue_deadline_s=command.queue_deadline_s,
            turn=command.turn,
            epoch=command.epoch,
            dropped_turns=dropped,
            cause=cause,
            processors=self._processors(command),
            observe=observe,
        )
        return self.engine.submit(request)

    def _processors(self, command: Generate) -> tuple[LogitsProcessor, ...]:
        made: list[LogitsProcessor] = []
        if command.presence_penalty or command.frequency_penalty:
            made.append(penalties(command.presence_penalty, command.frequency_penalty))
        if command.json_schema is not None:
            made.append(self.constraints.json_schema(command.json_schema))
        return tuple(made)

    @property
    def trouble(self) -> str:
        """None: what does not load is no Inference."""
        return ""

    @property
    def busy(self) -> bool:
        """Whether a step would do anything."""
        return self.engine.busy

    def step(self) -> list[Output]:
        """One step of the engine."""
        outputs = self.engine.step()
        self._noted([output for output in outputs if isinstance(output, Ended)])
        return outputs

    def _noted(self, endings: list[Ended]) -> list[Ended]:
        """The last one that said something is what the statistics tell of."""
        for ended in endings:
            if ended.completion_tokens > 1:  # one token has no rate: the director warms the cache so
                self.last_ended = ended
        return endings

    def cancel(self, matches: Callable[[Asked], bool]) -> list[Ended]:
        """End every request that `matches`, at once."""
        return self._noted(self.engine.cancel(matches))

    def adapt(self, wanted: str) -> tuple[str, int]:
        """Obey `llm.adapter`: the new one's name, and how many finish on the old one. Raises RefusedError."""
        try:
            adapter = find_adapter(wanted, self.loaded)
            finishing = self.engine.adapt(adapter)
        except (ModelError, MemoryError) as error:
            raise RefusedError(str(error)) from None
        return adapter.info.name if adapter is not None else "", finishing

    @property
    def adapter(self) -> str:
        """Name of the adapter that is in use; empty without one."""
        return self.engine.adapter.info.name if self.engine.adapter is not None else ""

    def occupancy(self) -> tuple[int, int]:
        """Generations that run and that wait."""
        return len(self.engine.running), len(self.engine.waiting)

    def stats(self) -> LlmStats:
        """What the model is and how busy it is."""
        engine = self.engine
        latest = next((one for one in reversed(engine.running) if one.first_token_s is not None), None)
        last = self.last_ended
        rate = latest.decode_tokens_per_s if latest else last.tokens_per_s if last else 0.0
        first = latest.first_token_ms if latest else last.first_token_ms if last else 0.0
        return LlmStats(
            model=self.loaded.name,
            device=self.device,
            dtype=self.loaded.dtype,
            parameters=self.loaded.parameters,
            context=engine.context,
            slots=engine.rows.cache.batch,
            active=len(engine.running),
            queued=len(engine.waiting),
            kv_used=engine.rows.used,
            kv_capacity=engine.rows.budget,
            tokens_per_s=round(rate, 2),
            first_token_ms=round(first, 2),
            tokens_total=engine.tokens_total,
            threads=self.threads,
            adapter=self.adapter,
        )

    def _warm_up(self) -> None:
        hello = [ChatTurn(role="user", content="Hello! Who are you, and how was your day?")]
        room = self.engine.context - len(self.prompts.build(hello, 0, 1)[0])
        self.submit(Generate(generation="warm-up", messages=hello, pinned=0, max_tokens=min(4, room)))
        while self.engine.busy:
            for output in self.engine.step():
                if isinstance(output, Ended) and output.reason == "error":
                    raise ModelError(f"The model {self.loaded.name} does not run here: {output.error}.")
        self.engine.rows.forget()
        self.engine.tokens_total = 0


def _quantise(loaded: LoadedModel, bits: Bits) -> None:
    assert isinstance(loaded.model, GPT)
    try:
        quantise(loaded.model, bits)
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"The model {loaded.name} cannot run in {bits} bits: {_reason(error)}.") from None
    loaded.dtype = f"int{bits}"


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0][:300] if str(error) else type(error).__name__
