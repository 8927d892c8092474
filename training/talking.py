"""One reply at a time from a model on its own: the live prompt and sampling, nothing drawn again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.model.adapter import load_adapter, require_fits
from shared.model.generate import generate, prefill
from shared.model.loading import LoadedModel, load_model
from shared.persona import Persona, cleaned_line
from training.errors import TrainingError

Message = dict[str, str]
SENTENCE_END = re.compile(r"[.!?…]+[\"')\]]*(?=\s|$)")


@dataclass(frozen=True)
class Line:
    """What is to be answered: a message, what was said before it, and what she remembers of its author.

    An empty text is silence: she speaks first.
    """

    author: str
    text: str
    history: tuple[tuple[str, str, str], ...] = ()
    """Author, text and reply of earlier exchanges, oldest first."""
    memory: str = ""


class Talker:
    """A loaded model under a persona's head, which stays in its cache."""

    def __init__(self, loaded: LoadedModel, persona: Persona, *, examples: bool, context: int = 2048) -> None:
        self.loaded, self.persona, self.examples = loaded, persona, examples
        self._cache = loaded.model.new_cache(max_seq_len=context)
        self._held: list[int] = []

    def prompt(self, line: Line) -> list[int]:
        """Ids of the live prompt for a line."""
        head = self.persona.pinned(line.memory, self.examples)
        turns = [{"role": turn.role, "content": turn.content} for turn in head]
        for author, text, reply in line.history:
            turns += [_user(author, text), {"role": "assistant", "content": reply}]
        if line.text:
            turns.append(_user(line.author, line.text))
        return self.loaded.template.render(turns)

    def reply(self, line: Line, seed: int) -> str:
        """Her reply, cut behind the persona's last sentence like the director's. Raises TrainingError."""
        sampling = self.persona.sampling
        ids = self.prompt(line)
        if len(ids) + sampling.max_tokens > self._cache.max_seq_len:
            raise TrainingError(
                f"A prompt of {len(ids)} tokens and a reply of {sampling.max_tokens} do not fit the model's "
                f"context of {self._cache.max_seq_len}: it can only be judged by what it reads."
            )
        rest = self._reuse(ids)
        tokenizer = self.loaded.tokenizer
        found: list[int] = []
        for token in generate(
            self.loaded.model,
            rest,
            sampling.max_tokens,
            temperature=sampling.temperature,
            top_k=sampling.top_k,
            top_p=sampling.top_p,
            min_p=sampling.min_p,
            repetition_penalty=sampling.repetition_penalty,
            stop_tokens=tokenizer.end_ids,
            seed=seed,
            cache=self._cache,
        ):
            found.append(token)
            text = tokenizer.decode(found)
            ends = [text.find(stop) for stop in sampling.stop if stop in text]
            if ends:
                return text[: min(ends)].strip()
            if len(cut := first_sentences(text, self.persona.sentence_limit)) < len(text.rstrip()):
                return cut.strip()
        return tokenizer.decode(found).strip()

    def first_chunk_tokens(self, reply: str) -> int:
        """Tokens until the first clause ends, which is what the voice waits for."""
        clause = re.search(r"[,.!?…;:](?=\s|$)", reply)
        return len(self.loaded.tokenizer.encode(reply[: clause.end()] if clause else reply))

    def _reuse(self, ids: Sequence[int]) -> list[int]:
        """Keep what the cache shares with `ids`, compute all but the last few, and return what is left."""
        kept = 0
        while kept < min(len(self._held), len(ids) - 1) and self._held[kept] == ids[kept]:
            kept += 1
        self._cache.truncate(0, kept)
        middle = list(ids[kept : len(ids) - 1])
        if middle:
            prefill(self.loaded.model, self._cache, 0, middle)
        self._held = list(ids[: len(ids) - 1])
        return list(ids[len(ids) - 1 :])


def load_talking(model: str, adapter: Path | None) -> LoadedModel:
    """A model on the engine that users get, under an adapter if there is one. Raises ModelError."""
    loaded = load_model(model, engine="auto")
    if adapter is not None:
        held = load_adapter(adapter)
        require_fits(held, loaded.model.config, loaded.sha256)
        loaded.model.set_adapter(held)
    return loaded


def first_sentences(text: str, limit: int) -> str:
    """The first `limit` sentences, all of `text` if it has no more."""
    ends = [match.end() for match in SENTENCE_END.finditer(text)]
    return text[: ends[limit - 1]] if len(ends) >= limit else text


def _user(author: str, text: str) -> Message:
    return {"role": "user", "content": cleaned_line(author, text)}
