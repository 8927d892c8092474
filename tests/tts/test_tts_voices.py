"""The real voices: they sound, in time, and say when each word does."""

from __future__ import annotations

import os
import re
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from services.tts.audio import SAMPLE_RATE_HZ, TARGET_RMS
from services.tts.child_process import start_child
from services.tts.rendering import Part, Rendering, assemble
from services.tts.speakable import speakable
from services.tts.timing import align
from services.tts.voices import Voice, VoiceError, load_voice
from services.tts.voices.phonemes import MAX_PHONEMES, stretches
from shared.config import TtsSettings
from shared.model.hub_name import HubName

SENTENCE = "Well, that is a lovely question, my friend."


loaded = cache(load_voice)
"""Each voice once for the whole file: they take a second to load."""


@pytest.fixture(params=["neural", "pyttsx3", "silent"])
def named_voice(request: pytest.FixtureRequest) -> tuple[str, Voice]:
    return request.param, loaded(request.param)


@pytest.fixture
def neural() -> Voice:
    return loaded("neural")


def render(voice: Voice, text: str, rate: float = 1.0) -> Rendering:
    return assemble(list(voice.synthesize(text, rate)), 1.0)


def test_a_sentence_has_an_ordinary_length_and_words_in_order(named_voice: tuple[str, Voice]) -> None:
    _, voice = named_voice
    made = render(voice, SENTENCE)
    assert 1.5 < made.duration_s < 4.0
    words = align(made.words, SENTENCE.split())
    assert [word.text for word in words] == SENTENCE.split()
    assert all(word.start_s < word.end_s <= made.duration_s + 0.001 for word in words)
    assert all(sooner.end_s <= later.start_s + 0.001 for sooner, later in pairwise(words))
    assert words[-1].end_s > made.duration_s - 0.3
    starts = [mouth.start_s for mouth in made.mouths]
    assert starts == sorted(starts)
    assert (made.mouths[-1].shape, made.mouths[-1].openness) == ("closed", 0.0)
    assert {mouth.shape for mouth in made.mouths} >= {"A", "closed"}


def test_it_sounds_even_without_clipping(named_voice: tuple[str, Voice]) -> None:
    name, voice = named_voice
    made = render(voice, SENTENCE)
    if name == "silent":
        assert not made.pcm.any()
        return
    level = made.pcm / 32768
    assert 0.3 < np.abs(level).max() < 0.96
    assert TARGET_RMS / 2.5 < np.sqrt(np.square(level).mean()) < TARGET_RMS * 1.5
    assert made.voiced_start_s <= 0.02, "nobody waits for silence"
    tail = level[-round(0.03 * SAMPLE_RATE_HZ) :]
    assert np.abs(tail).max() > 0.003, "the end is trimmed too"


def test_rate_changes_the_length(named_voice: tuple[str, Voice]) -> None:
    _, voice = named_voice
    slow, fast = render(voice, SENTENCE, 0.8).duration_s, render(voice, SENTENCE, 1.4).duration_s
    assert fast < 0.75 * slow


