"""The NEON kernels, built by a cross compiler and run by an emulator, against the portable ones of this machine."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from shared.model.native.build import FLAGS, find_compiler

CROSS, EMULATOR = "aarch64-linux-gnu-g++", "qemu-aarch64"
CHECK = Path(__file__).with_name("native_check.cpp")
PRODUCTS = 10 * (1 + 2 + 3 + 7 + 16 + 29) * 3 * 16
"""Floats that come before the models': types, columns, blocks, rows of a block."""

needs_arm = pytest.mark.skipif(
    not (shutil.which(CROSS) and shutil.which(EMULATOR)),
    reason=f"needs {CROSS} and {EMULATOR}: apt install g++-aarch64-linux-gnu qemu-user",
)


def run(folder: Path, compiler: str, target: list[str], emulator: list[str]) -> tuple[str, np.ndarray]:
    """What the check says it runs on, and its numbers."""
    made = folder / "check"
    flags = [flag for flag in FLAGS if flag not in ("-fPIC", "-shared")]
    subprocess.run([compiler, *flags, "-static", *target, str(CHECK), "-o", str(made)], check=True)
    done = subprocess.run([*emulator, str(made)], check=True, capture_output=True)
    return done.stderr.decode().strip(), np.frombuffer(done.stdout, np.float32)


@needs_arm
@pytest.mark.slow
def test_neon_computes_what_the_portable_kernels_do(tmp_path: Path) -> None:
    (tmp_path / "arm").mkdir()
    isa, neon = run(tmp_path / "arm", CROSS, ["-mcpu=neoverse-n1"], [EMULATOR])
    (tmp_path / "here").mkdir()
    portable_isa, portable = run(tmp_path / "here", find_compiler(), ["-O1"], [])
    assert (isa, portable_isa) == ("neon", "scalar")
    assert neon.shape == portable.shape
    spread = float(portable.std())
    assert np.abs(neon[:PRODUCTS] - portable[:PRODUCTS]).max() < 1e-5 * spread
    plain, coded = np.split(neon[PRODUCTS:] - portable[PRODUCTS:], 2)
    assert np.abs(plain).max() < 1e-3 * spread
    assert (
        np.sqrt(np.mean(coded**2)) < 0.05 * spread
    )  # a last bit more, and a value rounds to its other neighbour
