from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import launcher
from shared import preflight
from shared.config import ConfigError, LauncherSettings, Settings, load_settings


def chosen(*flags: str, terminal: bool = True) -> tuple[Settings, list[str]]:
    arguments = launcher.parser().parse_args(flags)
    overrides = launcher.settings_of(arguments, terminal=terminal)
    settings = load_settings(arguments.config, overrides, env={})
    return settings, launcher.chosen_services(settings, arguments)


def test_the_whole_show_is_the_default():
    settings, services = chosen()
    assert services == LauncherSettings().services
    assert not settings.dashboard.plain
    assert not settings.input.stdin
    assert launcher.streams_of("dashboard", settings, drawn=True) == {"stdin", "stdout"}
    assert launcher.streams_of("input", settings, drawn=True) == set()
    assert launcher.streams_of("llm", settings, drawn=True) == set()


@pytest.mark.parametrize(("flags", "terminal"), [(["--plain"], True), ([], False)])
def test_plain_is_asked_for_or_follows_from_a_missing_terminal(flags, terminal):
    settings, services = chosen(*flags, terminal=terminal)
    assert settings.dashboard.plain
    assert settings.input.stdin
    assert "dashboard" in services
    assert launcher.streams_of("dashboard", settings, drawn=False) == {"stdout"}
    assert launcher.streams_of("input", settings, drawn=False) == {"stdin"}


def test_headless_has_no_interface_and_reads_nothing():
    settings, services = chosen("--headless")
    assert "dashboard" not in services
    assert not settings.input.stdin
    assert settings.dashboard.plain, "so that a script ends the show"


