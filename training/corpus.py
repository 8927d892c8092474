"""Dialogues as this model and persona see them: samples to learn from, and her replies as they are now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shared.model.gpt import GPT
from shared.model.loading import LoadedModel
from shared.persona import Persona
from training.dialogues import Dialogue, messages
from training.rendering import Sample, render


class Corpus:
    """Renders each dialogue once for each of its heads."""

    def __init__(self, loaded: LoadedModel, persona: Persona, max_tokens: int) -> None:
        self.loaded, self.persona, self.max_tokens = loaded, persona, max_tokens
        self.left_out = 0
        """Dialogues that were too long."""
        self._samples: dict[tuple[int, bool, bool], list[Sample]] = {}

    def samples(self, dialogue: Dialogue, persona: bool, examples: bool) -> list[Sample]:
        """Of a dialogue, headed by the persona and by its worked examples or not. Raises ModelError."""
        key = (id(dialogue), persona, examples)
        if key not in self._samples:
            said, n_head = messages(dialogue, self.persona if persona else None, examples)
            self._samples[key] = render(self.loaded.template, self.loaded.tokenizer, said, n_head)
        return self._samples[key]

    def fitting(self, dialogues: Sequence[Dialogue], persona: bool) -> list[Dialogue]:
        """Those that are short enough without worked examples; the others are counted."""
        kept = [one for one in dialogues if len(self.samples(one, persona, False)[-1].ids) <= self.max_tokens]
        self.left_out += len(dialogues) - len(kept)
        return kept


def replies(corpus: Corpus, dialogues: Sequence[Dialogue], seed: int) -> Iterator[str]:
    """The last message of each dialogue, and what she would say to it after all before."""
    loaded, sampling = corpus.loaded, corpus.persona.sampling
    model = loaded.model
    assert isinstance(model, GPT)
    model.eval()
    for dialogue in dialogues:
        said, n_head = messages(dialogue, corpus.persona, False)
        last = max(i for i in range(n_head, len(said)) if said[i]["role"] == "assistant")
        ids = model.generate(
            loaded.template.render(said[:last]),
            sampling.max_tokens,
            temperature=sampling.temperature,
            top_k=sampling.top_k,
            min_p=sampling.min_p,
            repetition_penalty=sampling.repetition_penalty,
            stop_tokens=loaded.tokenizer.end_ids,
            seed=seed,
        )
        is_asked = last > n_head and said[last - 1]["role"] == "user"
        heard = said[last - 1]["content"] if is_asked else "(silence)"
        yield f"{heard} -> {loaded.tokenizer.decode(ids).strip()}"
    model.train()
