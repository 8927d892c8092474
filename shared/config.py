"""The settings of the whole stack, one model a section.

Read with this precedence: flag, environment, toml file, default.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.events import MoodName

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
"""Folder of the checkout: configs, logs and examples lie here."""
DEFAULT_CONFIG = ROOT / "configs" / "stack.toml"

_SECRET = ("password", "token")
"""Keys whose value no error message may show."""

Model = TypeVar("Model", bound=BaseModel)


class ConfigError(Exception):
    """One sentence for people: which key of which file is wrong and what would be right."""


class Section(BaseModel):
    """Base of all sections: unknown keys are errors, so that a typing mistake never passes silently."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BusSettings(Section):
    """The three public addresses; anything but loopback needs `keys_dir`."""

    publish: str = "tcp://127.0.0.1:7700"
    """Publishers connect here."""
    subscribe: str = "tcp://127.0.0.1:7701"
    """Subscribers connect here."""
    commands: str = "tcp://127.0.0.1:7702"
    """Requests and replies pass here."""
    keys_dir: str = ""
    """Folder of CURVE certificates (`python -m services.bus --make-keys DIR`); required off loopback."""


class LlmSettings(Section):
    """The model and how much machine it may take."""

    model: str = "smollm2-135m"
    """A preset of `configs/models/`, `auto` for the largest that suits the machine, a model of the hub
    (`org/name`, `org/name:Q4_K_M`), or a path to a GGUF file, a hub folder or an Akane checkpoint."""
    adapter: str = "auto"
    """A file of `configs/adapters/`, a path to one, `auto` for the one that the model's preset names if it is
    there, or empty for none."""
    device: str = "auto"
    """`auto`, `cuda`, `cuda:1`, `mps` or `cpu`."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    engine: Literal["auto", "native", "torch"] = "auto"
    """`native` is compiled on first use for the CPU; `auto` takes it where it is possible and faster."""
    quantise: Literal["none", "int8", "int4"] = "none"
    """Weights in so many bits on PyTorch's path, for cards: a token reads half or a quarter of bfloat16."""
    threads: int = Field(default=0, ge=0, le=256)
    """CPU threads; 0 takes the physical cores, all but one in a show that speaks: the voice, the screen and
    the bus would have to take theirs from the middle of a token."""
    context: int = Field(default=2048, ge=64, le=1_000_000)
    """Tokens that a conversation may have, at most the model's own."""
    slots: int = Field(default=2, ge=1, le=64)
    """Conversations held in the cache at once."""
    kv_tokens: int = Field(default=0, ge=0)
    """Tokens of KV cache that all slots share; 0 gives each slot a whole context."""
    queue_limit: int = Field(default=16, ge=1, le=10_000)
    prefill_chunk: int = Field(default=256, ge=16, le=8192)
    backend_url: str = ""
    """An OpenAI-compatible server (`http://host:8000/v1`) that runs the model instead of our engine; its key,
    if it wants one, is read from the environment variable AKANE_BACKEND_KEY."""
    backend_model: str = ""
    """The server's name of the model; empty takes the first it lists."""
    backend_timeout_s: float = Field(default=60.0, gt=0.0, le=3600.0)
    """Longest silence of that server before a generation is given up."""


class DirectorSettings(Section):
    """The conversation."""

    persona: str = "akane"
    """A file of `configs/personas/` or a path to one."""
    queue_limit: int = Field(default=50, ge=1, le=10_000)
    history_turns: int = Field(default=2, ge=0, le=1_000)
    """Earlier exchanges sent along with a new message; a small model repeats itself when it reads more."""
    blocklist: str = ""
    """A text file of words, one a line, never answered, voiced or shown; adds to the built-in list."""
    remember: bool = True
    """Keep what viewers tell about themselves (a pet, a job, an exam) for their next visit."""
    remember_days: int = Field(default=90, ge=1, le=3_650)
    """Who has not written for so long is forgotten."""
    seed: int | None = None
    """Makes replies repeatable, for tests and recordings."""


class InputSettings(Section):
    """Where lines come from."""

    stdin: bool = False
    """Read lines from standard input (the launcher's `--plain`)."""
    script: str = ""
    """A text file whose lines are typed one after the other, each answered before the next."""
    twitch: str = ""
    """Channel whose chat is read, without an account."""
    twitch_server: str = "irc.chat.twitch.tv:6697"
    twitch_tls: bool = True
    twitch_ca: str = ""
    """Certificate authority file; empty uses the system's."""
    max_chars: int = Field(default=500, ge=1, le=2_000)
    """Longest message taken from a stream chat; longer ones are cut. Typed lines may have 2,000."""


