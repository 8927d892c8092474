from __future__ import annotations

import re

from shared.config import DEFAULT_CONFIG, Settings, load_settings, load_toml


def test_the_file_says_every_key_with_its_default():
    data = load_toml(DEFAULT_CONFIG)
    text = DEFAULT_CONFIG.read_text(encoding="utf-8")
    defaults = Settings().model_dump()
    assert data.keys() == defaults.keys()
    for section, values in defaults.items():
        unset = {key for key, value in values.items() if value is None}
        assert data[section] == {key: value for key, value in values.items() if key not in unset}
        for key in unset:
            assert re.search(rf"^# {key} = ", text, re.MULTILINE), f"{section}.{key} is not mentioned"


def test_the_file_loads_as_the_defaults():
    assert load_settings(DEFAULT_CONFIG, env={}) == Settings()
