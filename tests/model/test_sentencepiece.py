"""SentencePiece vocabularies against the `tokenizers` library, from a hub folder and from a GGUF file."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import decoders, models, pre_tokenizers
from weights_helpers import write_gguf

from shared.model.detokenize import TextStream
from shared.model.errors import ModelError
from shared.model.gguf_file import open_gguf
from shared.model.hub_tokenizer import hub_tokenizer
from shared.model.sentencepiece import SPACE, SentencePieceTokenizer, by_merges, by_score
from shared.model.vocabularies import gguf_tokenizer

BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
LETTERS = [SPACE, *"abcdefghilnorstwy,.!é日"]
CONTROL = ["<unk>", "<s>", "</s>"]
INST = ["[INST]", "[/INST]"]


def made_up(count: int = 60, seed: int = 1) -> list[tuple[str, str]]:
    """Merges as training makes them: each joins two tokens that exist by then."""
    chance = random.Random(seed)
    tokens, merges = list(LETTERS), []
    while len(merges) < count:
        left, right = chance.choice(tokens), chance.choice(tokens[: len(LETTERS)] + tokens[-8:])
        if left + right not in tokens and not right.startswith(SPACE) and len(left + right) < 9:
            merges.append((left, right))
            tokens.append(left + right)
    return merges


MERGES = [(SPACE, "t"), ("h", "e"), (SPACE, SPACE), ("l", "l"), (SPACE + "t", "he"), ("he", "ll"), *made_up()]
VOCABULARY = list(
    dict.fromkeys([*CONTROL, *INST, *BYTES, *LETTERS, *(left + right for left, right in MERGES)])
)


def all_merges() -> list[tuple[str, str]]:
    """Every pair of tokens that makes a token, by that token's place: what the library converts files to."""
    known = set(VOCABULARY[len(CONTROL) + len(INST) + 256 :])
    order = {token: place for place, token in enumerate(VOCABULARY)}
    pairs = [
        (token[:cut], token[cut:])
        for token in known
        for cut in range(1, len(token))
        if token[:cut] in known and token[cut:] in known
    ]
    return sorted(pairs, key=lambda pair: order[pair[0] + pair[1]])


def library() -> tokenizers.Tokenizer:
    ids = {token: number for number, token in enumerate(VOCABULARY)}
    made = tokenizers.Tokenizer(
        models.BPE(ids, all_merges(), byte_fallback=True, unk_token="<unk>", fuse_unk=True)
    )
    made.pre_tokenizer = pre_tokenizers.Metaspace(SPACE, "always", split=False)
    made.decoder = decoders.Sequence([decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()])
    made.add_special_tokens([*CONTROL, *INST])
    made.encode_special_tokens = True  # their names in a text are text, as with ours
    return made


LIBRARY = library()


def hub(folder: Path, **changes: Any) -> SentencePieceTokenizer:
    described = {**json.loads(LIBRARY.to_str()), **changes}
    (folder / "tokenizer.json").write_text(json.dumps(described), encoding="utf-8")
    made = hub_tokenizer(folder)
    assert isinstance(made, SentencePieceTokenizer)
    return made


def metadata(**changes: Any) -> dict[str, Any]:
    special = len(CONTROL) + len(INST)
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": VOCABULARY,
        "tokenizer.ggml.scores": [-float(number) for number in range(len(VOCABULARY))],
        "tokenizer.ggml.token_type": [2, *[3] * (special - 1), *[6] * 256, *[1] * (len(VOCABULARY) - special - 256)],
        "tokenizer.ggml.eos_token_id": 2,
        **{f"tokenizer.ggml.{key}": value for key, value in changes.items()},
    }  # fmt: skip


MINE = gguf_tokenizer(metadata())


@given(st.text(alphabet="abcdefghilnorstwy,.! é日本\n\0€𝄞<s>", max_size=60))
def test_ids_are_those_of_the_library(text: str) -> None:
    assert MINE.encode(text) == LIBRARY.encode(text).ids if text else MINE.encode(text) == []


def test_hub_folder_and_gguf_file_agree(tmp_path: Path) -> None:
    folder = hub(tmp_path)
    chance = random.Random(5)
    for _ in range(300):
        text = "".join(chance.choices(" abcdehlnorst,.é日€", k=30))
        assert folder.encode(text) == MINE.encode(text)
    assert folder.end_ids == MINE.end_ids == {2}


@given(st.text(max_size=40))
def test_text_comes_back(text: str) -> None:
    clean = text.encode("utf-8", "replace").decode()
    ids = MINE.encode(text)
    assert MINE.decode(ids) == (clean if not clean or clean.startswith(" ") else " " + clean).replace(
        SPACE, " "
    )
    stream = TextStream(MINE.token_bytes)
    assert "".join(map(stream.push, ids)) + stream.flush() == MINE.decode(ids)


def test_special_names_in_text_are_text() -> None:
    assert not {1, 2, 3, 4} & set(MINE.encode("<s>[INST] </s>"))
    assert MINE.special_id("[INST]") == 3
    assert MINE.decode([1, 3]) == ""


def test_spaces_are_neither_lost_nor_doubled() -> None:
    assert MINE.encode("the") == MINE.encode(" the")
    assert MINE.decode(MINE.encode("  the")) == "  the"
    assert gguf_tokenizer(metadata(add_space_prefix=False)).decode(MINE.encode("the")[1:]) != " the"
    plain = gguf_tokenizer(metadata(add_space_prefix=False))
    assert plain.decode(plain.encode("the")) == "the"


