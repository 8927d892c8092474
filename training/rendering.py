"""Conversations as token ids, and which are learned: her words, and the token that ends her turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.model.chat_template import ChatTemplate
from shared.model.tokenizer import Tokenizer


@dataclass(frozen=True)
class Sample:
    """One text for the model and the half-open ranges of its ids that the loss looks at."""

    ids: tuple[int, ...]
    learned: tuple[tuple[int, int], ...]

    @property
    def n_learned(self) -> int:
        """Tokens that the loss looks at."""
        return sum(end - start for start, end in self.learned)


def render(
    template: ChatTemplate, tokenizer: Tokenizer, messages: Sequence[Mapping[str, str]], n_head: int
) -> list[Sample]:
    """Samples of one conversation, of which the first `n_head` messages are not learned.

    One sample, where the template renders a past turn as it was prompted. Where it does not (Qwen3 puts an
    empty thought before a new reply and none before an old one), one for each of her turns, so that what is
    trained is what is prompted. Raises ModelError when the template refuses the conversation.
    """
    hers = [i for i in range(n_head, len(messages)) if messages[i]["role"] == "assistant"]
    whole = template.render(messages[: hers[-1] + 1], add_generation_prompt=False)
    ranges: list[tuple[int, int]] = []
    for i in hers:
        prompt = template.render(messages[:i])
        said = template.render(messages[: i + 1], add_generation_prompt=False)
        if said[: len(prompt)] != prompt or whole[: len(said)] != said:
            return [_alone(template, tokenizer, messages[: j + 1]) for j in hers]
        ranges.append((len(prompt), _end(tokenizer, said, len(prompt))))
    return [Sample(tuple(whole[: ranges[-1][1]]), tuple(ranges))]


def _alone(template: ChatTemplate, tokenizer: Tokenizer, messages: Sequence[Mapping[str, str]]) -> Sample:
    """The prompt of the last message, its text, and the token that ends it."""
    prompt = template.render(messages[:-1])
    said = template.render(messages, add_generation_prompt=False)
    end = next((number for number in reversed(said) if number in tokenizer.end_ids), None)
    ids = prompt + tokenizer.encode(messages[-1]["content"]) + ([] if end is None else [end])
    return Sample(tuple(ids), ((len(prompt), len(ids)),))


def _end(tokenizer: Tokenizer, ids: Sequence[int], start: int) -> int:
    """Behind the first token that ends a turn; the end of the text for templates without such tokens."""
    return next((i + 1 for i in range(start, len(ids)) if ids[i] in tokenizer.end_ids), len(ids))
