"""Command lines made of a table: one flag for each field, a preset of `configs/` below the flags."""

from __future__ import annotations

import argparse
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from shared.config import ROOT, ConfigError, Section, load_toml, validate

PRESETS = ROOT / "configs" / "training"
"""Of fine-tuning; a folder in it for each other kind of run."""

Model = TypeVar("Model", bound=Section)


def parse(
    model: type[Model],
    prog: str,
    description: str,
    argv: Sequence[str] | None = None,
    presets: Path | None = PRESETS,
) -> Model:
    """The arguments of one run. Raises ConfigError, in one sentence, for a value or a preset that is wrong.

    A field's description is its help; precedence is flag, preset (if there is a folder of them), default.
    """
    parser = argparse.ArgumentParser(
        prog=prog,
        description=description,
        argument_default=argparse.SUPPRESS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if presets:
        names = ", ".join(sorted(path.stem for path in presets.glob("*.toml")))
        parser.add_argument("--preset", metavar="NAME", help=f"{names}, or the path of a toml file")
    for name, field in model.model_fields.items():
        default = "" if field.is_required() else f" ({_shown(field.default)})"
        options: dict[str, Any] = {"help": f"{field.description}{default}".replace("%", "%%")}
        kind = _plain(field.annotation)
        if kind is bool:
            options["action"] = argparse.BooleanOptionalAction
            options["help"] = field.description
        elif get_origin(kind) is list:
            options |= {"nargs": "*", "metavar": "VALUE"}
        elif get_origin(kind) is Literal:
            options["metavar"] = "|".join(get_args(kind))
        else:
            options["metavar"] = getattr(kind, "__name__", "VALUE").upper()
        parser.add_argument(f"--{name.replace('_', '-')}", **options)
    given = vars(parser.parse_args(argv))
    preset = given.pop("preset", None)
    values: dict[str, Any] = {}
    if presets and preset:
        path = preset_path(preset, presets)
        values = load_toml(path)
        validate(model, values, str(path))
    return validate(model, {**values, **given}, "the arguments")


def preset_path(name: str, presets: Path) -> Path:
    """File of a preset. Raises ConfigError when there is none of that name."""
    path = Path(name) if name.endswith(".toml") else presets / f"{name}.toml"
    if not path.exists():
        known = ", ".join(sorted(file.stem for file in presets.glob("*.toml")))
        raise ConfigError(f"There is no training preset {name!r}: known are {known}.")
    return path


def _plain(annotation: Any) -> Any:
    """`X` of `X | None`."""
    if get_origin(annotation) in (Union, types.UnionType):
        return next(one for one in get_args(annotation) if one is not type(None))
    return annotation


def _shown(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value) if value != "" else "none"