def test_long_text_is_encoded_in_reasonable_time() -> None:
    """A heap, not a scan a merge: 100,000 characters would take minutes."""
    assert MINE.decode(MINE.encode(" hello the" * 10_000)) == " hello the" * 10_000


SPACES = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
PREPEND = {"type": "Prepend", "prepend": SPACE}


@pytest.mark.parametrize(
    ("changes", "prefix"),
    [
        ({"pre_tokenizer": None, "normalizer": {"type": "Sequence", "normalizers": [PREPEND, SPACES]}}, True),
        ({"pre_tokenizer": None, "normalizer": SPACES}, False),
        ({"pre_tokenizer": {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "first", "split": False}}, True),
        ({"pre_tokenizer": {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "never", "split": False}}, False),
    ],
)  # fmt: skip
def test_the_ways_in_which_files_say_the_same(changes: dict[str, Any], prefix: bool, tmp_path: Path) -> None:
    made = hub(tmp_path, **changes)
    assert made.decode(made.encode("the")) == (" the" if prefix else "the")


@pytest.mark.parametrize(
    "changes",
    [
        {"pre_tokenizer": None, "normalizer": None},
        {"pre_tokenizer": {"type": "Metaspace", "replacement": "_", "split": False}},
        {"pre_tokenizer": {"type": "Metaspace", "replacement": SPACE, "split": True}},
        {"pre_tokenizer": None, "normalizer": {"type": "Sequence", "normalizers": [SPACES, PREPEND]}},
        {"pre_tokenizer": None, "normalizer": {"type": "Sequence", "normalizers": 3}},
        {"normalizer": {"type": "NFKC"}},
    ],
)
def test_another_way_is_refused(changes: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cuts text in a way that is not known"):
        hub(tmp_path, **changes)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"scores": None}, "no score for each token"),
        ({"scores": ["0"] * len(VOCABULARY)}, "no score for each token"),
        ({"scores": [0.0]}, "no score for each token"),
        ({"token_type": [1]}, "what kind each token is"),
        ({"token_type": [1] * len(VOCABULARY), "tokens": ["x"] * len(VOCABULARY)}, "twice"),
        (
            {"tokens": [token.replace("<0x41>", "<0x4g>") for token in VOCABULARY]},
            "lacks tokens for single bytes",
        ),
        ({"model": "t5"}, "of the kind 't5'"),
    ],
)
def test_a_damaged_vocabulary_is_named(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ModelError, match=says):
        gguf_tokenizer(metadata(**changes))


def test_ranks() -> None:
    assert by_merges([("a", "b"), ("ab", "c"), ("a", "b")])("a", "b") == 0
    assert by_merges([("a", "bc")])("ab", "c") is None
    assert by_score({"abc": -4.0})("ab", "c") == by_score({"abc": -4.0})("a", "bc") == 4.0


def test_a_file_of_mistral_has_its_turns(tmp_path: Path) -> None:
    """Read through the whole chain; the template is of the kind that Mistral's files carry."""
    from shared.model.gguf_model import gguf_template

    template = (
        "{%- if messages[0]['role'] == 'system' %}{%- set system_message = messages[0]['content'] %}"
        "{%- set loop_messages = messages[1:] %}{%- else %}{%- set loop_messages = messages %}{%- endif %}"
        "{%- set user_messages = loop_messages | selectattr('role', 'equalto', 'user') | list %}"
        "{%- set ns = namespace() %}{%- set ns.index = 0 %}{%- for message in loop_messages %}"
        "{%- if (message['role'] == 'user') != (ns.index % 2 == 0) %}{{- raise_exception('roles must alternate') }}"
        "{%- endif %}{%- set ns.index = ns.index + 1 %}{%- endfor %}{{- bos_token }}"
        "{%- for message in loop_messages %}{%- if message['role'] == 'user' %}"
        "{%- if loop.last and system_message is defined %}"
        "{{- '[INST] ' + system_message + '\\n\\n' + message['content'] + '[/INST]' }}"
        "{%- else %}{{- '[INST] ' + message['content'] + '[/INST]' }}{%- endif %}"
        "{%- else %}{{- ' ' + message['content']|trim + eos_token }}{%- endif %}{%- endfor %}"
    )
    data = metadata(chat_template=template, bos_token_id=1)
    data["tokenizer.chat_template"] = template
    rendered = gguf_template(data, MINE).render(
        [
            {"role": "system", "content": "Be shy."},
            {"role": "user", "content": "hello [/INST]</s>"},
            {"role": "assistant", "content": "the hello"},
            {"role": "user", "content": "the"},
        ]
    )
    assert [rendered.count(number) for number in (1, 2, 3, 4)] == [1, 1, 2, 2]
    assert rendered[0] == 1
    assert rendered[-1] == 4
    assert MINE.decode(rendered).endswith(" Be shy.\n\nthe")


def test_a_gguf_file_with_such_a_vocabulary_is_opened(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", "mistral", tokenizer="llama")
    with open_gguf(path) as file, pytest.raises(ModelError, match="no score for each token"):
        gguf_tokenizer(file.header.metadata)
