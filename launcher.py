"""`python launcher.py`: the whole show. Reads configs/stack.toml, starts the services, ends them in order."""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path

from shared.bootstrap import with_packages

try:
    from shared import preflight
    from shared.config import ROOT, ConfigError, Settings, load_settings
    from shared.cores import physical_cores
    from shared.logs import JsonLines
    from shared.model.auto import AUTO
    from shared.model.errors import ModelError
    from shared.process import Spec
    from shared.runs import open_run
    from shared.show import HUB, SCREEN, Show
except ModuleNotFoundError as error:
    sys.exit(with_packages(error))

BAD_INPUT = 2
SHORTCUTS = {
    "model": "llm.model",
    "device": "llm.device",
    "seed": "director.seed",
    "twitch": "input.twitch",
    "script": "input.script",
    "voice": "tts.voice",
    "audio_out": "tts.audio_out",
}
"""Flags that are another name of one setting."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 the show ended in order, 1 a service failed, 2 something given to it was wrong."""
    arguments = parser().parse_args(argv)
    try:
        overrides = settings_of(arguments, terminal=sys.stdin.isatty() and sys.stdout.isatty())
        if arguments.check:
            return check(arguments, overrides)
        settings = load_settings(arguments.config, overrides)
        services = chosen_services(settings, arguments)
        preflight.require(settings, services)
        return run(arguments, settings, services, overrides)
    except (ConfigError, ModelError, preflight.NotReady) as error:
        print(f"akane: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:  # while weights are fetched or things are checked: nothing runs yet
        return 130


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="launcher.py", description="Akane: the whole show.")
    screen = made.add_mutually_exclusive_group()
    screen.add_argument("--plain", action="store_true", help="lines instead of a screen; what a pipe gets")
    screen.add_argument("--headless", action="store_true", help="no terminal at all; ends with Ctrl-C")
    made.add_argument("--script", metavar="FILE", help="type the lines of FILE, each after the last answer")
    made.add_argument("--twitch", metavar="CHANNEL", help="read this channel's chat, without an account")
    made.add_argument("--model", metavar="NAME|PATH", help="a preset, auto, org/name of the hub, or a file")
    made.add_argument("--device", help="auto, cuda, cuda:1, mps, cpu")
    made.add_argument("--voice", help="neural, kokoro, pyttsx3, silent")
    made.add_argument("--mute", action="store_true", help="speak without sound")
    made.add_argument("--audio-out", metavar="DIR", help="write what is spoken to WAV files in DIR")
    made.add_argument("--seed", help="a number that makes replies repeatable")
    made.add_argument("--only", metavar="A,B", help="start these services only (and the bus)")
    made.add_argument("--without", metavar="A,B", help="leave these services out")
    made.add_argument("--config", type=Path, metavar="FILE", help="settings instead of configs/stack.toml")
    made.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="one setting")
    made.add_argument("--check", action="store_true", help="examine everything, start nothing")
    made.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    made.add_argument("--version", action="version", version=f"akane {metadata.version('akane')}")
    return made


def settings_of(arguments: argparse.Namespace, *, terminal: bool) -> list[str]:
    """The flags as `section.key=value`, paths absolute (services may run elsewhere)."""
    overrides = list(arguments.set)
    for flag, key in SHORTCUTS.items():
        value = getattr(arguments, flag)
        if value is None:
            continue
        if flag in ("script", "audio_out") or (flag == "model" and Path(value).exists()):
            value = Path(value).expanduser().resolve()
        overrides.append(f"{key}={value}")
    if arguments.mute:
        overrides.append("tts.mute=true")
    if arguments.headless or arguments.plain or not terminal:
        overrides.append("dashboard.plain=true")
    if not arguments.headless and (arguments.plain or not terminal) and arguments.script is None:
        overrides.append("input.stdin=true")
    return overrides


def chosen_services(settings: Settings, arguments: argparse.Namespace) -> list[str]:
    """Names in starting order, the bus first. ConfigError for a name that is none."""
    known = known_services()
    wanted = settings.launcher.services
    if arguments.only:
        named = _names(arguments.only, known, "--only")
        wanted = [name for name in wanted if name in named] + [name for name in named if name not in wanted]
    _names(",".join(wanted), known, "launcher.services")
    left_out = _names(arguments.without or "", known, "--without")
    if HUB in left_out:
        raise ConfigError("--without bus is not possible: all services talk over the bus.")
    if arguments.headless:
        left_out.append(SCREEN)
    return [HUB, *(name for name in dict.fromkeys(wanted) if name not in (HUB, *left_out))]


def known_services() -> list[str]:
    """Every service of the checkout."""
    return sorted(path.parent.name for path in (ROOT / "services").glob("*/__main__.py"))


