"""Is a persona set fit to learn from? Rules, near-duplicates, balance, size; prints what breaks a rule.

python -m training.check_persona training/data/persona
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections import Counter
from collections.abc import Sequence

from shared.config import ROOT
from shared.model.errors import ModelError
from training.dialogues import Dialogue, dialogue_files, messages, read_dialogues
from training.errors import TrainingError
from training.persona_rules import RULES, asked, emoji_share, repeated, replies
from training.wording import distinct, near_duplicates, words

SHOWN = 5
"""Findings of a rule that are printed."""
LIMITS = {
    "same first word": 0.06,
    "same first two words": 0.02,
    "largest topic": 0.2,
    "emoji": 0.1,
}
"""Largest shares of replies, or dialogues, that are balanced."""


def findings(dialogues: Sequence[Dialogue]) -> dict[str, list[str]]:
    """What breaks each rule; empty lists are good."""
    found = {
        name: [f"{dialogue.id}: {what}" for dialogue in dialogues for what in rule(dialogue)]
        for name, rule in RULES.items()
    }
    texts = [(dialogue.id, text) for dialogue in dialogues for text in replies(dialogue)]
    pairs = near_duplicates([text for _, text in texts])
    found["no near-duplicates"] = [
        f"{texts[a][0]} / {texts[b][0]} ({share:.0%}): {texts[a][1]} / {texts[b][1]}" for a, b, share in pairs
    ]
    found["no reply twice"] = repeated(dialogues)
    found["ids of their topic"] = [
        one.id for one in dialogues if not one.id.startswith(f"{one.topic}-") or not one.id[-4:].isdigit()
    ]
    found["balance"] = [
        f"{name}: {share:.1%}" for name, share in shares(dialogues).items() if share > LIMITS[name]
    ]
    return found


def shares(dialogues: Sequence[Dialogue]) -> dict[str, float]:
    """How much of the set its most frequent thing is, by the names of LIMITS."""
    texts = [words(text) for dialogue in dialogues for text in replies(dialogue)]

    def most(values: list[str]) -> float:
        return Counter(values).most_common(1)[0][1] / len(values)

    return {
        "same first word": most([text[0] for text in texts if text]),
        "same first two words": most([" ".join(text[:2]) for text in texts if len(text) > 1]),
        "largest topic": most([dialogue.topic for dialogue in dialogues]),
        "emoji": emoji_share(dialogues),
    }


def figures(dialogues: Sequence[Dialogue]) -> dict[str, str]:
    """Size and variety, for people."""
    said = [text for dialogue in dialogues for text in replies(dialogue)]
    lengths = [len(words(text)) for text in said]
    turns = Counter(len(replies(dialogue)) for dialogue in dialogues)
    ends = sum(text.endswith("?") for text in said) / len(said)
    return {
        "dialogues": f"{len(dialogues):,}",
        "messages and replies": f"{sum(len(asked(one)) for one in dialogues):,} and {len(said):,}",
        "replies a dialogue": ", ".join(f"{count}: {turns[count]}" for count in sorted(turns)),
        "words a reply": f"median {statistics.median(lengths):.0f}, {min(lengths)} to {max(lengths)}",
        "distinct words, pairs, triples": ", ".join(f"{distinct(said, n):.2f}" for n in (1, 2, 3)),
        "ending in a question": f"{ends:.0%}",
        "with memory": f"{sum(bool(one.memory) for one in dialogues)}",
        "tagged": f"{sum(one.tagged for one in dialogues)}",
        "topics": _counted(dialogue.topic for dialogue in dialogues),
        "moods": _counted(dialogue.mood for dialogue in dialogues),
        **{name: f"{share:.1%}" for name, share in shares(dialogues).items()},
    }


def tokens(dialogues: Sequence[Dialogue], model: str) -> int:
    """Of all dialogues in a GGUF model's template, without instructions. Raises ModelError."""
    from shared.model.fetch import ensure_model
    from shared.model.gguf_file import open_gguf
    from shared.model.gguf_model import gguf_template
    from shared.model.vocabularies import gguf_tokenizer

    with open_gguf(ensure_model(model)) as file:
        tokenizer = gguf_tokenizer(file.header.metadata)
        template = gguf_template(file.header.metadata, tokenizer)
    head = len(template.render([{"role": "system", "content": ""}], False))
    total = 0
    for dialogue in dialogues:
        turns, _ = messages(dialogue, None, False)
        system = {"role": "system", "content": ""}
        total += len(template.render([system, *turns], False)) - head
    return total


def _counted(values: object) -> str:
    counts = Counter(values)  # type: ignore[call-overload]
    return ", ".join(f"{name} {count}" for name, count in counts.most_common())


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 1 when a rule is broken, 2 for files that cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m training.check_persona", description=__doc__)
    parser.add_argument(
        "paths", nargs="*", default=["training/data/persona"], help="files or folders of dialogues"
    )
    parser.add_argument("--model", default="smollm2-135m", help="whose tokens are counted")
    asked_for = parser.parse_args(argv)
    try:
        dialogues = read_dialogues(dialogue_files(asked_for.paths, ROOT))
        numbers = figures(dialogues) | {"tokens": f"{tokens(dialogues, asked_for.model):,}"}
    except (TrainingError, ModelError) as error:
        print(error, file=sys.stderr)
        return 2
    for name, value in numbers.items():
        print(f"{name:<32} {value}")
    broken = {name: found for name, found in findings(dialogues).items() if found}
    for name, found in broken.items():
        print(f"\n{name}: {len(found)}")
        for what in found[:SHOWN]:
            print(f"  {what}")
    return 1 if broken else 0


if __name__ == "__main__":
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:  # `| head` has read enough
        os._exit(1)
    sys.exit(status)
