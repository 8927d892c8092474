"""The page about voices: its example speaks, and its tables are those of the code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

from hibari.voices import VOICES

from services.tts.manners import MANNERS
from services.tts.rendering import assemble
from services.tts.timing import align
from services.tts.voices import _LOADERS, FALLBACKS
from services.tts.voices.kokoro_files import kokoro_files
from shared.config import TtsSettings

PAGE = (Path(__file__).parents[2] / "docs" / "voice.md").read_text("utf-8")


def test_the_example_is_a_voice() -> None:
    names: dict[str, Any] = {}
    source = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert source
    exec(source[1], names)
    voice = names["HumVoice"]()
    made = assemble(list(voice.synthesize("Hello there, you.", 1.0, 2.0)), 1.0)
    assert [word.text for word in align(made.words, ["Hello", "there,", "you."])] == [
        "Hello",
        "there,",
        "you.",
    ]
    assert 0.5 < made.duration_s < 2.0
    assert {mouth.shape for mouth in made.mouths} == {"A", "closed"}
    assert abs(made.pcm).max() > 3000
    assert list(voice.synthesize("…", 1.0)) == list(voice.synthesize("", 1.0)) == []


def test_every_voice_has_its_row_and_its_fallback() -> None:
    choices = set(get_args(TtsSettings.model_fields["voice"].annotation))
    assert choices == set(_LOADERS) == {*FALLBACKS, "silent"}
    assert choices == set(re.findall(r"^\| `(\w+)`", PAGE, re.MULTILINE))


def test_every_speaker_is_named() -> None:
    assert set(re.findall(r"`([abj][fm]_[a-z]+)`", PAGE)) == set(kokoro_files().speakers)
    neural = PAGE.split("## Neural")[1].split("##")[0]
    assert set(re.findall(r"`([a-z]+)`", neural)) == set(VOICES)


def test_the_moods_are_as_the_page_says() -> None:
    assert (MANNERS["excited"].pace, MANNERS["excited"].semitones) == (1.1, 1.3)
    assert (MANNERS["sad"].pace, MANNERS["sad"].semitones) == (0.9, -1.2)
