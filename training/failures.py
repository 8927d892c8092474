"""Let a trained model answer what it has learned from, and keep what it still gets wrong as pairs.

python -m training.failures --adapter runs/akane-135m/akane-135m.safetensors --out pairs.jsonl

The set's own reply is the chosen one. Messages of training/data/heldout are never asked.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from shared.config import ROOT, Section
from shared.persona import load_persona
from training.arguments import parse
from training.dialogues import dialogue_files, read_dialogues
from training.errors import TrainingError
from training.evaluate import HELDOUT, HELDOUT_SHARE, PERSONA_SET, read_cases
from training.faults import Said, pairs_of, prompts
from training.persona_rules import asked
from training.progress import display
from training.running import guarded
from training.splitting import split
from training.talking import Talker, load_talking


class Arguments(Section):
    """One search for failures."""

    adapter: str = Field(description="file of training.finetune whose failures are wanted")
    out: str = Field(description="file of pairs that is written")
    data: list[str] = Field([str(PERSONA_SET)], min_length=1, description="dialogues: files or folders")
    model: str = Field("smollm2-135m", description="preset, hub name or path of the adapter's base")
    persona: str = Field("akane", description="persona whose instructions and sampling are used")
    draws: int = Field(1, ge=1, le=100, description="replies to each message")
    limit: int = Field(0, ge=0, description="messages, drawn by --seed; 0: all")
    seed: int = Field(1, ge=0, lt=2**31, description="of the replies")


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: see `guarded`; after Ctrl-C what was found so far is kept."""
    return guarded(
        lambda: search(parse(Arguments, "python -m training.failures", __doc__ or "", argv, None)),
        "Stopped before the first reply.",
    )


def search(arguments: Arguments) -> int:
    """Ask, judge, write."""
    out = Path(arguments.out).expanduser()
    if out.exists():
        raise TrainingError(f"{out} is there already: give another --out.")
    persona = load_persona(arguments.persona)
    learned, _ = split(read_dialogues(dialogue_files(arguments.data, ROOT)), HELDOUT_SHARE)
    never = [case.line.text for case in read_cases(HELDOUT / "messages.toml")]
    never += [text for one in read_dialogues([HELDOUT / "dialogues.jsonl"]) for text in asked(one)]
    found = prompts(learned, [text for text in never if text])
    if not found:
        raise TrainingError("In the dialogues there is no message that can be asked: give more --data.")
    if 0 < arguments.limit < len(found):
        found = random.Random(arguments.seed).sample(found, arguments.limit)
    talker = Talker(
        load_talking(arguments.model, Path(arguments.adapter).expanduser()),
        persona,
        examples=persona.examples_with_adapter,
    )
    total = len(found) * arguments.draws
    said: list[Said] = []
    with display(total) as screen:
        try:
            for number, prompt in enumerate(found):
                for draw in range(1, arguments.draws + 1):
                    seed = (arguments.seed * 1_000_003 + number) * 101 + draw
                    said.append(Said(prompt, draw, talker.reply(prompt.line, seed)))
                    screen.step(len(said), prompt.topic)
        except KeyboardInterrupt:
            if not said:
                raise
            screen.say(f"Stopped behind {len(said)} of {total} replies.")
    pairs = pairs_of(said)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("".join(pair.model_dump_json() + "\n" for pair in pairs), encoding="utf-8")
    counts = Counter(fault for pair in pairs for fault in pair.why.split())
    print(f"{out}: {len(pairs)} faulty replies of {len(said)}")
    for fault, count in counts.most_common():
        print(f"  {fault:<20} {count}")
    return 0 if len(said) == total else 130


if __name__ == "__main__":
    sys.exit(main())
