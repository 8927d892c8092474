"""The native engine's library: compiled once, never opened damaged, never an error without a compiler."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.model.native import NativeUnavailableError, build


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Path]:
    """An empty cache, and the libraries that were compiled into it."""
    monkeypatch.setenv("AKANE_CACHE", str(tmp_path))
    source = tmp_path / "source"
    source.mkdir()
    (source / "engine.cpp").write_text('extern "C" int answer() { return 42; }\n')
    monkeypatch.setattr(build, "SOURCE_DIR", source)
    made: list[Path] = []
    real = build._compile

    def counted(compiler: str, target: tuple[str, ...], path: Path) -> None:
        made.append(path)
        real(compiler, target, path)

    monkeypatch.setattr(build, "_compile", counted)
    return made


def test_compiles_once(compiled: list[Path]) -> None:
    assert build.load_library().answer() == 42
    assert build.load_library().answer() == 42
    assert len(compiled) == 1


def test_another_source_or_target_is_another_library(compiled: list[Path]) -> None:
    build.load_library()
    build.load_library(())
    (build.SOURCE_DIR / "engine.cpp").write_text('extern "C" int answer() { return 43; }\n')
    assert build.load_library().answer() == 43
    assert len(set(compiled)) == 3


@pytest.mark.parametrize("damage", ["cut", "changed", "no checksum"])
def test_a_damaged_library_is_compiled_again(compiled: list[Path], damage: str) -> None:
    path = build.library_path(build.find_compiler())
    build._compile(build.find_compiler(), build.NATIVE, path)
    whole = path.read_bytes()
    if damage == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage == "changed":
        path.write_bytes(whole[:-100] + bytes(100))
    else:
        path.with_suffix(".sha256").unlink()
    assert build.load_library().answer() == 42
    assert len(compiled) == 2


def test_no_compiler_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(NativeUnavailableError, match="no C\\+\\+ compiler was found"):
        build.load_library()


def test_a_source_that_does_not_compile_is_said_in_a_sentence(compiled: list[Path]) -> None:
    (build.SOURCE_DIR / "engine.cpp").write_text("this is not C++\n")
    with pytest.raises(NativeUnavailableError, match="cannot compile the native engine"):
        build.load_library()
    assert not compiled[0].exists()
