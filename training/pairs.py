"""Pairs of a better and a worse reply to one message: as people write them, and as the model reads them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, model_validator

from shared.model.loading import LoadedModel
from shared.persona import Persona
from training.dialogues import Dialogue, Record, Text, Turn, messages
from training.packing import Row, distribute, make_row
from training.rendering import Sample, render
from training.splitting import split


class Exchange(BaseModel):
    """What was said before."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    author: str = "you"
    text: Text
    reply: Text


class Pair(Record):
    """Two replies to a message; an empty message is silence, into which she speaks first."""

    topic: str = ""
    author: str = "you"
    message: str = ""
    history: tuple[Exchange, ...] = ()
    memory: str = ""
    chosen: Text
    rejected: Text
    why: str = ""
    """What is wrong with the rejected reply, for people."""

    @model_validator(mode="after")
    def _differ(self) -> Pair:
        if self.chosen == self.rejected:
            raise ValueError("chosen and rejected are the same, so there is nothing to prefer")
        return self

    def dialogue(self, reply: str) -> Dialogue:
        """The conversation that ends with one of the replies."""
        said = [(one.author, one.text, one.reply) for one in self.history]
        said.append((self.author, self.message.strip(), reply))
        turns: list[Turn] = []
        for author, text, answer in said:
            if text:
                turns.append(Turn(role="user", author=author, content=text))
            turns.append(Turn(role="assistant", content=answer))
        return Dialogue(id=self.id, topic=self.topic, memory=self.memory, turns=turns)


@dataclass(frozen=True)
class Rendered:
    """A pair for the model: of chosen and rejected the last reply alone is looked at."""

    pair: Pair
    samples: tuple[Sample, Sample]


def render_pair(loaded: LoadedModel, persona: Persona, pair: Pair) -> Rendered:
    """Under the head that a model with an adapter gets in the show. Raises ModelError."""

    def sample(reply: str) -> Sample:
        said, n_head = messages(pair.dialogue(reply), persona, persona.examples_with_adapter)
        last = render(loaded.template, loaded.tokenizer, said, n_head)[-1]
        return Sample(last.ids, last.learned[-1:])

    return Rendered(pair, (sample(pair.chosen), sample(pair.rejected)))


def split_pairs(pairs: Sequence[Pair], share: float) -> tuple[list[Pair], list[Pair]]:
    """To learn from and to hold out, by `split`: failures at one message are on one side."""
    learned, _ = split([pair.dialogue(pair.chosen) for pair in pairs], share)
    ids = {dialogue.id for dialogue in learned}
    return [pair for pair in pairs if pair.id in ids], [pair for pair in pairs if pair.id not in ids]


def drawn(pairs: Sequence[Rendered], step: int, batch: int, seed: int) -> list[Rendered]:
    """The pairs of a step: every epoch takes each once, in an order of its own."""
    epoch, place = divmod(step, n_steps(pairs, batch))
    order = list(pairs)
    random.Random(f"{seed}/{epoch}").shuffle(order)
    return order[place * batch : (place + 1) * batch]


def n_steps(pairs: Sequence[Rendered], batch: int) -> int:
    """Of one epoch; the last may be smaller than the others."""
    return -(-len(pairs) // batch)


def pair_rows(pairs: Sequence[Rendered], row_tokens: int) -> list[tuple[list[Rendered], Row]]:
    """Rows that hold both replies of each of their pairs, chosen before rejected."""
    return [
        (held, make_row([sample for one in held for sample in one.samples]))
        for held in distribute(pairs, lambda one: list(one.samples), row_tokens)
    ]