class TtsSettings(Section):
    """The voice and the sound device."""

    voice: Literal["neural", "kokoro", "pyttsx3", "silent"] = "neural"
    speaker: str = Field(default="", pattern=r"^[a-z_]*$")
    """Who speaks with `neural` or `kokoro`; empty: the first of them, heart or af_heart."""
    expressive: bool = True
    """Her mood bends pace and pitch of the voice."""
    device: str = Field(default="auto", min_length=1)
    """`auto` is the system's output, `null` nowhere at the right speed; else a part of a device's name."""
    mute: bool = False
    """Speak in real time without sound: mouth and captions go on."""
    audio_out: str = ""
    """Folder that gets what was spoken, one WAV a turn."""
    buffer_ms: int = Field(default=40, ge=5, le=500)
    output_offset_ms: int = Field(default=0, ge=-500, le=2_000)
    """Extra delay of the loudspeaker (Bluetooth, capture card), for mouth and captions."""
    rate: float = Field(default=1.0, ge=0.5, le=2.0)
    volume: float = Field(default=1.0, ge=0.0, le=2.0)


class ApiSettings(Section):
    """The OpenAI-compatible door."""

    host: str = "127.0.0.1"
    """Where it listens; anything but loopback needs `keys`."""
    port: int = Field(default=7710, ge=0, le=65_535)
    """0 takes a free one."""
    keys: list[Annotated[str, Field(min_length=1)]] = []
    """Keys that clients may present (`Authorization: Bearer …`); empty asks for none."""
    origins: list[str] = []
    """Web pages (`https://example.org`) whose scripts may call it, beside those of this machine."""


PUPPET_COLOURS = "hair|ribbon|trim|skin|eyes|cloth|collar|accent|gold|shirt"


class StageSettings(Section):
    """Her page for OBS, and the bus for browsers; what the pages look like can also stand in their URL."""

    host: str = "127.0.0.1"
    """Where it listens; other machines always need the token."""
    port: int = Field(default=7780, ge=0, le=65_535)
    """0 takes a free one."""
    token: str = ""
    """Lets a browser command her; empty: one is made at the first start and kept in the user's folder."""
    origins: list[str] = []
    """Web pages (`https://example.org`) whose scripts may read `/bus` without the token."""
    accent: str = "#b5394b"
    ink: str = "#ffffff"
    outline: str = "#1d1016"
    background: str = "transparent"
    font: str = "Nunito, 'Segoe UI', system-ui, sans-serif"
    caption_px: int = Field(default=44, ge=8, le=400)
    chat_px: int = Field(default=24, ge=8, le=400)
    puppet: list[
        Annotated[str, Field(pattern=rf"^({PUPPET_COLOURS})=#([0-9a-fA-F]{{3}}|[0-9a-fA-F]{{6}})$")]
    ] = []
    """Colours of the puppet, like `hair=#3355cc` or `hair=#35c`."""
    vrm: str = ""
    """A VRM file (0.x or 1.0) that is shown instead of the puppet; empty: the puppet."""


class VtubeStudioSettings(Section):
    """A model in VTube Studio as her body."""

    url: str = "ws://localhost:8001"
    """Where VTube Studio's plugin API listens."""
    hotkeys: list[Annotated[str, Field(pattern=rf"^({'|'.join(get_args(MoodName))})=\S.*$")]] = []
    """Hotkeys of the model for her moods, like `happy=Smile`; a hotkey named like a mood needs no line."""


_PHASE = r"^(idle|thinking|speaking|panic)="


class ObsSettings(Section):
    """What the service `obs` changes in OBS; empty names leave it alone."""

    address: str = Field(default="ws://127.0.0.1:4455", pattern=r"^wss?://")
    password: str = Field(default="", repr=False)
    """Better in the environment: AKANE_OBS_PASSWORD."""
    text_name: str = ""
    """The text source that gets the name of whom she answers."""
    text_question: str = ""
    """The text source that gets what was asked."""
    text_speech: str = ""
    """The text source that gets what she says, as it is heard."""
    max_chars: int = Field(default=200, ge=1, le=2_000)
    """Longer texts are cut."""
    hold_s: float = Field(default=2.0, ge=0.0, le=60.0)
    """How long texts and scene stay when she has ended."""
    scenes: list[Annotated[str, Field(pattern=_PHASE + r".+$")]] = []
    """Phase and the scene to switch to, like `speaking=Talking`."""
    items: list[Annotated[str, Field(pattern=_PHASE + r"[^/]+/.+$")]] = []
    """Phase, scene and the source that is shown there in this phase only, like `thinking=Main/Dots`."""


class VmcSettings(Section):
    """Where the service `vmc` sends her face."""

    address: str = Field(default="127.0.0.1:39539", pattern=r"^.+:\d{1,5}$")
    names: Literal["vrm0", "vrm1"] = "vrm0"
    """How the receiver names blend shapes: A, Joy, Blink, or aa, happy, blink."""
    rate_hz: int = Field(default=60, ge=30, le=120)
    sway_deg: float = Field(default=0.0, ge=0.0, le=15.0)
    """How far her head turns by itself; 0 sends no bone at all."""


