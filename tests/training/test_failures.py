"""What counts as a failure, worked by hand; and the whole search on a tiny model."""

from __future__ import annotations

from pathlib import Path

import pytest
from training_helpers import DIALOGUES, tiny, write_dialogues

from benchmarks.random_adapter import random_adapter
from shared.model.adapter import save_adapter
from shared.model.loading import load_model
from training import failures as program
from training.dialogues import read_dialogues, read_records
from training.faults import Prompt, Said, faults, off_topic, pairs_of, prompts
from training.pairs import Pair
from training.talking import Line


def prompt(
    text: str = "do you like fishing?", chosen: str = "Fish and I are old friends, Mia.", **more: object
) -> Prompt:
    return Prompt("p-1", "games", Line("Mia", text, **more), chosen)  # type: ignore[arg-type]


def test_prompts_are_the_places_where_one_message_is_answered() -> None:
    found = {one.id: one for one in prompts(read_dialogues([DIALOGUES]), ["Sing  SOMETHING!"])}
    assert found["t-0001-1"].line == Line("Mia", "which game tonight?")
    assert found["t-0002-2"].line.history == (
        ("you", "I failed my exam.", "Ouch. Sit with me a while; the exam can wait outside."),
    )
    assert found["t-0002-2"].chosen == "Any time."
    assert found["t-0003-1"].line.text == ""
    assert found["t-0004-1"].line.memory == "Leo has a cat called Brick."
    for left_out in ("t-0005", "t-0006", "t-0009"):  # two at once, mood tags, a held-out message
        assert not any(name.startswith(left_out) for name in found)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("Fishing is the best game that I have.", []),
        ("fish and I are old friends, MIA", []),
        ("As an AI language model I like to fish.", ["no_assistant"]),
        ("I like to fish, Oscar.", ["no_invented_viewer"]),
        ("The best is that I like fish and the", ["ends_whole"]),
        ("I like the fish and I like the fish and I like the fish.", ["no_loop"]),
        ("That is a lovely thing to say!", ["off_topic"]),
    ],
)
def test_faults_are_the_rules_that_a_reply_breaks(reply: str, expected: list[str]) -> None:
    assert faults(prompt(), reply) == expected


def test_a_rule_that_the_sets_own_reply_breaks_is_none() -> None:
    japanese = prompt("こんばんは", "こんばんは!")
    assert "in_english" not in faults(japanese, "こんばんは、元気?")
    assert "in_english" in faults(prompt(), "こんばんは fishing")


def test_a_reply_is_off_topic_only_where_the_message_can_be_taken_up() -> None:
    assert off_topic(prompt(), "What a lovely thing.")
    assert not off_topic(prompt(), "I fished all night.")
    assert not off_topic(prompt(), "My old friends say no.")  # the set's own words
    assert not off_topic(prompt(memory="Mia rows a boat."), "Rows of boats, boat by boat.")
    assert not off_topic(prompt("ok", "Good night, sleep well."), "What a lovely thing.")


def test_a_reply_to_everybody_is_a_fault_and_none_is_kept_twice() -> None:
    one, other = prompt(), Prompt("p-2", "", Line("you", "sing about fishing"), "Fish, fish, in the sea.")
    same = "I like fishing so much."
    said = [Said(one, 1, same), Said(one, 2, same), Said(other, 1, f"{same} "), Said(other, 2, "")]
    pairs = pairs_of(said)
    assert [(pair.id, pair.why) for pair in pairs] == [
        ("p-1-1", "said_elsewhere"),
        ("p-2-1", "said_elsewhere"),
    ]
    assert (pairs[0].author, pairs[0].message) == ("Mia", "do you like fishing?")
    assert (pairs[0].chosen, pairs[0].rejected) == (one.chosen, same)
    assert pairs_of(said[:2]) == []


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny(tmp_path_factory.mktemp("model"))


def arguments(model: Path, out: Path, *more: str) -> list[str]:
    adapter = model.with_name("random.safetensors")
    if not adapter.exists():
        loaded = load_model(str(model), device="cpu", dtype="float32")
        save_adapter(adapter, random_adapter(loaded.model.config, base_hash=loaded.sha256, spread=0.01))
    given = {
        "--adapter": adapter,
        "--model": model,
        "--persona": model.with_name("persona.toml"),
        "--data": DIALOGUES,
        "--out": out,
    }
    return [*(str(part) for pair in given.items() for part in pair), *more]


def test_real_failures_become_pairs(tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "pairs.jsonl"
    assert program.main(arguments(model, out, "--draws", "2", "--limit", "5")) == 0
    pairs = read_records([out], Pair)
    told = capsys.readouterr().out
    assert f"{out}: {len(pairs)} faulty replies of 10" in told
    chosen = {
        turn.content for one in read_dialogues([DIALOGUES]) for turn in one.turns if turn.role == "assistant"
    }
    assert {pair.chosen for pair in pairs} <= chosen
    assert all(pair.why for pair in pairs)
    again = tmp_path / "again.jsonl"
    assert program.main(arguments(model, again, "--draws", "2", "--limit", "5")) == 0
    assert again.read_bytes() == out.read_bytes()
    assert program.main(arguments(model, out)) == 2
    assert "is there already" in capsys.readouterr().err


def test_what_was_found_before_ctrl_c_is_kept(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reply = program.Talker.reply
    asked: list[str] = []

    def interrupted(self: program.Talker, line: Line, seed: int) -> str:
        if len(asked) == 3:
            raise KeyboardInterrupt
        asked.append(line.text)
        return reply(self, line, seed)

    monkeypatch.setattr(program.Talker, "reply", interrupted)
    out = tmp_path / "pairs.jsonl"
    assert program.main(arguments(model, out)) == 130
    assert {pair.message for pair in read_records([out], Pair)} <= set(asked)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--draws", "0"], "'draws' in the arguments"),
        (["--adapter", "nowhere.safetensors"], "no adapter file"),
        (["--data", "nowhere.jsonl"], "no dialogues at"),
        (["--data", "TAGGED"], "no message that can be asked"),
    ],
)
def test_bad_input_gives_one_sentence(
    tmp_path: Path, model: Path, more: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if more[1] == "TAGGED":
        tagged = {"id": "a", "tagged": True, "turns": [{"role": "assistant", "content": "[happy] Hi!"}]}
        more[1:] = [str(write_dialogues(tmp_path / "d.jsonl", tagged, {**tagged, "id": "c"}))]
    assert program.main(arguments(model, tmp_path / "out.jsonl", *more)) == 2
    said = capsys.readouterr().err.strip()
    assert sentence in said
    assert "\n" not in said
    assert not (tmp_path / "out.jsonl").exists()