def test_words_of_the_neural_voice_sound_when_it_says_so(neural: Voice) -> None:
    made = render(neural, "Stop. Go.")
    level = np.abs(made.pcm.astype(float))
    stop, go = made.words
    gap = level[round(stop.end_s * SAMPLE_RATE_HZ) : round(go.start_s * SAMPLE_RATE_HZ)]
    during = level[round(go.start_s * SAMPLE_RATE_HZ) : round(go.end_s * SAMPLE_RATE_HZ)]
    assert during.mean() > 8 * gap[len(gap) // 4 : -len(gap) // 4].mean()


def test_the_mouth_of_the_neural_voice_closes_on_its_ms(neural: Voice) -> None:
    made = render(neural, "Mama")
    shapes = [mouth.shape for mouth in made.mouths]
    assert re.fullmatch(r"closed A closed [AE] closed", " ".join(shapes))


def test_numbers_are_said_and_come_back_to_what_is_written(neural: Voice) -> None:
    written = "It is 7:30 pm and costs $9.99 or 5 km."
    made = render(neural, written)
    assert {"seven", "thirty", "kilometers."} <= {word.text for word in made.words}
    words = align(made.words, written.split())
    assert [word.text for word in words] == written.split()
    assert all(word.end_s - word.start_s > 0.05 for word in words)


@pytest.mark.parametrize(
    "text",
    [
        "1" * 300,
        "9" * 40,
        "a1" * 300,
        "A.B." * 100,
        "e.g. " * 20,
        "((((",
        "- — -",
        "x",
        "Ω ½ ℃ ™",
        "[Akane](/x/)",
    ],
)
def test_odd_texts_do_not_break_the_neural_voice(neural: Voice, text: str) -> None:
    assert render(neural, speakable(text).text).duration_s < 60


def test_another_language_has_no_neural_sound(neural: Voice) -> None:
    assert list(neural.synthesize("こんにちは", 1.0)) == []


def test_long_sentences_are_cut_between_words() -> None:
    tokens = [(f"word{index}", "wˈɜɹd", True) for index in range(200)]
    cut = stretches(tokens, frozenset("wˈɜɹd "))
    assert len(cut) > 1
    assert all(len(stretch.signs) < MAX_PHONEMES + 20 for stretch in cut)
    assert [text for stretch in cut for text, _, _ in stretch.words] == [text for text, _, _ in tokens]
    for stretch in cut:
        assert {stretch.signs[first:last] for _, first, last in stretch.words} == {"wˈɜɹd"}


def test_pyttsx3_keeps_its_prints_to_itself_only_in_the_child(capfd: pytest.CaptureFixture[str]) -> None:
    """Why the child gives file descriptor 1 away: the library prints the name of every file."""
    voice = loaded("pyttsx3")
    parts: list[Part] = list(voice.synthesize("Hello", 1.0))
    assert parts
    assert "Audio saved" in capfd.readouterr().out


def test_espeak_reads_no_signs() -> None:
    voice: Any = loaded("pyttsx3")
    if voice._engine.driver_name != "espeak":
        pytest.skip("the system's voice reads numbers and units by itself")
    (part,) = voice.synthesize("5 km/h is ½ of ~10", 1.0)
    assert " ".join(word.text for word in part.words) == "5 kilometers per hour is one half of about 10"


def test_her_name_is_said_the_same_in_capitals(neural: Voice) -> None:
    shouted, named = (list(neural.synthesize(text, 1.0)) for text in ("AKANE", "Akane"))
    assert len(shouted[0].samples) == len(named[0].samples)


def test_a_voice_that_cannot_load_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(name: str, download_missing: bool = True) -> str:
        raise FileNotFoundError(2, os.strerror(2), "heart.onnx")

    monkeypatch.setattr("hibari.voices.voice_path", gone)
    with pytest.raises(VoiceError, match=r"neural voice cannot be loaded .*heart\.onnx"):
        load_voice("neural")


def test_an_unknown_speaker_is_told_who_there_is() -> None:
    with pytest.raises(VoiceError, match=r"no speaker 'nobody'.* heart, emma, fenrir, fable, kore$"):
        load_voice("neural", "nobody")


def test_another_speaker_is_fetched_by_its_hash_and_says_british_words(
    neural: Voice, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The file stands in for emma's, which has the same form; the phonemes follow the name."""
    from hibari.voices import VOICES, voice_path

    monkeypatch.setenv("HIBARI_HOME", str(tmp_path))
    asked: list[tuple[str, str | None]] = []

    def fetched(name: HubName, *, sha256: str | None, progress: object) -> Path:
        asked.append((str(name), sha256))
        return Path(voice_path("heart"))

    monkeypatch.setattr("shared.model.hub_fetch.ensure_hub", fetched)
    emma = load_voice("neural", "emma")
    assert asked == [("maureesewilliams/hibari:voices/bf_emma.int8.onnx", VOICES["emma"]["sha256"])]
    said, american = (
        b"".join(p.samples.tobytes() for p in v.synthesize("tomato", 1.0)) for v in (emma, neural)
    )
    assert said
    assert said != american


def test_a_speaker_that_cannot_be_fetched_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("HIBARI_HOME", "AKANE_CACHE"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("shared.model.hub_client.FIRST_PATIENCE", 1)
    with pytest.raises(VoiceError, match=r"^the neural voice cannot be loaded \(.+\)$"):
        load_voice("neural", "kore")


def test_a_plainer_voice_does_not_get_the_speaker_of_the_one_it_stands_in_for() -> None:
    settings = TtsSettings(voice="kokoro", speaker="jf_alpha")
    children = {voice: start_child(settings, lambda: None, voice) for voice in ("kokoro", "neural")}
    orders = {voice: psutil.Process(child.pid).cmdline()[-2:] for voice, child in children.items()}
    for child in children.values():
        child.kill()
    assert orders["kokoro"] == ["kokoro", "jf_alpha"]
    assert orders["neural"] == ["services.tts.engine_child", "neural"]
