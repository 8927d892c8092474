"""Which adapter file a setting or a command means, and whether it belongs to the model that runs."""

from __future__ import annotations

import logging
from pathlib import Path

from shared.config import ROOT
from shared.model.adapter import NAME, Adapter, load_adapter, require_fits
from shared.model.errors import ModelError
from shared.model.loading import LoadedModel
from shared.model.presets import load_preset, preset_names

ADAPTER_DIR = ROOT / "configs" / "adapters"
AUTO = "auto"
SUFFIX = ".safetensors"

log = logging.getLogger(__name__)


def find_adapter(wanted: str, loaded: LoadedModel) -> Adapter | None:
    """The adapter that `wanted` means (`LlmSettings.adapter`), None for none. Raises ModelError.

    `auto` never fails: a file that cannot be used leaves the model as it is, with a warning.
    """
    if wanted != AUTO:
        return _fitting(adapter_path(wanted), loaded) if wanted else None
    path = _own(loaded)
    if path is None or not path.exists():
        return None
    try:
        return _fitting(path, loaded)
    except ModelError as error:
        log.warning("the model runs without its adapter: %s", error)
        return None


def adapter_path(wanted: str) -> Path:
    """Where the adapter of that name or path lies. Raises ModelError when a name is unknown."""
    if wanted.endswith(SUFFIX) or not NAME.fullmatch(wanted):
        try:
            return Path(wanted).expanduser()
        except RuntimeError:
            raise ModelError(f"There is no adapter {wanted[:200]!r}: give the whole path.") from None
    path = ADAPTER_DIR / f"{wanted}{SUFFIX}"
    if not path.exists():
        known = ", ".join(sorted(one.stem for one in ADAPTER_DIR.glob(f"*{SUFFIX}"))) or "none yet"
        raise ModelError(
            f"There is no adapter {wanted!r}: {ADAPTER_DIR} has {known}; or give the path of a file."
        )
    return path


def _own(loaded: LoadedModel) -> Path | None:
    """The file that the preset of these very weights names."""
    for name in preset_names():
        preset = load_preset(name)
        if preset.sha256 == loaded.sha256 and preset.adapter:
            return ADAPTER_DIR / f"{preset.adapter}{SUFFIX}"
    return None


def _fitting(path: Path, loaded: LoadedModel) -> Adapter:
    adapter = load_adapter(path)
    require_fits(adapter, loaded.model.config, loaded.sha256)
    return adapter
