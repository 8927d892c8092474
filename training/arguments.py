"""Command lines made of a table: one flag for each field, a preset of `configs/training/` below the flags."""

from __future__ import annotations

import argparse
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from shared.config import ROOT, ConfigError, Section, load_toml, validate

PRESETS = ROOT / "configs" / "training"

Model = TypeVar("Model", bound=Section)


def parse(model: type[Model], prog: str, description: str, argv: Sequence[str] | None = None) -> Model:
    """The arguments of one run. Raises ConfigError, in one sentence, for a value or a preset that is wrong.

    A field's description is its help; precedence is flag, preset, default.
    """
    parser = argparse.ArgumentParser(
        prog=prog,
        description=description,
        argument_default=argparse.SUPPRESS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = ", ".join(sorted(path.stem for path in PRESETS.glob("*.toml")))
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
    values = load_toml(preset_path(preset)) if preset else {}
    if preset:
        validate(model, values, str(preset_path(preset)))
    return validate(model, {**values, **given}, "the arguments")


def preset_path(name: str) -> Path:
    """File of a preset. Raises ConfigError when there is none of that name."""
    path = Path(name) if name.endswith(".toml") else PRESETS / f"{name}.toml"
    if not path.exists():
        known = ", ".join(sorted(file.stem for file in PRESETS.glob("*.toml")))
        raise ConfigError(f"There is no training preset {name!r}: known are {known}.")
    return path


def _plain(annotation: Any) -> Any:
    """`X` of `X | None`."""
    if get_origin(annotation) in (Union, types.UnionType):
        return next(one for one in get_args(annotation) if one is not type(None))
    return annotation


def _shown(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value) if value != "" else "none"