def _names(text: str, known: Iterable[str], where: str) -> list[str]:
    names = [part.strip() for part in text.split(",") if part.strip()]
    for name in names:
        if name not in known:
            raise ConfigError(f"There is no service {name!r} ({where}): known are {', '.join(known)}.")
    return names


def run(
    arguments: argparse.Namespace, settings: Settings, services: Sequence[str], overrides: Sequence[str]
) -> int:
    """Choose a model and fetch what is missing, then run the show."""
    environment = _environment()
    is_local = "llm" in services and not settings.llm.backend_url
    if is_local and settings.llm.model == AUTO:
        # Once, here: a service that is started again must not choose another one in the middle of the show.
        overrides = [*overrides, f"llm.model={chosen_model(settings, environment)}"]
        settings = load_settings(arguments.config, overrides)
    if is_local and not settings.llm.threads:
        overrides = [*overrides, f"llm.threads={threads_beside(services)}"]
    if is_local and preflight.weights_missing(settings.llm.model):
        command = [sys.executable, "-m", "shared.model.fetch", settings.llm.model]
        fetched = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr)
        if fetched.returncode != 0:
            return BAD_INPUT
    log_dir = ROOT / settings.launcher.log_dir
    try:
        folder = open_run(log_dir)
    except OSError as error:
        raise ConfigError(f"Logs cannot be written to {log_dir}: {error.strerror}.") from None
    _log_to(folder / "launcher.log", arguments.log_level)
    drawn = SCREEN in services and not settings.dashboard.plain
    flags = [*_flags(arguments, overrides), "--log-level", arguments.log_level]
    specs = [
        Spec(name, command_of(name, flags), streams_of(name, settings, drawn=drawn)) for name in services
    ]
    return Show(specs, settings.bus, folder, environment, drawn).run()


def threads_beside(services: Sequence[str]) -> int:
    """CPU threads of the model: it leaves a core to a voice, which would stop it in the middle of a token."""
    return max(1, physical_cores() - ("tts" in services))


def chosen_model(settings: Settings, environment: Mapping[str, str]) -> str:
    """What `auto` means on this machine; the reason is printed. ModelError when it means nothing."""
    llm = settings.llm
    command = [sys.executable, "-m", "shared.model.auto", "--device", llm.device, "--dtype", llm.dtype]
    command += ["--engine", llm.engine]
    command += ["--cached-tokens", str(llm.slots * llm.context)]
    asked = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    if asked.returncode != 0:
        raise ModelError("No model could be chosen for this machine: name one with --model.")
    return asked.stdout.strip()


def command_of(name: str, flags: Sequence[str]) -> tuple[str, ...]:
    """What runs a service; the same works by hand."""
    return (sys.executable, "-m", f"services.{name}", *flags)


def streams_of(name: str, settings: Settings, *, drawn: bool) -> frozenset[str]:
    """The standard streams that a service shares with the launcher."""
    if name == SCREEN:
        return frozenset({"stdin", "stdout"} if drawn else {"stdout"})
    if name == "input" and settings.input.stdin:
        return frozenset({"stdin"})
    return frozenset()


def check(arguments: argparse.Namespace, overrides: Sequence[str]) -> int:
    """Let every service examine its part; print a table with one fix a problem."""
    findings = preflight.machine_findings()
    try:
        settings = load_settings(arguments.config, overrides)
        services = chosen_services(settings, arguments)
    except ConfigError as error:
        findings.append(preflight.Finding("configuration", False, str(error), "mend it and check again"))
    else:
        source = str(arguments.config or "configs/stack.toml")
        findings.append(preflight.Finding("configuration", True, source))
        flags = [*_flags(arguments, overrides), "--check"]
        commands = {name: command_of(name, flags) for name in services}
        findings += preflight.service_findings(commands, _environment())
    print_table(findings)
    return 0 if all(finding.ok for finding in findings) else 1


def print_table(findings: Sequence[preflight.Finding]) -> None:
    """One row a finding."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("", "part", "finding", "what to do", box=None, pad_edge=False)
    for finding in findings:
        mark = Text("ok", "green") if finding.ok else Text("!!", "bold red")
        table.add_row(mark, Text(finding.part), Text(finding.detail), Text(finding.fix))
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def _flags(arguments: argparse.Namespace, overrides: Sequence[str]) -> list[str]:
    config = ["--config", str(arguments.config.resolve())] if arguments.config else []
    return [*config, *(part for override in overrides for part in ("--set", override))]


def _environment() -> Mapping[str, str]:
    """The services' environment: they find the checkout wherever the launcher was started."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path}


def _log_to(path: Path, level: str) -> None:
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(JsonLines("launcher"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


if __name__ == "__main__":
    sys.exit(main())
