"""Every payload that passes over the bus, one frozen model each (`shared/topics.py`: who publishes which)."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

EndReason = Literal["stop", "length", "cancelled", "error", "lost"]
ServicePhase = Literal["starting", "loading", "ready", "degraded", "stopping"]
TurnPhase = Literal["idle", "thinking", "speaking", "done"]
TurnEnd = Literal["stop", "length", "interrupted", "refused", "retracted", "error", "lost"]
ProcessState = Literal["starting", "ready", "backoff", "stopping", "stopped", "failed"]
MoodName = Literal["neutral", "happy", "excited", "shy", "sad", "surprised", "annoyed", "thinking"]
MouthShape = Literal["closed", "A", "I", "U", "E", "O", "N", "smile"]


class Event(BaseModel):
    """Base of all payloads. Unknown fields are ignored: newer publishers may add optional ones."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Probe(Event):
    """A Bus sends this to itself until it comes back: then the route through the broker is open."""

    nonce: str


class Health(Event):
    """Once a second from the loop that does the work; `last_seq` lets readers notice a lost last message."""

    phase: ServicePhase
    pid: int
    detail: str = ""
    """One sentence for people: what is loading, or why the service is degraded."""
    last_seq: dict[str, int] = {}
    """Topic -> the last `seq` published on it in this session."""
    gaps: dict[str, int] = {}
    """`source/topic` -> events this process knows it missed."""
    rss_mb: float = 0.0
    loop_ms: float = 0.0
    """Longest single turn of the work loop since the last beat."""


class ProcessInfo(Event):
    """One supervised process as the launcher sees it."""

    name: str
    state: ProcessState
    pid: int | None = None
    session: str | None = None
    """Bus session of the process that lives, or of the one that just died."""
    restarts: int = 0
    detail: str = ""


class Processes(Event):
    """All supervised processes, published on every change and once a second."""

    processes: list[ProcessInfo]


class ChatMessage(Event):
    """A line somebody typed, sanitised at the door: no control characters, escape codes or markup tokens."""

    id: str
    channel: str
    """`terminal`, `script`, `twitch`, `api`."""
    author: str
    """Display name as viewers see it."""
    author_id: str
    text: str
    badges: list[str] = []
    bits: int = 0
    first: bool = False
    """The platform says that this is the viewer's first message ever."""
    rule: str = ""
    """Of the block-list, where text or author break one: `profanity`, `lewd`, … Show neither then."""


class ChatRetracted(Event):
    """Moderation took something back: one message, everything of one author, or the whole channel."""

    channel: str
    message_id: str | None = None
    author_id: str | None = None
    reason: Literal["deleted", "banned", "cleared"]

    def covers(self, line: ChatMessage | TurnState) -> bool:
        """Whether it takes back `line`, or the line that this turn answers."""
        return self.names(
            line.channel, line.id if isinstance(line, ChatMessage) else line.message_id, line.author_id
        )

    def names(self, channel: str, message_id: str | None, author_id: str) -> bool:
        """Whether it takes back the line with this channel, id and author."""
        if self.channel != channel:
            return False
        if self.message_id is not None:
            return self.message_id == message_id
        return self.author_id is None or self.author_id == author_id


class TurnState(Event):
    """Where the show's current turn stands; the last one published is the present state."""

    turn: str
    epoch: int
    """One integer for the whole show; readers drop whatever carries a lower one than they have seen."""
    phase: TurnPhase
    author: str = ""
    author_id: str = ""
    prompt: str = ""
    """What is being answered: the viewer's line, or empty for something she says by herself."""
    rule: str = ""
    """The same of that line: show neither it nor its author, only what she says to it."""
    message_id: str | None = None
    channel: str = ""
    generation: str | None = None
    """The generation whose tokens belong to this turn; changes when a reply is drawn again."""
    draw: int = 1
    text: str = ""
    """The chunks that passed the gate so far; at `done` the whole reply."""
    heard: str = ""
    """The words that left the loudspeaker; all of `text` unless she was interrupted."""
    end: TurnEnd | None = None
    """`retracted`: the line was taken back, perhaps after another end; line and answer are empty then."""
    queued: int = 0
    """Messages waiting to be answered."""
    timings_ms: dict[str, float] = {}
    """Since the message arrived: `first_token`, `first_chunk`, `first_sound`, `done`."""
    tokens: int = 0
    tokens_per_s: float = 0.0
    """As the model measured it; 0 before its generation has ended."""


class Cleared(Event):
    """A panic: whoever shows chat, captions or turns up to this epoch takes all of it away at once."""

    epoch: int