class DashboardSettings(Section):
    """The terminal."""

    plain: bool = False
    """Print lines instead of drawing a screen; what works in a pipe."""


class LauncherSettings(Section):
    """Which processes make the show, in starting order (stopping is the reverse, bus last)."""

    services: list[str] = ["bus", "llm", "tts", "director", "input", "stage", "dashboard"]
    log_dir: str = "logs"


class Settings(Section):
    """All of `configs/stack.toml`."""

    bus: BusSettings = BusSettings()
    llm: LlmSettings = LlmSettings()
    director: DirectorSettings = DirectorSettings()
    input: InputSettings = InputSettings()
    tts: TtsSettings = TtsSettings()
    api: ApiSettings = ApiSettings()
    stage: StageSettings = StageSettings()
    vtube_studio: VtubeStudioSettings = VtubeStudioSettings()
    obs: ObsSettings = ObsSettings()
    vmc: VmcSettings = VmcSettings()
    dashboard: DashboardSettings = DashboardSettings()
    launcher: LauncherSettings = LauncherSettings()


def load_toml(path: Path) -> dict[str, Any]:
    """Parse a toml file; ConfigError names the file when it is missing, not UTF-8 or malformed."""
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"There is no file {path}: check the path.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text: save it as UTF-8.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid toml: {error}.") from None


def validate(model: type[Model], data: Mapping[str, Any], where: str) -> Model:
    """Build `model` from `data`; the ConfigError names the key and `where` it stands (a file, usually)."""
    try:
        return model.model_validate(dict(data))
    except ValidationError as error:
        raise ConfigError(_sentence(model, error, where)) from None


def load_settings(
    path: Path | None = None, overrides: Iterable[str] = (), env: Mapping[str, str] | None = None
) -> Settings:
    """Settings from a toml file, the environment (`AKANE_LLM_MODEL=…`) and `section.key=value` overrides.

    Without `path` the checkout's `configs/stack.toml` is read when it exists. Raises ConfigError.
    """
    if path is None and DEFAULT_CONFIG.exists():
        path = DEFAULT_CONFIG
    data: dict[str, Any] = load_toml(path) if path else {}
    settings = validate(Settings, data, str(path))
    environ = os.environ if env is None else env
    layers: list[tuple[str, str, str, str]] = []
    for section_name, section_field in Settings.model_fields.items():
        section = section_field.annotation
        assert isinstance(section, type)
        assert issubclass(section, Section)
        for key in section.model_fields:
            variable = f"AKANE_{section_name}_{key}".upper()
            if variable in environ:
                layers.append((section_name, key, environ[variable], f"the environment variable {variable}"))
    for override in overrides:
        dotted, equals, value = override.partition("=")
        section_name, dot, key = dotted.strip().partition(".")
        if not (equals and dot):
            raise ConfigError(f"--set takes section.key=value, not {override!r}.")
        layers.append((section_name, key, value, "--set"))
    merged = settings.model_dump()
    for section_name, key, value, where in layers:
        if not isinstance(merged.get(section_name), dict):
            raise ConfigError(_unknown(f"section {section_name!r}", section_name, merged, where))
        merged[section_name][key] = _parse(value, merged[section_name].get(key))
        settings = validate(Settings, merged, where)
    return settings


def _parse(value: str, present: Any) -> Any:
    """Strings stay strings; lists split at commas; the rest is left to pydantic's own reading of text."""
    if isinstance(present, list):
        return [part.strip() for part in value.split(",") if part.strip()]
    return None if present is None and value == "" else value


def _sentence(model: type[BaseModel], error: ValidationError, where: str) -> str:
    first = error.errors()[0]
    location = [str(part) for part in first["loc"]]
    dotted = ".".join(location)
    if first["type"] == "extra_forbidden":
        known = _keys_at(model, location[:-1])
        return _unknown(f"key {dotted!r}", location[-1], known, where)
    if first["type"] == "missing":
        return f"The key {dotted!r} is missing in {where}."
    reason = first["msg"][0].lower() + first["msg"][1:]
    if location and location[-1] in _SECRET:
        return f"The key {dotted!r} in {where} is wrong: {reason}."
    return f"The key {dotted!r} in {where} is {first['input']!r}: {reason}."


def _unknown(what: str, name: str, known: Iterable[str], where: str) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(known))}."
    return f"Unknown {what} in {where}: {hint}"


def _keys_at(model: type[BaseModel], path: list[str]) -> list[str]:
    for part in path:
        field = model.model_fields.get(part)
        if field is None or not (
            isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        ):
            return []
        model = field.annotation
    return list(model.model_fields)
