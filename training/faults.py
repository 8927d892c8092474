"""What a trained model gets wrong where the persona set knows better: prompts, faults and pairs, all pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.config import load_toml
from training.dialogues import Dialogue
from training.pairs import Exchange, Pair
from training.reply_rules import Answer, Question, broken
from training.talking import Line
from training.wording import words

STEM = 4
"""Letters by which two words are taken for the same: fish and fishing."""
_COMMON = frozenset(load_toml(Path(__file__).with_name("data") / "reply_words.toml")["common"])


@dataclass(frozen=True)
class Prompt:
    """A place in the persona set where she speaks, and what she says there."""

    id: str
    topic: str
    line: Line
    chosen: str

    @property
    def told(self) -> str:
        """All that stands in the prompt beside the message."""
        before = [f"{author} {text} {reply}" for author, text, reply in self.line.history]
        return " ".join([self.line.memory, *before])


@dataclass(frozen=True)
class Said:
    """What the model says to a prompt."""

    prompt: Prompt
    draw: int
    reply: str


def prompts(dialogues: Sequence[Dialogue], never: Iterable[str]) -> list[Prompt]:
    """Where one message is answered, or silence, up to the first turn that is otherwise.

    Dialogues with mood tags are left out, since replies are drawn without them, and so are messages in the
    words of those that are `never` to be asked.
    """
    kept_out = {_plain(text) for text in never}
    found: list[Prompt] = []
    for dialogue in dialogues:
        history: list[tuple[str, str, str]] = []
        turns = [] if dialogue.tagged else list(dialogue.turns)
        if turns and turns[0].role == "assistant":
            silence = Line("you", "", memory=dialogue.memory)
            found.append(Prompt(f"{dialogue.id}-1", dialogue.topic, silence, turns[0].content))
            continue
        for asked, answer in zip(turns[::2], turns[1::2]):  # noqa: B905 - a last message may have no reply
            if (asked.role, answer.role) != ("user", "assistant") or _plain(asked.content) in kept_out:
                break
            line = Line(asked.author, asked.content, tuple(history), dialogue.memory)
            name = f"{dialogue.id}-{len(history) + 1}"
            found.append(Prompt(name, dialogue.topic, line, answer.content))
            history.append((asked.author, asked.content, answer.content))
    return found


def faults(prompt: Prompt, reply: str) -> list[str]:
    """Names of the rules that a reply breaks and the set's own reply keeps, and `off_topic`."""
    if _plain(reply) == _plain(prompt.chosen):
        return []
    line = prompt.line
    question = Question(line.author, line.text, others=f"{prompt.told} {prompt.chosen}")
    earlier = tuple(said for _, _, said in line.history)
    hers = broken(question, Answer(prompt.chosen, "stop", earlier))
    found = [rule for rule in broken(question, Answer(reply, "stop", earlier)) if rule not in hers]
    return [*found, "off_topic"] if off_topic(prompt, reply) else found


def off_topic(prompt: Prompt, reply: str) -> bool:
    """The set's reply takes up a word of the message; this one has none of either, nor of what was told."""
    message, chosen = _stems(prompt.line.text), _stems(prompt.chosen)
    return bool(message & chosen) and not _stems(reply) & (message | chosen | _stems(prompt.told))


def pairs_of(said: Sequence[Said]) -> list[Pair]:
    """A pair for each faulty reply, once for the same words to the same prompt.

    A reply that other messages got too, word for word, is faulty: `said_elsewhere`. An empty one is left out,
    since there is nothing in it to learn from.
    """
    askers: dict[str, set[str]] = {}
    for one in said:
        askers.setdefault(_plain(one.reply), set()).add(_plain(one.prompt.line.text))
    pairs: list[Pair] = []
    seen: set[tuple[str, str]] = set()
    for one in said:
        prompt, text = one.prompt, _plain(one.reply)
        found = faults(prompt, one.reply)
        if len(askers[text]) > 1 and text != _plain(prompt.chosen):
            found.append("said_elsewhere")
        if not found or not one.reply.strip() or (prompt.id, text) in seen:
            continue
        seen.add((prompt.id, text))
        line = prompt.line
        pairs.append(
            Pair(
                id=f"{prompt.id}-{one.draw}",
                topic=prompt.topic,
                author=line.author,
                message=line.text,
                history=tuple(Exchange(author=a, text=t, reply=r) for a, t, r in line.history),
                memory=line.memory,
                chosen=prompt.chosen,
                rejected=one.reply,
                why=" ".join(found),
            )
        )
    return pairs


def _plain(text: str) -> str:
    return " ".join(words(text))


def _stems(text: str) -> set[str]:
    """Beginnings of the words that are about something."""
    return {word[:STEM] for word in words(text) if len(word) >= STEM and word not in _COMMON}
