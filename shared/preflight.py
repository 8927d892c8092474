"""What can be known before anything is started: what is missing, what is in the way, one fix for each."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from shared.config import ROOT, Settings
from shared.endpoints import AddressError, busy_sentence, check_addresses, port_holder, port_of
from shared.model.fetch import is_present
from shared.service import Finding

NEEDED_MEMORY_GB = 1.0
NEEDED_DISK_GB = 0.5
CHECK_S = 60.0


class NotReady(Exception):
    """One sentence: what is in the way and what to do."""


def require(settings: Settings, services: Sequence[str]) -> None:
    """Raise NotReady for what would make the start fail anyway, before minutes are spent on it."""
    try:
        check_addresses(settings.bus)
    except AddressError as error:
        raise NotReady(str(error)) from None
    for address in (settings.bus.publish, settings.bus.subscribe, settings.bus.commands):
        port = port_of(address)
        if port and port_holder(port):
            raise NotReady(busy_sentence(address))
    if "input" in services and settings.input.script and not Path(settings.input.script).is_file():
        raise NotReady(f"There is no script {settings.input.script}: check the path.")
    if "tts" in services and settings.tts.audio_out:
        _require_folder(Path(settings.tts.audio_out))


def _require_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NotReady(f"--audio-out {folder} cannot be used: {error.strerror}.") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise NotReady(f"--audio-out {folder} cannot be written: choose another folder.")


def weights_missing(model: str) -> bool:
    """True for a named model that was not fetched yet. ModelError for what is neither a name nor a path."""
    return not Path(model).expanduser().exists() and not is_present(model)


def machine_findings() -> list[Finding]:
    """Python, memory, disk."""
    version = ".".join(map(str, sys.version_info[:3]))
    enough = sys.version_info >= (3, 10)
    memory_gb = psutil.virtual_memory().available / 1e9
    disk_gb = shutil.disk_usage(ROOT).free / 1e9
    return [
        Finding("python", enough, version, "" if enough else "install Python 3.10 or newer"),
        Finding(
            "memory",
            memory_gb >= NEEDED_MEMORY_GB,
            f"{memory_gb:.1f} GB free",
            "" if memory_gb >= NEEDED_MEMORY_GB else f"close something: {NEEDED_MEMORY_GB} GB are needed",
        ),
        Finding(
            "disk",
            disk_gb >= NEEDED_DISK_GB,
            f"{disk_gb:.1f} GB free",
            "" if disk_gb >= NEEDED_DISK_GB else f"make room: {NEEDED_DISK_GB} GB are needed",
        ),
    ]


def service_findings(commands: Mapping[str, Sequence[str]], env: Mapping[str, str]) -> list[Finding]:
    """Let each service examine its own part (`python -m services.<name> --check`), side by side."""
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        answers = pool.map(lambda name: _ask(name, commands[name], env), commands)
        return [finding for findings in answers for finding in findings]


def _ask(name: str, command: Sequence[str], env: Mapping[str, str]) -> list[Finding]:
    try:
        answer = subprocess.run(
            command, env=dict(env), stdin=subprocess.DEVNULL, capture_output=True, timeout=CHECK_S
        )
    except subprocess.TimeoutExpired:
        return [Finding(name, False, f"no answer within {CHECK_S:.0f} s", f"run {' '.join(command[1:])}")]
    findings = list(read_findings(answer.stdout.decode("utf-8", "replace")))
    if answer.returncode != 0:
        lines = answer.stderr.decode("utf-8", "replace").strip().splitlines()
        sentence = lines[-1] if lines else f"exit code {answer.returncode}"
        findings.append(Finding(name, False, sentence, f"python -m services.{name} --check says more"))
    return findings


def read_findings(output: str) -> list[Finding]:
    """The JSON objects that a service printed, one a line; other lines (a library's chatter) are left out."""
    findings = []
    for line in output.splitlines():
        try:
            row = json.loads(line)
            finding = Finding(row["part"], row["ok"], row["detail"], row.get("fix", ""))
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
        findings.append(finding)
    return findings
