"""Learn how her moods sound from the persona set: python -m training.mood --out services/director/moods.json

Multinomial logistic regression over `shared.mood_model.features`. Every dialogue says how her last reply
sounds; tagged replies say it of each sentence. A fifth of the dialogues is held out, by ids and wording
(`training.splitting`), and only judged; the others are learned. Prints both measures and writes the file.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, get_args

import torch
from torch.nn.functional import cross_entropy, embedding_bag

from shared.config import ROOT
from shared.events import MoodName
from shared.mood_model import MOODS, MoodModel, features
from training.dialogues import Dialogue, dialogue_files, read_dialogues
from training.errors import TrainingError
from training.persona_rules import TAG, replies
from training.splitting import split

SHARE = 0.2
"""Of the dialogues, held out."""
SEEN = 4
"""A feature of fewer texts than this is left out."""
BALANCE = 0.7
"""0: a mood weighs as much as it has texts; 1: all moods weigh the same."""
DECAY = 1e-4
"""On the sum of squared weights."""
STEPS, RATE = 80, 0.15
"""Of Adam, over all texts at once: the loss is convex, so no seed and no order matters."""
SCALE = 100
SEEDS: dict[MoodName, tuple[str, ...]] = {
    "sad": ("oh no", "so sad", "i'm so sorry", "that hurts", "i miss you", "lonely", "a hug", "tears"),
    "annoyed": ("hey now", "hmph", "grr", "annoying", "unfair", "how rude", "ugh", "stop that"),
    "shy": ("i'm blushing", "so embarrassing", "eh?!", "you can't just say that", "my face is red"),
    "surprised": ("wow", "whoa", "what?!", "no way", "oh my", "huh?", "really?!"),
    "thinking": ("hmm", "let me think", "let me see", "i wonder", "good question", "perhaps"),
    "excited": (
        "yay",
        "woo",
        "let's go",
        "amazing!",
        "awesome!",
        "i'm so excited",
        "i can't wait",
        "congrats!",
    ),
    "happy": ("hehe", "haha", "i'm glad", "how lovely", "thank you", "welcome", "wonderful"),
}
"""What hardly occurs in the set, since she is not to say it often, and what other models say all the time."""
SEED_TEXTS = 6
"""As so many texts counts each of them."""


class Sound(NamedTuple):
    """A text of hers, what it answers, and how it sounds."""

    text: str
    asked: str
    mood: str


def last_reply(dialogue: Dialogue) -> Sound:
    """The reply that a dialogue's mood is about."""
    asked: list[str] = []
    for turn in reversed(dialogue.turns[:-1]):
        if turn.role == "assistant":
            break
        asked.insert(0, turn.content)
    return Sound(replies(dialogue)[-1], " ".join(asked), dialogue.mood)


def tagged_sentences(dialogue: Dialogue) -> list[Sound]:
    """The sentences of tagged replies, each with its own mood."""
    found = []
    for turn in dialogue.turns if dialogue.tagged else ():
        if turn.role == "assistant":
            _, *parts = TAG.split(turn.content)
            found += [
                Sound(text.strip(), "", mood) for mood, text in zip(parts[::2], parts[1::2], strict=True)
            ]
    return found


def examples(dialogues: Sequence[Dialogue]) -> list[Sound]:
    """All that there is to learn."""
    sounds = [last_reply(dialogue) for dialogue in dialogues]
    sounds += [sound for dialogue in dialogues for sound in tagged_sentences(dialogue)]
    return sounds + [Sound(seed, "", mood) for mood, seeds in SEEDS.items() for seed in seeds] * SEED_TEXTS


def fitted(sounds: Sequence[Sound]) -> MoodModel:
    """The model that makes these moods likeliest, with decay."""
    found = [features(sound.text, sound.asked) for sound in sounds]
    counts = Counter(name for names in found for name in names)
    number = {
        name: at for at, name in enumerate(sorted(name for name, count in counts.items() if count >= SEEN))
    }
    rows = [sorted(number[name] for name in names if name in number) for names in found]
    flat = torch.tensor([at for row in rows for at in row])
    starts = torch.tensor([0, *(len(row) for row in rows[:-1])]).cumsum(0)
    shares = torch.tensor([len(row) ** -0.5 for row in rows for _ in row])
    moods = torch.tensor([MOODS.index(sound.mood) for sound in sounds])
    each = (len(sounds) / len(MOODS) / torch.bincount(moods, minlength=len(MOODS))) ** BALANCE
    weights = torch.zeros(len(number), len(MOODS), requires_grad=True)
    bias = torch.zeros(len(MOODS), requires_grad=True)
    adam = torch.optim.Adam([weights, bias], lr=RATE)
    for _ in range(STEPS):
        adam.zero_grad()
        scores = embedding_bag(flat, weights, starts, mode="sum", per_sample_weights=shares) + bias
        loss = cross_entropy(scores, moods, weight=each) + DECAY * (weights * weights).sum()
        loss.backward()
        adam.step()
    whole = (weights.detach() * SCALE).round().int().tolist()
    kept = {name: whole[at] for name, at in number.items() if any(whole[at])}
    return MoodModel(scale=SCALE, bias=(bias.detach() * SCALE).round().int().tolist(), weights=kept)


def guess(model: MoodModel, sound: Sound) -> str:
    """The likeliest mood of a whole text."""
    chances = model.probabilities(model.evidence(sound.text, sound.asked))
    return MOODS[max(range(len(MOODS)), key=chances.__getitem__)]


def judged(truth: Sequence[str], guesses: Sequence[str]) -> tuple[float, dict[str, float]]:
    """Accuracy, and for each mood its F1; their mean is the macro-F1."""
    right = Counter(one for one, other in zip(truth, guesses, strict=True) if one == other)
    told, meant = Counter(guesses), Counter(truth)
    scores = {mood: 2 * right[mood] / max(1, told[mood] + meant[mood]) for mood in get_args(MoodName)}
    return right.total() / len(truth), scores


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 2 for files that cannot be read or written."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m training.mood", description=__doc__, formatter_class=raw)
    parser.add_argument(
        "paths", nargs="*", default=["training/data/persona"], help="files or folders of dialogues"
    )
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    asked = parser.parse_args(argv)
    try:
        learned, held = split(read_dialogues(dialogue_files(asked.paths, ROOT)), SHARE)
        model = fitted(examples(learned))
        asked.out.write_text(
            json.dumps(model.model_dump(), ensure_ascii=False, separators=(",", ":")), "utf-8"
        )
    except TrainingError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{asked.out} cannot be written: {error.strerror}.", file=sys.stderr)
        return 2
    truth = [dialogue.mood for dialogue in held]
    accuracy, scores = judged(truth, [guess(model, last_reply(dialogue)) for dialogue in held])
    print(f"{len(learned):,} dialogues learned, {len(held):,} held out")
    print(f"accuracy {accuracy:.3f}, macro-F1 {sum(scores.values()) / len(scores):.3f}")
    print(", ".join(f"{mood} {score:.2f}" for mood, score in scores.items()))
    print(f"{asked.out}: {len(model.weights):,} features, {asked.out.stat().st_size / 1000:,.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
