"""Every command and its reply, and the service that obeys it; sent through the broker and acknowledged."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.events import Finished, MoodName, TokenLogprob

MAX_TEXT_CHARS = 2_000
"""Longest line a person may submit; longer ones are refused with a sentence."""


class Reply(BaseModel):
    """Base of what a handler returns when a command succeeded; most have nothing to say."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Command(BaseModel):
    """Base of all commands. Bad values are refused by the receiver with one sentence."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    wire_name: ClassVar[str]
    owner: ClassVar[str]
    """Name of the service that obeys; `*` means any service, named by the sender."""
    reply: ClassVar[type[Reply]] = Reply


class Snapshot(Command):
    """Retained messages of the topics that start with one of `topics` (all when empty)."""

    wire_name = "bus.snapshot"
    owner = "bus"
    topics: list[str] = []


class SnapshotReply(Reply):
    """Messages as they passed: (topic, header bytes, payload bytes), oldest first."""

    messages: list[tuple[str, bytes, bytes]]


Snapshot.reply = SnapshotReply


class Forget(Command):
    """Drop the retained state of a process that died for good, so that late joiners do not see a ghost."""

    wire_name = "bus.forget"
    owner = "bus"
    source: str
    session: str


class ServiceStop(Command):
    """Leave in order: finish what is safe to finish, then exit 0."""

    wire_name = "service.stop"
    owner = "*"


class ChatTurn(BaseModel):
    """One message of a conversation."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    role: Literal["system", "user", "assistant"]
    content: str = Field(max_length=32_000)


class Generate(Command):
    """Run the model once. Accepted at once; the text arrives as `llm.token` and ends with `llm.finished`."""

    wire_name = "llm.generate"
    owner = "llm"
    generation: str = Field(min_length=1, max_length=128)
    messages: list[ChatTurn] = Field(default=[], max_length=1_000)
    prompt: str | None = Field(default=None, min_length=1, max_length=400_000)
    """Instead of messages: text that the model goes on with as it stands, without its chat template."""
    pinned: int = Field(default=1, ge=0)
    """How many leading messages (persona, examples) are never dropped when the context is full."""
    turn: str | None = None
    epoch: int | None = None
    max_tokens: int | None = Field(default=256, ge=1)
    """nil: as many as the context has room for."""
    temperature: float = Field(default=0.8, ge=0.0, le=5.0)
    """0 is greedy."""
    top_k: int = Field(default=50, ge=0)
    """0 keeps the whole vocabulary."""
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    min_p: float = Field(default=0.0, ge=0.0, le=1.0)
    repetition_penalty: float = Field(default=1.0, ge=0.5, le=5.0)
    presence_penalty: float = Field(default=0.0, ge=-2.0, le=2.0)
    """Taken from the logit of every token that the reply holds already."""
    frequency_penalty: float = Field(default=0.0, ge=-2.0, le=2.0)
    """Taken from a token's logit once for each time that the reply holds it."""
    logprobs: int | None = Field(default=None, ge=0, le=20)
    """Send each token's log probability along, with this many alternatives."""
    json_schema: str | None = Field(default=None, max_length=64_000)
    """JSON text of a JSON schema that the reply will follow."""
    stop: list[str] = Field(default=[], max_length=16)
    seed: int | None = None
    queue_deadline_s: float = Field(default=30.0, gt=0.0)
    """Refused or ended with reason `lost` when it could not start within this time."""

    @model_validator(mode="after")
    def _has_one_beginning(self) -> Generate:
        if (self.prompt is None) == (not self.messages):
            raise ValueError("give either messages or prompt")
        return self


class GenerateReply(Reply):
    """`queued` generations are ahead of this one."""

    generation: str
    queued: int = 0


Generate.reply = GenerateReply


class Cancel(Command):
    """End one generation, or every generation of turns older than `below_epoch`."""

    wire_name = "llm.cancel"
    owner = "llm"
    generation: str | None = None
    below_epoch: int | None = None


