"""The moods' training: what is learned, how it is judged, and what the committed file knows of the held-out part."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.config import ROOT
from shared.mood_model import load_mood_model
from training.dialogues import Dialogue, Turn, dialogue_files, read_dialogues
from training.mood import SHARE, Sound, fitted, guess, judged, last_reply, main, tagged_sentences
from training.splitting import split


def dialogue(reply: str, tagged: bool = False) -> Dialogue:
    turns = [
        Turn(role="assistant", content="Hello."),
        Turn(role="user", content="a"),
        Turn(role="user", content="b"),
    ]
    return Dialogue(id="x", mood="shy", tagged=tagged, turns=[*turns, Turn(role="assistant", content=reply)])


def test_a_dialogue_tells_the_mood_of_its_last_reply_and_tags_that_of_each_sentence() -> None:
    tagged = dialogue("[sad] Gone. [happy] Back!", tagged=True)
    assert last_reply(tagged) == Sound("Gone. Back!", "a b", "shy")
    assert tagged_sentences(tagged) == [Sound("Gone.", "", "sad"), Sound("Back!", "", "happy")]
    assert tagged_sentences(dialogue("Gone.")) == []


def test_what_was_learned_is_guessed_and_both_measures_count_every_mood() -> None:
    words = {"sad": "rain", "happy": "sun", "thinking": "maybe"}
    sounds = [Sound(f"{word} today", "", mood) for mood, word in words.items()] * 4
    model = fitted(sounds)
    assert [guess(model, Sound(f"the {word} again", "", "")) for word in words.values()] == list(words)
    accuracy, scores = judged(["sad", "sad", "shy"], ["sad", "shy", "shy"])
    assert accuracy == pytest.approx(2 / 3)
    assert (scores["sad"], scores["shy"], scores["happy"]) == (pytest.approx(2 / 3), pytest.approx(2 / 3), 0)


def test_the_directors_file_hears_moods_in_dialogues_that_it_has_not_learned() -> None:
    """The lexicon before it: accuracy 0.23, macro-F1 0.13. To always say happy: 0.34, 0.06."""
    _, held = split(read_dialogues(dialogue_files(["training/data/persona"], ROOT)), SHARE)
    path = ROOT / "services" / "director" / "moods.json"
    model = load_mood_model(path)
    accuracy, scores = judged([one.mood for one in held], [guess(model, last_reply(one)) for one in held])
    assert accuracy > 0.3
    assert sum(scores.values()) / len(scores) > 0.25
    assert path.stat().st_size < 300_000


def test_it_says_in_one_sentence_what_it_cannot_read_or_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "nothing"), "--out", str(tmp_path / "m.json")]) == 2
    assert "There are no dialogues" in capsys.readouterr().err