def test_a_script_takes_the_place_of_standard_input(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings, _ = chosen("--plain", "--script", "lines.txt")
    assert not settings.input.stdin
    assert settings.input.script == str(tmp_path / "lines.txt")


def test_flags_are_settings(tmp_path):
    settings, _ = chosen(
        *("--mute", "--audio-out", str(tmp_path), "--seed", "7", "--twitch", "akane", "--voice", "silent"),
        *("--device", "cpu", "--model", "smollm2-135m", "--set", "bus.publish=tcp://127.0.0.1:7800"),
    )
    assert settings.tts.mute
    assert (settings.tts.audio_out, settings.tts.voice) == (str(tmp_path), "silent")
    assert settings.director.seed == 7
    assert settings.input.twitch == "akane"
    assert (settings.llm.device, settings.llm.model) == ("cpu", "smollm2-135m")
    assert settings.bus.publish == "tcp://127.0.0.1:7800"


def test_only_and_without_choose_services_and_the_bus_is_always_there():
    assert chosen("--only", "dashboard,llm")[1] == ["bus", "llm", "dashboard"]
    assert chosen("--without", "llm, director")[1] == ["bus", *_left_of("llm", "director")]


@pytest.mark.parametrize(("cores", "with_voice", "alone"), [(1, 1, 1), (2, 1, 2), (8, 7, 8)])
def test_the_model_leaves_a_core_to_the_voice(monkeypatch, cores, with_voice, alone):
    monkeypatch.setattr(launcher, "physical_cores", lambda: cores)
    assert launcher.threads_beside(chosen("--headless")[1]) == with_voice
    assert launcher.threads_beside(chosen("--only", "llm,api")[1]) == alone


def _left_of(*left_out: str) -> list[str]:
    return [name for name in LauncherSettings().services[1:] if name not in left_out]


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--only", "lllm"], r"no service 'lllm' \(--only\): known are api, bus, "),
        (["--without", "nobody"], r"no service 'nobody' \(--without\)"),
        (["--without", "bus"], "not possible"),
        (["--set", "launcher.services=bus,nobody"], "no service 'nobody'"),
        (["--set", "llm.modle=x"], "did you mean 'model'"),
        (["--seed", "seven"], "director.seed"),
        (["--voice", "loud"], "tts.voice"),
        (["--config", "nowhere.toml"], "no file nowhere.toml"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(flags, sentence):
    with pytest.raises(ConfigError, match=sentence) as raised:
        chosen(*flags)
    assert "\n" not in str(raised.value)


@pytest.fixture
def busy_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_busy_port_names_its_holder(busy_port):
    settings = load_settings(None, [f"bus.subscribe=tcp://127.0.0.1:{busy_port}"], env={})
    with pytest.raises(preflight.NotReady, match=rf"{busy_port} is taken by process \d+ \("):
        preflight.require(settings, ["bus"])


def _free(**keys: str) -> Settings:
    ports = [f"bus.{key}=tcp://127.0.0.1:*" for key in ("publish", "subscribe", "commands")]
    return load_settings(None, [*ports, *(f"{key}={value}" for key, value in keys.items())], env={})


def test_what_the_services_would_stumble_over_is_said_before_they_start(tmp_path):
    gone = _free(**{"input.script": str(tmp_path / "none.txt")})
    with pytest.raises(preflight.NotReady, match=r"no script .*none\.txt"):
        preflight.require(gone, ["bus", "input"])
    preflight.require(gone, ["bus"])
    (tmp_path / "file").touch()
    folder = _free(**{"tts.audio_out": str(tmp_path / "file")})
    with pytest.raises(preflight.NotReady, match="audio-out"):
        preflight.require(folder, ["bus", "tts"])
    made = _free(**{"tts.audio_out": str(tmp_path / "new" / "folder")})
    preflight.require(made, ["bus", "tts"])
    assert (tmp_path / "new" / "folder").is_dir()


def test_findings_survive_a_librarys_chatter_and_a_crash_is_one(tmp_path):
    chatty = [
        sys.executable,
        "-c",
        "import json; print('hello from C'); print(json.dumps(dict(part='voice', ok=True, detail='neural')));"
        "print('{\"part\": 1}'); print('[1]')",
    ]
    broken = [sys.executable, "-c", "import sys; sys.exit('llm: no such model')"]
    findings = preflight.service_findings({"tts": chatty, "llm": broken}, {})
    assert [(each.part, each.ok, each.detail) for each in findings] == [
        ("voice", True, "neural"),
        ("llm", False, "llm: no such model"),
    ]


@pytest.fixture
def free_ports() -> list[str]:
    """Flags that put the bus on three ports which were free a moment ago."""
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    ports = [server.getsockname()[1] for server in servers]
    for server in servers:
        server.close()
    keys = ("publish", "subscribe", "commands")
    return [
        part
        for key, port in zip(keys, ports, strict=True)
        for part in ("--set", f"bus.{key}=tcp://127.0.0.1:{port}")
    ]


def _run(*arguments: str, cwd: Path, **kinds: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(Path(launcher.__file__)), *arguments]
    return subprocess.run(  # type: ignore[call-overload]
        command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, **kinds
    )


def test_bad_input_ends_with_one_sentence_and_status_2(tmp_path, busy_port):
    for flags in (["--only", "nobody"], ["--set", f"bus.commands=tcp://127.0.0.1:{busy_port}"]):
        ended = _run(*flags, cwd=tmp_path)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert len(ended.stderr.splitlines()) == 1
        assert ended.stderr.startswith("akane: ")


def test_an_unknown_model_is_refused_before_anything_starts(tmp_path, free_ports):
    begun = time.monotonic()
    ended = _run(*free_ports, "--model", "gpt-9", cwd=tmp_path)
    assert ended.returncode == 2
    assert "gpt-9" in ended.stderr
    assert "smollm2-135m" in ended.stderr
    assert time.monotonic() - begun < 20


def test_a_script_that_is_missing_is_refused(tmp_path, free_ports):
    ended = _run(*free_ports, "--script", "none.txt", cwd=tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1


def test_check_prints_one_fix_a_problem_and_fails(tmp_path, busy_port, free_ports):
    flags = ["--check", "--only", "bus", *free_ports, "--set", f"bus.publish=tcp://127.0.0.1:{busy_port}"]
    ended = _run(*flags, cwd=tmp_path)
    assert ended.returncode == 1
    row = next(line for line in ended.stdout.splitlines() if f"{busy_port} is taken" in line)
    assert row.startswith("!!")
    assert "or choose" in ended.stdout
    assert _run("--check", "--only", "bus", *free_ports, cwd=tmp_path).returncode == 0
    wrong = _run("--check", "--set", "llm.modle=x", cwd=tmp_path)
    assert wrong.returncode == 1
    assert "did you mean" in wrong.stdout


def test_a_missing_package_is_explained_or_the_checkouts_own_python_is_taken(tmp_path):
    """`python launcher.py` with a Python that has none of the packages."""
    bare = [sys.executable, "-I", "-S", "-c"]
    code = (
        "import sys; sys.path.insert(0, {root!r}); sys.argv = ['launcher.py']; from shared import bootstrap;"
    )
    code += "from pathlib import Path; bootstrap.ROOT = Path({clone!r});"
    code += "sys.exit(bootstrap.with_packages(ModuleNotFoundError(name='zmq')))"
    root = str(Path(launcher.__file__).parent)
    ended = subprocess.run(
        [*bare, code.format(root=root, clone=str(tmp_path))], capture_output=True, text=True, timeout=30
    )
    assert ended.returncode == 2
    assert "'zmq' is not installed" in ended.stderr
    own = tmp_path / ".venv" / "bin" / "python"
    own.parent.mkdir(parents=True)
    own.write_text("#!/bin/sh\necho own python: $*\n")
    own.chmod(0o755)
    ended = subprocess.run(
        [*bare, code.format(root=root, clone=str(tmp_path))], capture_output=True, text=True, timeout=30
    )
    assert ended.stdout == "own python: launcher.py\n"


def test_every_finding_can_be_read_back():
    rows = preflight.machine_findings()
    text = "\n".join(json.dumps(vars(row)) for row in rows)
    assert preflight.read_findings(text) == rows
