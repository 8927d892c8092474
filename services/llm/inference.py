"""Model, tokenizer, template and engine together: takes `llm.generate` as it stands, knows no bus."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from services.llm.engine import Engine
from services.llm.generation import Ended, Request
from services.llm.prompt import PromptBuilder
from services.llm.reply_text import ReplyText
from shared.clock import Clock, monotonic
from shared.commands import ChatTurn, Generate
from shared.config import LlmSettings
from shared.model.device import describe, set_threads
from shared.model.errors import ModelError
from shared.model.gpt import GPT
from shared.model.loading import LoadedModel, load_model
from shared.model.packing import pack
from shared.model.progress import Progress
from shared.model.sampling import SamplingParams

log = logging.getLogger(__name__)


@dataclass
class Inference:
    """A loaded model that is ready to answer."""

    loaded: LoadedModel
    engine: Engine
    prompts: PromptBuilder
    threads: int

    @classmethod
    def load(
        cls,
        settings: LlmSettings,
        *,
        progress: Progress | None = None,
        offline: bool = False,
        clock: Clock = monotonic,
    ) -> Inference:
        """Load what the settings name and run it once, so that the first reply does not pay for it.

        Raises ModelError with one sentence.
        """
        threads = set_threads(settings.threads)
        loaded = load_model(
            settings.model,
            device=settings.device,
            dtype=settings.dtype,
            engine=settings.engine,
            threads=settings.threads,
            progress=progress,
            offline=offline,
        )
        if isinstance(loaded.model, GPT):
            pack(loaded.model)
        else:
            # Sampling alone is left to PyTorch, and its threads would spin beside the native ones.
            threads = loaded.model.threads
            set_threads(1)
        engine = Engine(
            loaded.model,
            slots=settings.slots,
            context=settings.context,
            queue_limit=settings.queue_limit,
            prefill_chunk=settings.prefill_chunk,
            clock=clock,
        )
        prompts = PromptBuilder(loaded.template, loaded.tokenizer, engine.context)
        made = cls(loaded, engine, prompts, threads)
        made._warm_up()
        log.info("%s", made.describe())
        return made

    def describe(self) -> str:
        """For people: which model runs where."""
        loaded = self.loaded
        threads = f", {self.threads} threads" if loaded.device == "cpu" else ""
        count = f"{loaded.parameters / 1e6:,.1f} M"
        return f"{loaded.name}: {count} parameters, {loaded.dtype} on {self.device}{threads}"

    @property
    def device(self) -> str:
        """`cpu`, `mps`, or cuda with the card's name."""
        return describe(self.loaded.model.device)

    def submit(self, command: Generate, cause: str | None = None) -> int:
        """Put a command in line; returns how many are ahead of it. Raises RefusedError."""
        tokens, dropped = self.prompts.build(command.messages, command.pinned, command.max_tokens)
        template, tokenizer = self.loaded.template, self.loaded.tokenizer
        request = Request(
            generation=command.generation,
            tokens=tokens,
            text=ReplyText(tokenizer, [*command.stop, *template.stop_strings]),
            max_tokens=command.max_tokens,
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
        )
        return self.engine.submit(request)

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