class CancelReply(Reply):
    """How many generations were running or queued and have been ended."""

    cancelled: int


Cancel.reply = CancelReply


class Replay(Command):
    """The pieces of a generation from `from_index` on; kept for 60 s after its end."""

    wire_name = "llm.replay"
    owner = "llm"
    generation: str
    from_index: int = Field(default=0, ge=0)


class ReplayReply(Reply):
    """Pieces in order, the first being number `from_index`."""

    from_index: int
    pieces: list[str]
    finished: bool
    logprobs: list[list[TokenLogprob]] | None = None
    """Those of each piece, if the generation has any."""
    ending: Finished | None = None
    """The `llm.finished` of a generation that has ended."""


Replay.reply = ReplayReply


class SetAdapter(Command):
    """Load, swap or unload (empty) the model's LoRA adapter: a name, a path on llm's machine, or `auto`.

    Generations that run finish on the one before; those that wait, and new ones, begin after them. What is no
    adapter, or one of another base, is refused and changes nothing.
    """

    wire_name = "llm.adapter"
    owner = "llm"
    adapter: str = Field(max_length=4_096)


class SetAdapterReply(Reply):
    """Name of the adapter from now on (empty: none), and how many generations finish on the one before."""

    adapter: str
    finishing: int = 0


SetAdapter.reply = SetAdapterReply


class Submit(Command):
    """A line typed by a person at this machine; input sanitises it and publishes `chat.message`."""

    wire_name = "input.submit"
    owner = "input"
    text: str
    author: str = "you"
    channel: Literal["terminal", "script", "api"] = "terminal"


class SubmitReply(Reply):
    """Id of the `chat.message` that was published."""

    message_id: str


Submit.reply = SubmitReply


class Say(Command):
    """Have her say exactly this, next in line; it passes the gate like anything else."""

    wire_name = "director.say"
    owner = "director"
    text: str = Field(min_length=1, max_length=MAX_TEXT_CHARS)
    mood: MoodName = "neutral"


class SayReply(Reply):
    """The turn in which it will be said."""

    turn: str


Say.reply = SayReply


class Interrupt(Command):
    """Stop the current turn: model, voice and captions; what was heard stays in her memory."""

    wire_name = "director.interrupt"
    owner = "director"
    reason: str = Field(default="", max_length=200)


class Panic(Command):
    """Silence at once: interrupt, forget the queue, and stay mute until `muted` is sent false."""

    wire_name = "director.panic"
    owner = "director"
    muted: bool = True


class SetMood(Command):
    """Put on a face until the next chunk of speech brings its own mood; a turn's end leaves it on."""

    wire_name = "director.mood"
    owner = "director"
    mood: MoodName


class Speak(Command):
    """Say one chunk of a turn after those before it; only the director sends this, after its gate."""

    wire_name = "tts.speak"
    owner = "tts"
    turn: str
    epoch: int
    chunk: int = Field(ge=0)
    text: str = Field(max_length=MAX_TEXT_CHARS)
    mood: MoodName = "neutral"
    last: bool = False
    """Nothing follows in this turn; with empty `text` it only closes the turn."""


class StopSpeech(Command):
    """Fall silent and drop everything of turns below `epoch`."""

    wire_name = "tts.stop"
    owner = "tts"
    epoch: int


class StopShow(Command):
    """End the show in order."""

    wire_name = "sys.stop"
    owner = "launcher"


class Restart(Command):
    """Stop one service and start it again."""

    wire_name = "sys.restart"
    owner = "launcher"
    service: str


COMMANDS: dict[str, type[Command]] = {
    command.wire_name: command
    for command in (
        Snapshot, Forget, ServiceStop, Generate, Cancel, Replay, SetAdapter, Submit, Say, Interrupt, Panic,
        SetMood, Speak, StopSpeech, StopShow, Restart,
    )
}  # fmt: skip
"""Every command by its wire name."""
