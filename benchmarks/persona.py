"""Is she Akane? Thirty unseen questions to the real model through the director; no bus, no voice."""

from __future__ import annotations

import argparse
import itertools
import logging
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Figure
from services.director.gate import Gate
from services.director.inputs import Answered, Arrived, Input, PresenceChanged
from services.director.memory import Memory
from services.director.turns import Turns
from services.llm.generation import Ended, Piece
from services.llm.inference import Inference
from shared.blocklist import load_blocklist
from shared.commands import Cancel, Generate
from shared.config import LlmSettings, load_settings, load_toml
from shared.events import ChatMessage, Finished, Token, TurnState
from shared.persona import Persona, load_persona
from training.reply_rules import RULES, Answer, Question, broken

DATA = Path(__file__).with_name("data")
UNSEEN = DATA / "persona_questions.toml"
SEEDS = (1, 2, 3)
"""One show of thirty questions each: a single one says little about a share of 80 %."""
PATIENCE_S = 3600.0
"""Shows share one engine here and wait for each other, which is not what is measured."""

_clock_ms = itertools.count(1)


@dataclass(frozen=True)
class Said:
    """One question, what came of it, and the rules it breaks."""

    question: Question
    answer: Answer
    draws: int
    broken: list[str]


class Show:
    """One conversation without a voice: questions in order, her memory running on as it does on stream."""

    def __init__(
        self, inference: Inference, persona: Persona, questions: Sequence[Question], seed: int, history: int
    ) -> None:
        self.results: list[Said] = []
        self._inference = inference
        self._questions = questions
        self._earlier: list[str] = []
        gate = Gate(persona, load_blocklist())
        memory = Memory(persona, history)
        # Turns are named by this clock, and all shows share one engine: no two may read the same time.
        self._turns = Turns(gate, memory, 10, lambda: next(_clock_ms), random.Random(seed))
        self._do(PresenceChanged("llm", "ready"))
        self._ask_next()

    def receive(self, output: Piece | Ended) -> None:
        """What the engine says to a generation of this show."""
        generation = output.request.generation
        if isinstance(output, Piece):
            self._do(Token(generation=generation, index=output.index, text=output.text, tokens=output.tokens))
            return
        self._do(
            Finished(
                generation=generation,
                reason=output.reason,
                text=output.text,
                pieces=output.pieces,
                completion_tokens=output.completion_tokens,
            )
        )

    def _ask_next(self) -> None:
        number = len(self.results)
        if number < len(self._questions):
            question = self._questions[number]
            message = ChatMessage(
                id=str(number),
                channel="script",
                author=question.author,
                author_id=question.author,
                text=question.text,
            )
            self._do(Arrived(message, time.monotonic()))

    def _do(self, happened: Input) -> None:
        for effect in self._turns.handle(happened, time.monotonic()):
            payload = effect.payload
            if isinstance(payload, Generate):
                self._inference.submit(payload.model_copy(update={"queue_deadline_s": PATIENCE_S}))
                _owners[payload.generation] = self
                self._do(Answered(payload))
            elif isinstance(payload, Cancel):
                self._cancel(payload.generation)
            elif isinstance(payload, TurnState) and payload.phase == "done":
                self._done(payload)

    def _cancel(self, generation: str | None) -> None:
        self._inference.engine.cancel(lambda request: request.generation == generation)

    def _done(self, state: TurnState) -> None:
        question = self._questions[len(self.results)]
        answer = Answer(state.text, state.end or "", tuple(self._earlier))
        self._earlier.append(state.text)
        self.results.append(Said(question, answer, state.draw, broken(question, answer)))
        self._ask_next()


_owners: dict[str, Show] = {}


def load_inference(model: str, slots: int) -> Inference:
    """The engine that the llm service runs, with room for `slots` conversations."""
    return Inference.load(LlmSettings(model=model, slots=slots, queue_limit=10_000))


def load_questions(path: Path) -> list[Question]:
    """Read a file of `[[question]]` tables."""
    return [Question(**row) for row in load_toml(path)["question"]]


def play(shows: Sequence[Show], inference: Inference) -> list[Said]:
    """Run all shows to their end, side by side in one batch."""
    while inference.engine.busy:
        for output in inference.engine.step():
            _owners[output.request.generation].receive(output)
    return [said for show in shows for said in show.results]


def figures(results: Sequence[Said], persona: Persona) -> list[Figure]:
    """The share that passes everything, the share of each rule, and what the gate had to do for it."""
    examples = {example.reply for example in persona.example}

    def share(name: str, passes: Iterable[bool], target: str = "") -> Figure:
        return Figure(f"persona.{name}", sum(passes) / len(results), "share", target=target)

    return [
        share("all_rules", (not said.broken for said in results), "at least 0.8"),
        *(
            share(name, (name not in said.broken for said in results))
            for name in RULES
            if name != "to_the_point"  # these questions have no keywords
        ),
        share("first_draw", (said.draws == 1 for said in results)),
        share("copied_example", (said.answer.text in examples for said in results)),
    ]


def run() -> list[Figure]:
    """The figures of `python -m benchmarks persona`."""
    settings = load_settings()
    persona = load_persona(settings.director.persona)
    inference = load_inference(settings.llm.model, len(SEEDS))
    questions = load_questions(UNSEEN)
    history = settings.director.history_turns
    shows = [Show(inference, persona, questions, seed, history) for seed in SEEDS]
    return figures(play(shows, inference), persona)


def main() -> None:
    """Print every reply and the rules it breaks, for tuning: `python -m benchmarks.persona --dev`."""
    settings = load_settings()
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--dev", action="store_true", help="the questions for tuning, not the unseen ones")
    parser.add_argument("--apart", action="store_true", help="every question in a show of its own")
    parser.add_argument("--persona", default=settings.director.persona)
    parser.add_argument("--history", type=int, default=settings.director.history_turns)
    parser.add_argument("--model", default=settings.llm.model)
    parser.add_argument("--seeds", type=int, default=len(SEEDS))
    arguments = parser.parse_args()
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    persona = load_persona(arguments.persona)
    questions = load_questions(DATA / "persona_dev.toml" if arguments.dev else UNSEEN)
    parts = [[question] for question in questions] if arguments.apart else [questions]
    seeds = range(1, arguments.seeds + 1)
    inference = load_inference(arguments.model, min(8, len(parts) * len(seeds)))
    shows = [
        Show(inference, persona, part, seed * 1000 + number, arguments.history)
        for seed in seeds
        for number, part in enumerate(parts)
    ]
    results = play(shows, inference)
    _print(results)
    for figure in figures(results, persona):
        print(figure.line())


def _print(results: Iterable[Said], write: Callable[[str], None] = print) -> None:
    for said in results:
        marks = [*said.broken, *([f"draw {said.draws}"] if said.draws > 1 else [])]
        write(f"{said.question.author}: {said.question.text}")
        write(f"    {said.answer.text}" + (f"   !! {', '.join(marks)}" if marks else ""))


if __name__ == "__main__":
    main()
