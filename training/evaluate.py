"""Is she Akane? The held-out messages to several ways of running her, judged by the same rules, in one table.

    python -m training.evaluate --adapter configs/adapters/akane-135m.safetensors --large MODEL
    python -m training.evaluate --reading --large runs/nano/nano.safetensors

Every way is one that users get: the native engine where it runs, the persona's own sampling, adapters
beside the file's own weights. Replies go to `replies.jsonl` in --out for reading. The director, which draws
again what breaks a rule, is left out: `python -m benchmarks persona` measures with it.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from shared.config import ROOT, ConfigError, load_toml
from shared.model.errors import ModelError
from shared.model.loading import LoadedModel
from shared.persona import Persona, load_persona
from training.dialogues import Dialogue, dialogue_files, messages, read_dialogues
from training.errors import TrainingError
from training.measures import WINDOW, copied, openings, perplexity, said_twice, windows
from training.persona_rules import replies
from training.rendering import render
from training.reply_rules import RULES, Answer, Question, broken
from training.splitting import split
from training.talking import Line, Talker, load_talking
from training.wording import distinct

HELDOUT = Path(__file__).with_name("data") / "heldout"
PERSONA_SET = Path(__file__).with_name("data") / "persona"
HELDOUT_SHARE = 0.05
"""Of the persona set: the share that fine-tuning keeps out of learning."""
MAX_DIALOGUES = 120
"""Held-out dialogues whose perplexity is taken."""


@dataclass(frozen=True)
class Way:
    """One way to run her; a column of the table."""

    name: str
    model: str
    examples: bool
    adapter: Path | None = None


@dataclass(frozen=True)
class Case:
    """A held-out message and what a good reply to it holds."""

    number: int
    line: Line
    question: Question


def read_cases(path: Path) -> list[Case]:
    """The messages of a toml file. Raises ConfigError."""
    cases = []
    for number, row in enumerate(load_toml(path)["message"]):
        history = tuple((one["author"], one["text"], one["reply"]) for one in row.get("history", ()))
        told = " ".join(
            [row.get("memory", ""), *(f"{author} {text} {reply}" for author, text, reply in history)]
        )
        question = Question(
            row["author"], row["text"], row.get("asks_who", False), told, tuple(row.get("keywords", ()))
        )
        cases.append(Case(number, Line(row["author"], row["text"], history, row.get("memory", "")), question))
    return cases


def judge(talker: Talker, cases: Sequence[Case], seed: int) -> Iterator[dict[str, Any]]:
    """Her reply to each case and the rules it breaks."""
    for case in cases:
        reply = talker.reply(case.line, seed * 1_000_003 + case.number)
        yield {
            "case": case.number,
            "seed": seed,
            "author": case.line.author,
            "message": case.line.text,
            "reply": reply,
            "broken": broken(case.question, Answer(reply, "stop")),
            "first_chunk_tokens": talker.first_chunk_tokens(reply),
        }


def table_of(said: Sequence[dict[str, Any]], learned: Sequence[str], keyworded: set[int]) -> dict[str, float]:
    """What the replies of one way come to; `to_the_point` is a share of those with keywords."""
    texts = [one["reply"] for one in said]
    asked = [one for one in said if one["case"] in keyworded]
    rules = {
        name: sum(name not in one["broken"] for one in (asked if name == "to_the_point" else said))
        / max(1, len(asked if name == "to_the_point" else said))
        for name in RULES
    }
    form = sum(set(one["broken"]) <= {"to_the_point"} for one in said) / len(said)
    return {
        "every rule": sum(not one["broken"] for one in said) / len(said),
        "every rule of form": form,
        **rules,
        "said to two messages": said_twice([(one["message"], one["reply"]) for one in said]),
        "word for word from training": copied(texts, learned),
        "same first two words": openings(texts),
        **{f"distinct-{n}": distinct(texts, n) for n in (1, 2, 3)},
        "words a reply": sum(len(text.split()) for text in texts) / len(texts),
        "tokens to the first chunk": sum(one["first_chunk_tokens"] for one in said) / len(said),
    }


def reading(
    loaded: LoadedModel, persona: Persona, examples: bool, texts: Mapping[str, Sequence[Dialogue]]
) -> dict[str, float]:
    """Perplexity of dialogues by name (her words, under the live head), and of prose that is no chat.

    No number where dialogues are longer than the context. Bits per byte compare models of any tokenizer.
    """

    @torch.inference_mode()
    def logits_of(ids: Sequence[int]) -> torch.Tensor:
        return loaded.model(torch.tensor([list(ids)]))[0]

    def of(dialogues: Sequence[Dialogue]) -> float:
        rendered = (
            render(loaded.template, loaded.tokenizer, *messages(one, persona, examples)) for one in dialogues
        )
        samples = [sample for samples in rendered for sample in samples]
        fit = all(len(sample.ids) <= context for sample in samples)
        return perplexity(logits_of, samples) if fit else math.nan

    context = loaded.model.config.block_size
    text = (HELDOUT / "prose.txt").read_text(encoding="utf-8")
    prose = loaded.tokenizer.encode(text)
    numbers = {f"perplexity of {name}": of(dialogues) for name, dialogues in texts.items() if dialogues}
    cut = windows(prose, min(loaded.tokenizer.end_ids), min(WINDOW, context - 1))
    numbers["perplexity of prose"] = perplexity(logits_of, cut)
    bits = math.log2(numbers["perplexity of prose"]) * len(prose)
    return {**numbers, "bits per byte of prose": bits / len(text.encode())}


def evaluate(
    way: Way,
    persona: Persona,
    cases: Sequence[Case],
    seeds: int,
    learned: Sequence[Dialogue],
    texts: Mapping[str, Sequence[Dialogue]],
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """One column of the table, and the replies; with no seeds only what it reads. Raises ModelError."""
    loaded = load_talking(way.model, way.adapter)
    if not seeds:
        return reading(loaded, persona, way.examples, texts), []
    talker = Talker(loaded, persona, examples=way.examples)
    said = [one for seed in range(1, seeds + 1) for one in judge(talker, cases, seed)]
    known = [text for dialogue in learned for text in replies(dialogue)]
    keyworded = {case.number for case in cases if case.question.keywords}
    numbers = table_of(said, known, keyworded)
    numbers |= reading(loaded, persona, way.examples, texts)
    return numbers, [{"way": way.name, **one} for one in said]


def ways(asked: argparse.Namespace) -> list[Way]:
    """The columns that were asked for."""
    found = [Way("base, prompt", asked.model, False), Way("base, examples", asked.model, True)]
    for path in asked.adapter:
        found.append(Way(f"{path.stem}", asked.model, False, path))
        if asked.adapter_examples:
            found.append(Way(f"{path.stem}, examples", asked.model, True, path))
    if asked.large:
        found.append(Way("large, examples", asked.large, True))
    return [way for way in found if not asked.only or any(part in way.name for part in asked.only)]


def show(columns: dict[str, dict[str, float]]) -> str:
    """A Markdown table: a row a measure, a column a way."""
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name in next(iter(columns.values())):
        cells = [_cell(name, numbers[name]) for numbers in columns.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(name: str, value: float) -> str:
    is_share = name in RULES or name.startswith(("every", "said", "word for word", "same"))
    if math.isnan(value):
        return "too long"
    return f"{100 * value:.1f} %" if is_share else f"{value:.2f}"


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 2 and one sentence for what cannot be read."""
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluate", description=__doc__.split("\n")[0] if __doc__ else ""
    )
    parser.add_argument("--model", default="smollm2-135m", help="the small model")
    parser.add_argument("--adapter", type=Path, action="append", default=[], help="a column each")
    parser.add_argument("--adapter-examples", action="store_true", help="adapters also under worked examples")
    parser.add_argument("--large", default="", help="a larger model, run with worked examples")
    parser.add_argument("--persona", default="akane")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--reading", action="store_true", help="no replies: perplexities alone")
    parser.add_argument("--only", action="append", default=[], help="columns whose name holds this")
    parser.add_argument("--out", type=Path, default=Path("runs/evaluate"))
    asked = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        persona = load_persona(asked.persona)
        cases = read_cases(HELDOUT / "messages.toml")
        learned, heldout = split(read_dialogues(dialogue_files([str(PERSONA_SET)], ROOT)), HELDOUT_SHARE)
        unseen = read_dialogues([HELDOUT / "dialogues.jsonl"])
        texts = {"held-out dialogues": heldout[:MAX_DIALOGUES], "dialogues on other themes": unseen}
        columns, said = {}, []
        seeds = 0 if asked.reading else asked.seeds
        for way in ways(asked):
            print(f"{way.name} ...", file=sys.stderr)
            columns[way.name], lines = evaluate(way, persona, cases, seeds, learned, texts)
            said += lines
    except (ConfigError, ModelError, TrainingError) as error:
        print(error, file=sys.stderr)
        return 2
    if said:
        asked.out.mkdir(parents=True, exist_ok=True)
        rows = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in said)
        (asked.out / "replies.jsonl").write_text(rows, encoding="utf-8")
    print(show(columns))
    return 0


if __name__ == "__main__":
    sys.exit(main())
