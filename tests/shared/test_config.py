"""Settings: precedence, and one sentence that names key and file for everything wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.config import ConfigError, load_settings


def toml(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "stack.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_flag_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    path = toml(tmp_path, '[llm]\nmodel = "file"\nslots = 3\ncontext = 512\n')
    settings = load_settings(path, ["llm.model=flag"], {"AKANE_LLM_MODEL": "env", "AKANE_LLM_SLOTS": "4"})
    assert settings.llm.model == "flag"
    assert settings.llm.slots == 4
    assert settings.llm.context == 512
    assert settings.llm.device == "auto"


def test_values_are_read_by_type(tmp_path: Path) -> None:
    path = toml(tmp_path, "")
    settings = load_settings(
        path, ["tts.mute=true", "launcher.services=bus, llm", "director.seed=7", "tts.rate=1.5"], {}
    )
    assert settings.tts.mute is True
    assert settings.launcher.services == ["bus", "llm"]
    assert settings.director.seed == 7
    assert settings.tts.rate == 1.5


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[llm]\nmodle = 'x'", r"Unknown key 'llm.modle' in .*stack.toml: did you mean 'model'\?"),
        ("[lmm]\nmodel = 'x'", r"Unknown key 'lmm' in .*stack.toml: did you mean 'llm'\?"),
        (
            "[llm]\nslots = 'many'",
            r"The key 'llm.slots' in .*stack.toml is 'many': input should be a valid int",
        ),
        (
            "[llm]\nslots = 0",
            r"The key 'llm.slots' in .*stack.toml is 0: input should be greater than or equal to 1",
        ),
        ("[llm\n", r"stack.toml is not valid toml"),
        (b"[llm]\nmodel = '\xff'", r"stack.toml is not UTF-8"),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path: Path, text: str | bytes, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as caught:
        load_settings(toml(tmp_path, text), [], {})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("llm.modle=x", "Unknown key 'llm.modle' in --set: did you mean 'model'"),
        ("lmm.model=x", "Unknown section 'lmm' in --set: did you mean 'llm'"),
        ("model", "--set takes section.key=value"),
        ("tts.voice=opera", "The key 'tts.voice' in --set is 'opera'"),
    ],
)
def test_a_wrong_flag_is_one_sentence(override: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        load_settings(None, [override], {})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="There is no file .*nowhere.toml"):
        load_settings(tmp_path / "nowhere.toml", [], {})


def test_a_wrong_environment_variable_is_named() -> None:
    with pytest.raises(ConfigError, match="AKANE_LLM_SLOTS"):
        load_settings(None, [], {"AKANE_LLM_SLOTS": "lots"})


def test_a_password_of_the_wrong_type_is_not_shown(tmp_path):
    (tmp_path / "stack.toml").write_text("[obs]\npassword = 918273\n")
    with pytest.raises(ConfigError, match=r"'obs\.password'") as caught:
        load_settings(tmp_path / "stack.toml", env={})
    assert "918273" not in str(caught.value)
    assert "hunter2" not in repr(load_settings(env={"AKANE_OBS_PASSWORD": "hunter2"}).obs)


@pytest.mark.parametrize(
    "wrong",
    [
        "obs.address=127.0.0.1:4455",
        "obs.scenes=sleeping=Bed",
        "obs.items=thinking=Dots",
        "vmc.rate_hz=10",
        "vmc.address=9",
    ],
)
def test_the_bodies_settings_are_checked(wrong):
    with pytest.raises(ConfigError, match=wrong.split("=")[0]):
        load_settings(overrides=[wrong], env={})