class Muted(Event):
    """Whether she is silenced: by a panic, and until somebody lifts it; a director that starts goes by it."""

    muted: bool


class Mood(Event):
    """How she feels from here on; drives the face and, where the voice allows, rate and pitch."""

    turn: str | None = None
    epoch: int = 0
    mood: MoodName = "neutral"
    intensity: float = 1.0


class TokenLogprob(Event):
    """One model token as it was chosen; its text may be half a character, hence bytes."""

    raw: bytes
    logprob: float
    """Natural logarithm of its probability before temperature, penalties and filters."""
    top: list[tuple[bytes, float]] = []
    """The most probable tokens at this place and their logarithms, best first; as many as were asked for."""


class Token(Event):
    """The next piece of text of a generation; never half a character."""

    generation: str
    index: int
    """0, 1, 2, … without holes: a hole means lost events (`llm.replay` gives them back)."""
    text: str
    tokens: int
    """Model tokens produced so far, this one included."""
    turn: str | None = None
    epoch: int | None = None
    logprobs: list[TokenLogprob] = []
    """The model tokens that this text was made of, if `llm.generate` asked for them."""


class Finished(Event):
    """A generation ended; carries the whole text, so that whoever joined late can repair it."""

    generation: str
    reason: EndReason
    text: str
    pieces: int
    """Number of `llm.token` events that made up `text`."""
    turn: str | None = None
    epoch: int | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    """Prompt tokens that were found in the KV cache and not computed again."""
    completion_tokens: int = 0
    dropped_turns: int = 0
    """Old messages left out because the conversation had outgrown the context."""
    first_token_ms: float = 0.0
    tokens_per_s: float = 0.0
    elapsed_ms: float = 0.0
    error: str = ""


class LlmStats(Event):
    """What the model is and how busy it is; published at start, on change and about once a second."""

    model: str
    device: str
    dtype: str
    parameters: int
    context: int
    slots: int = 1
    active: int = 0
    queued: int = 0
    kv_used: int = 0
    """Tokens held in the KV cache, all slots together."""
    kv_capacity: int = 0
    tokens_per_s: float = 0.0
    """Of the generation that runs or ran last."""
    first_token_ms: float = 0.0
    tokens_total: int = 0
    threads: int = 0
    adapter: str = ""
    """Name of the LoRA adapter in use; empty without one."""


class Word(Event):
    """A word of a chunk and when it sounds, relative to the chunk's first sample."""

    text: str
    start_s: float
    end_s: float


class Viseme(Event):
    """A mouth shape that holds from `start_s` until the next one."""

    shape: MouthShape
    start_s: float
    openness: float = 1.0


class Timeline(Event):
    """The plan of one chunk of speech, published before its first sample sounds."""

    turn: str
    epoch: int
    chunk: int
    text: str
    mood: MoodName = "neutral"
    duration_s: float
    sample_rate_hz: int
    words: list[Word] = []
    visemes: list[Viseme] = []
    voice: str = ""
    last: bool = False
    synthesis_ms: float = 0.0


class Progress(Event):
    """What has been heard of a chunk by now, by the device clock; about ten a second while she speaks."""

    turn: str
    epoch: int
    chunk: int
    position_s: float
    words_heard: int
    heard: str
    """The words of this chunk that have sounded."""
    sound_mono_ns: int | None = None
    """Monotonic time at which the first non-silent sample of this chunk left the device buffer."""


class SpeechFinished(Event):
    """The voice is silent again; `heard` is what came out of the loudspeaker during this turn."""

    turn: str
    epoch: int
    reason: Literal["done", "stopped", "error", "lost"]
    heard: str
    chunks: int
    duration_s: float = 0.0
    error: str = ""


class Mouth(Event):
    """The mouth right now, 30 a second while she speaks, by the device clock."""

    turn: str
    epoch: int
    shape: MouthShape
    openness: float
    position_s: float
    """Within the turn's speech."""


class TrainStep(Event):
    """A step of a training run that was asked to tell; the last one published is where the run stands."""

    run: str
    """Name of what is trained."""
    step: int
    """Steps done."""
    steps: int
    """Of the whole run."""
    loss: float
    """Nats a token."""
    rate: float
    """Learning rate."""
    gradient_norm: float
    """Before clipping."""
    tokens: int
    """Tokens read so far, by all processes."""
    tokens_per_s: float
    mfu: float = 0.0
    """Share of what the devices could compute; 0 where that is not known."""
    left_s: float = 0.0
    """Time that the rest will take at this speed."""
    heldout_loss: float | None = None
    """Of the last evaluation."""
    bits_per_byte: float | None = None
    """Of the same: bits that the model needs for a byte of held-out text."""
