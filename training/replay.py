"""General chat in the base model's own words, to be mixed in while it learns a character: it forgets less.

python -m training.replay --out training/data/replay/smollm2-135m.jsonl

The model is asked about each subject of a file, without any persona; what it says is what `--replay` of
training.finetune then holds it to.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import Field

from shared.config import ROOT, Section
from shared.model.generate import generate
from shared.model.loading import LoadedModel
from training.arguments import parse
from training.errors import TrainingError
from training.progress import display
from training.reply_rules import Answer, Question, no_loop
from training.running import guarded
from training.talking import SENTENCE_END, load_talking

SUBJECTS = Path("training/data/replay/subjects.txt")
ASKED = (
    "Write a paragraph about {}.",
    "Explain this in a few sentences: {}.",
    "A short text for an encyclopedia, please. The subject is {}.",
    "What should one know about {}?",
)
MIN_WORDS = 25


class Arguments(Section):
    """One collection."""

    out: str = Field(description="file of dialogues that is written")
    model: str = Field(
        "smollm2-135m", description="preset, hub name or path of the model that is to be taught"
    )
    subjects: str = Field(str(SUBJECTS), description="file with a subject a line; # begins a comment")
    max_tokens: int = Field(
        160, ge=16, le=2048, description="of an answer; it is cut behind its last sentence"
    )
    temperature: float = Field(0.7, gt=0, le=2, description="of the draw")
    seed: int = Field(1, ge=0, lt=2**31, description="of the answers")


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: see `guarded`."""

    def job() -> int:
        return collect(parse(Arguments, "python -m training.replay", __doc__ or "", argv, None))

    return guarded(job, "Stopped; nothing was written.")


def collect(arguments: Arguments) -> int:
    """Ask about each subject, keep what ends whole and does not loop, write it."""
    out = Path(arguments.out).expanduser()
    if out.exists():
        raise TrainingError(f"{out} is there already: give another --out.")
    asked = questions(ROOT / Path(arguments.subjects).expanduser(), arguments.seed)
    loaded = load_talking(arguments.model, None)
    kept: list[dict[str, object]] = []
    with display(len(asked)) as screen:
        for number, (question, answer) in enumerate(answers(loaded, asked, arguments), 1):
            screen.step(number, question[:40])
            if answer:
                turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
                kept.append({"id": f"replay-{number:04}", "topic": "general", "turns": turns})
    if not kept:
        raise TrainingError("No answer ended whole: raise --max-tokens.")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in kept), encoding="utf-8")
    print(f"{out}: {len(kept)} of {len(asked)} answers kept")
    return 0


def questions(path: Path, seed: int) -> list[str]:
    """A question about each subject of a file. Raises TrainingError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise TrainingError(f"{path} cannot be read: give a UTF-8 file with a subject a line.") from None
    subjects = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not subjects:
        raise TrainingError(f"{path} names no subject: write one a line.")
    draw = random.Random(seed)
    return [draw.choice(ASKED).format(subject) for subject in subjects]


def answers(loaded: LoadedModel, asked: Sequence[str], arguments: Arguments) -> Iterator[tuple[str, str]]:
    """Each question with the model's answer, empty where it was not fit to be kept."""
    for number, question in enumerate(asked):
        ids = generate(
            loaded.model,
            loaded.template.render([{"role": "user", "content": question}]),
            arguments.max_tokens,
            temperature=arguments.temperature,
            min_p=0.05,
            stop_tokens=loaded.tokenizer.end_ids,
            seed=arguments.seed * 1_000_003 + number,
        )
        yield question, whole(loaded.tokenizer.decode(list(ids)))


def whole(text: str) -> str:
    """Up to the last sentence that ends; empty when that is too little, or goes round in circles."""
    ends = [found.end() for found in SENTENCE_END.finditer(text)]
    cut = text[: ends[-1]].strip() if ends else ""
    repeats = not no_loop(Question("you", ""), Answer(cut, "stop"))
    return "" if repeats or len(cut.split()) < MIN_WORDS else cut


if __name__ == "__main__":
    sys.exit(main())
