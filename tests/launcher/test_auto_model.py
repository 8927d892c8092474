"""`--model auto` is resolved once, by the launcher, so that a replaced service keeps the model of the show."""

from __future__ import annotations

import os

import pytest

import launcher
from shared.config import ROOT, LlmSettings, Settings
from shared.model.errors import ModelError
from shared.model.presets import preset_names

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def test_auto_becomes_the_name_of_a_preset(capfd: pytest.CaptureFixture[str]) -> None:
    settings = Settings(llm=LlmSettings(model="auto", device="cpu"))
    name = launcher.chosen_model(settings, ENVIRONMENT)
    assert name in preset_names()
    told = capfd.readouterr()
    assert told.err.startswith(f"auto chose {name} for ")
    assert told.out == ""


def test_a_device_that_is_not_there_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    settings = Settings(llm=LlmSettings(model="auto", device="toaster"))
    with pytest.raises(ModelError, match="name one with --model"):
        launcher.chosen_model(settings, ENVIRONMENT)
    assert "unknown device 'toaster'" in capfd.readouterr().err


def test_the_services_are_given_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(launcher, "chosen_model", lambda settings, environment: "smollm2-360m")
    monkeypatch.setattr(launcher.preflight, "require", lambda settings, services: None)
    monkeypatch.setattr(launcher.preflight, "weights_missing", lambda name: bool(asked.append(name)))
    monkeypatch.setattr(launcher, "open_run", lambda folder: folder)
    flags: list[list[str]] = []

    def show(specs: list[launcher.Spec], *_: object) -> object:
        flags.extend(list(spec.command) for spec in specs if spec.name == "llm")
        return type("Ended", (), {"run": lambda self: 0})()

    monkeypatch.setattr(launcher, "Show", show)
    monkeypatch.setattr(launcher, "_log_to", lambda path, level: None)
    assert launcher.main(["--headless", "--only", "llm", "--model", "auto"]) == 0
    assert asked == ["smollm2-360m"]
    assert flags[0].index("llm.model=smollm2-360m") > flags[0].index("llm.model=auto")
