"""Who she is: one toml file with her name, her words of instruction, worked examples and sampling."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from shared.commands import ChatTurn
from shared.config import ROOT, ConfigError, Section, load_toml, validate
from shared.sanitize import clean_name, clean_text

PERSONAS = ROOT / "configs" / "personas"
TAGS_WANTED = "You begin each sentence with your mood in square brackets, like [happy]."
"""Last line of the instructions for a model that has learned to write mood tags."""
PROMPT_CHARS = 600
"""Of one viewer's message; more would push everything else out of a small model's context."""


class Sampling(Section):
    """How the model's next token is drawn; the fields of `llm.generate`."""

    temperature: float = Field(default=0.8, ge=0.0, le=5.0)
    top_k: int = Field(default=50, ge=0)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    min_p: float = Field(default=0.0, ge=0.0, le=1.0)
    repetition_penalty: float = Field(default=1.0, ge=0.5, le=5.0)
    max_tokens: int = Field(default=96, ge=1)
    stop: list[str] = Field(default=[], max_length=16)


class Example(Section):
    """One worked exchange; it stays at the head of every prompt, where the KV cache keeps it."""

    author: str = "you"
    says: str = Field(min_length=1)
    reply: str = Field(min_length=1)


class Persona(Section):
    """All of `configs/personas/NAME.toml`."""

    name: str = Field(min_length=1)
    system: str = Field(min_length=1)
    sentence_limit: int = Field(default=3, ge=1, le=50)
    """Sentences of one reply; the model is stopped behind the last."""
    fallback: list[str] = Field(min_length=1)
    """What she says when no draw was fit to be voiced."""
    care: str = Field(min_length=1)
    """What she says to somebody who speaks of harming themself."""
    forgotten: str = "Done! I have forgotten what you told me about yourself."
    """What she says to somebody who typed `!forgetme`."""
    forbidden: list[str] = []
    """Phrases that she never says, beside those that no persona may say."""
    sampling: Sampling = Sampling()
    examples_with_adapter: bool = True
    """Whether a model with an adapter gets the worked examples too; one that has learned her needs none."""
    example: list[Example] = []

    def pinned(self, memory: str = "", examples: bool = True, tags: bool = False) -> list[ChatTurn]:
        """The head of every prompt: instructions and what she remembers, then the examples as past turns."""
        system = self.system.strip() + (f"\n{TAGS_WANTED}" if tags else "")
        turns = [ChatTurn(role="system", content=with_memory(system, memory))]
        for example in self.example if examples else ():
            turns.append(ChatTurn(role="user", content=as_line(example.author, example.says)))
            turns.append(ChatTurn(role="assistant", content=example.reply))
        return turns


def as_line(author: str, text: str) -> str:
    """How a viewer's message stands in the prompt: with the name, unless it is the person at the keyboard."""
    return text if author == "you" else f"{author}: {text}"


def cleaned_line(author: str, text: str) -> str:
    """`as_line` of a name and a text that may be hostile."""
    return as_line(clean_name(author), clean_text(text, PROMPT_CHARS))


def with_memory(system: str, memory: str) -> str:
    """The instructions, and what she knows of these viewers from earlier days as their last line."""
    return f"{system}\nYou remember: {memory}" if memory else system


def persona_path(name: str) -> Path:
    """`akane` is a file of `configs/personas/`; anything with a suffix or a slash is a path."""
    return Path(name) if name.endswith(".toml") or "/" in name or "\\" in name else PERSONAS / f"{name}.toml"


def load_persona(name: str) -> Persona:
    """Read and check a persona. Raises ConfigError with one sentence that names the file and the key."""
    path = persona_path(name)
    if not path.exists():
        known = ", ".join(sorted(file.stem for file in PERSONAS.glob("*.toml"))) or "none"
        raise ConfigError(f"There is no persona {name!r} ({path}): known are {known}.")
    return validate(Persona, load_toml(path), str(path))
