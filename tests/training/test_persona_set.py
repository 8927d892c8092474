"""The committed dialogues keep to their rules, and the rules find what breaks them."""

from __future__ import annotations

from typing import Any

import pytest

from shared.config import ROOT, load_toml
from training.check_persona import figures, findings, main
from training.dialogues import Dialogue, dialogue_files, read_dialogues
from training.persona_rules import RULES
from training.splitting import split
from training.wording import distinct, groups, near_duplicates, words

FOLDER = "training/data/persona"


@pytest.fixture(scope="module")
def dialogues() -> list[Dialogue]:
    return read_dialogues(dialogue_files([FOLDER], ROOT))


def made(*replies: str, says: str = "hi there", **changes: Any) -> Dialogue:
    turns: list[dict[str, str]] = []
    for reply in replies:
        turns += [
            {"role": "user", "author": "Mia", "content": says},
            {"role": "assistant", "content": reply},
        ]
    values = {"id": "games-0001", "topic": "games", "mood": "happy", "viewers": ["Mia"], "turns": turns}
    return Dialogue.model_validate({**values, **changes})


def broken(dialogue: Dialogue) -> set[str]:
    return {name for name, rule in RULES.items() if list(rule(dialogue))}


def test_the_committed_set_keeps_every_rule(dialogues: list[Dialogue]) -> None:
    assert {name: found[:3] for name, found in findings(dialogues).items() if found} == {}
    assert len(dialogues) >= 1500
    assert len({dialogue.topic for dialogue in dialogues}) >= 20


def test_figures_are_those_of_the_set() -> None:
    one, other = made("Nice to see you, Mia!"), made("Fish are calm. Are you?", "Good.", id="games-0002")
    found = figures([one, other])
    assert found["dialogues"] == "2"
    assert found["messages and replies"] == "3 and 3"
    assert found["ending in a question"] == "33%"


@pytest.mark.parametrize(
    ("dialogue", "rule"),
    [
        (made("One. Two. Three. Four."), "short"),
        (made("word " * 36 + "."), "short"),
        (made("This does not end"), "whole"),
        (made("As an AI I like tea."), "hers"),
        (made("I am your assistant today."), "hers"),
        (made("Look at *this* here."), "plain"),
        (made("Akane: hello there."), "plain"),
        (made("[happy] Hello there."), "plain"),
        (made("Hello there.", tagged=True), "plain"),
        (made("Hello there.", mood="sleepy"), "in_order"),
        (made("Hello there.", viewers=["Leo"]), "in_order"),
        (made("Hello there.", says="a\x1b[31m b"), "as_received"),
        (made("Hello there.", memory="Leo has a parrot."), "remembered"),
    ],
)
def test_what_breaks_a_rule_is_found(dialogue: Dialogue, rule: str) -> None:
    assert broken(dialogue) == {rule}


def test_good_dialogues_break_none() -> None:
    assert broken(made("Nice to see you, Mia!", "Fish are calm. Are you?")) == set()
    assert broken(made("[happy] Nice! [sad] It rains.", tagged=True)) == set()
    assert broken(made("Kiwi is a fine parrot!", memory="Mia has a parrot called Kiwi.")) == set()


def test_a_reply_that_comes_again_is_found() -> None:
    one, other = made("Nice to see you, Mia!"), made("nice to see you mia", id="games-0002")
    assert findings([one, other])["no reply twice"] == ["nice to see you mia"]
    alike = (
        made("The cat sat on my warm keyboard again today."),
        made("The cat sat on my warm keyboard again tonight.", id="games-0002"),
    )
    assert len(findings(list(alike))["no near-duplicates"]) == 1


def test_near_duplicates_and_groups() -> None:
    texts = ["a b c d e", "x y z", "a b c d f", "hello", "Hello!", "p q r s"]
    assert [(a, b) for a, b, _ in near_duplicates(texts)] == [(3, 4), (0, 2)]
    assert groups(5, [(3, 4), (0, 3)]) == [0, 1, 2, 0, 0]
    assert distinct(["a b", "a c"], 1) == 0.75
    assert words("I’m HERE, ok?") == ["i'm", "here", "ok"]


def test_no_wording_is_on_both_sides_of_the_split(dialogues: list[Dialogue]) -> None:
    learned, held = split(dialogues, 0.05)
    assert len(learned) + len(held) == len(dialogues)
    assert 0.03 < len(held) / len(dialogues) < 0.08
    texts = [turn.content for one in (*learned, *held) for turn in one.turns]
    border = sum(len(one.turns) for one in learned)
    assert [(a, b) for a, b, _ in near_duplicates(texts) if a < border <= b] == []
    # What is held out stays held out when the set grows.
    fewer = split(dialogues[:-100], 0.05)[1]
    assert {one.id for one in fewer} <= {one.id for one in held}


def test_the_command_says_what_is_wrong(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "games.jsonl"
    path.write_text(made("This does not end").model_dump_json() + "\n", encoding="utf-8")
    assert main([str(tmp_path / "none.jsonl")]) == 2
    assert "There are no dialogues at" in capsys.readouterr().err


def test_no_held_out_message_stands_in_the_set(dialogues: list[Dialogue]) -> None:
    """But for a knock at the door, which is always said in the same words."""
    rows = load_toml(ROOT / "training" / "data" / "heldout" / "messages.toml")["message"]
    held = [row["text"] for row in rows if row["text"] not in ("", "knock knock")]
    learned = [turn.content for one in dialogues for turn in one.turns if turn.role == "user"]
    found = near_duplicates([*held, *learned])
    assert [(held[a], learned[b - len(held)]) for a, b, _ in found if a < len(held) <= b] == []
