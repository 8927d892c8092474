"""Compiles the C++ files of this folder once for this machine, keeps the library and opens it."""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

from shared.model.presets import cache_dir

SOURCE_DIR = Path(__file__).parent
COMPILERS = ("c++", "g++", "clang++")
FLAGS = ("-std=c++17", "-O3", "-ffp-contract=off", "-fPIC", "-shared", "-pthread", "-w")
"""No contraction: a sum must come out the same however many columns the compiler unrolled it for."""
NATIVE = ("-mcpu=native",) if platform.machine().lower() in ("arm64", "aarch64") else ("-march=native",)
TIMEOUT_S = 180

log = logging.getLogger(__name__)


class NativeUnavailableError(Exception):
    """Why the native engine cannot be used here, one sentence; the PyTorch path always can."""


def find_compiler() -> str:
    """Path of a C++ compiler; the environment's CXX comes first. Raises NativeUnavailableError."""
    for name in (os.environ.get("CXX", ""), *COMPILERS):
        path = shutil.which(name) if name else None
        if path:
            return os.path.realpath(path)
    raise NativeUnavailableError("no C++ compiler was found: install g++ or clang++ for a faster engine")


def library_path(compiler: str, target: tuple[str, ...] = NATIVE) -> Path:
    """Where the library of these sources, compiler and processor lies; another of any makes another file."""
    digest = hashlib.sha256()
    for path in sorted((*SOURCE_DIR.glob("*.h"), *SOURCE_DIR.glob("*.cpp"))):
        digest.update(path.read_bytes())
    status = os.stat(compiler)
    key = (compiler, status.st_size, status.st_mtime_ns, FLAGS, target, platform.platform(), _processor())
    digest.update(repr(key).encode())
    return cache_dir() / "native" / f"engine-{digest.hexdigest()[:24]}.so"


def load_library(target: tuple[str, ...] = NATIVE) -> ctypes.CDLL:
    """The library for this machine, compiled if the cache has none that is whole.

    Raises NativeUnavailableError.
    """
    compiler = find_compiler()
    path = library_path(compiler, target)
    try:
        # A damaged library would end the process with a signal when opened, so its hash is looked at first.
        if not _is_whole(path):
            _compile(compiler, target, path)
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise NativeUnavailableError(f"the native engine cannot be opened: {error}") from None


def _compile(compiler: str, target: tuple[str, ...], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    log.info("compiling the native engine with %s, once for this machine", compiler)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder) / path.name
        command = [compiler, *FLAGS, *target, str(SOURCE_DIR / "engine.cpp"), "-o", str(made)]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired:
            raise NativeUnavailableError(f"{compiler} did not finish in {TIMEOUT_S} s") from None
        if done.returncode or not made.exists():
            reason = next((line for line in done.stderr.splitlines() if "error" in line), "no reason given")
            raise NativeUnavailableError(f"{compiler} cannot compile the native engine: {reason[:200]}")
        checksum = made.with_suffix(".sha256")
        checksum.write_text(hashlib.sha256(made.read_bytes()).hexdigest(), encoding="ascii")
        os.replace(checksum, path.with_suffix(".sha256"))
        os.replace(made, path)


def _is_whole(path: Path) -> bool:
    try:
        expected = path.with_suffix(".sha256").read_text(encoding="ascii", errors="replace")
        return hashlib.sha256(path.read_bytes()).hexdigest() == expected.strip()
    except OSError:
        return False


def _processor() -> str:
    """What tells this processor from others that may share the cache (a home folder on the network)."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    wanted = ("model name", "flags", "Features", "CPU part")
    return "\n".join(sorted({line for line in lines if line.startswith(wanted)}))
