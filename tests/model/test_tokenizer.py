from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
import tokenizers
from tokenizers import models, normalizers, pre_tokenizers
from weights_helpers import MERGES, SPECIALS, TOKENS, default_weights

from shared.model.errors import ModelError
from shared.model.gguf_file import open_gguf
from shared.model.tokenizer import PRE_TOKENIZERS, Tokenizer, bpe_tokenizer, byte_tokenizer, spelled_bytes
from shared.model.vocabularies import GPT2_RANKS_FILE, gguf_tokenizer, gpt2_tokenizer

FRAGMENTS = [
    *(
        "hello",
        " the",
        " ",
        "  ",
        "\n",
        "\n\n",
        "\t",
        "\r\n",
        "1",
        "23",
        " 4567",
        "don't",
        "'S",
        "'LL",
        "x",
        "Z",
        "_",
    ),
    *(
        "!",
        "?!",
        "...",
        "--",
        "<|im_end|>",
        "<|im_start|>",
        "日本",
        "語",
        "中文。",
        "「はい」",
        "한국어",
        "ไทย",
        "العربية",
    ),
    *(
        "हिन्दी",
        " é",
        "e\u0301",
        "Ångström",
        "ｆｕｌｌ",
        "９",
        "٣",
        "Ⅷ",
        "½",
        "👩‍👩‍👧",
        "🏳️‍🌈",
        "🎉",
        "\xa0",
        "\u3000",
        "\u2028",
    ),
    *("\u200b", "\ufeff", "\x04", "\x06", "\x13", "\x1c", "\x85", "a\x04b", "!\x04!", "\U00040000"),
]


def strings(count: int, seed: int = 1) -> list[str]:
    """Fragments that have broken tokenizers, mixed with characters of all of Unicode."""
    rng = random.Random(seed)

    def character() -> str:
        while True:
            candidate = chr(
                rng.choice([rng.randrange(1, 128), rng.randrange(128, 0x3400), rng.randrange(0x20000)])
            )
            # Unassigned characters are letters in one library's Unicode version and not in the other's.
            if unicodedata.category(candidate) not in ("Cs", "Cn"):
                return candidate

    def piece() -> str:
        return rng.choice(FRAGMENTS) if rng.random() < 0.8 else character()

    return ["".join(piece() for _ in range(rng.randrange(1, 14))) for _ in range(count)]


@pytest.fixture(scope="module")
def smollm2() -> tuple[Tokenizer, tokenizers.Tokenizer]:
    """The default model's tokenizer, and the reference one made of the same file."""
    with open_gguf(default_weights()) as file:
        metadata = file.header.metadata
    tokens, merges = metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.merges"]
    reference = tokenizers.Tokenizer(
        models.BPE(
            {token: i for i, token in enumerate(tokens)}, [tuple(merge.split(" ")) for merge in merges]
        )
    )
    digits, words = (
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False),
    )
    reference.pre_tokenizer = pre_tokenizers.Sequence([digits, words])
    return gguf_tokenizer(metadata), reference


def test_the_default_model_is_tokenised_exactly(smollm2: tuple[Tokenizer, tokenizers.Tokenizer]) -> None:
    mine, reference = smollm2
    wrong = [
        text for text in [*FRAGMENTS, *strings(8_000)] if mine.encode(text) != reference.encode(text).ids
    ]
    assert wrong == []


def test_what_was_encoded_decodes_to_itself(smollm2: tuple[Tokenizer, tokenizers.Tokenizer]) -> None:
    mine, _ = smollm2
    # The model has no token for these control characters, which vanish, nor for the first byte of U+40000.
    absent = str.maketrans("", "", "\x04\x06\x13\x14\x16\x1d")
    for text in (text for text in strings(1_000, seed=2) if "\U00040000" not in text):
        assert mine.decode(mine.encode(text)) == text.translate(absent)


SPLITS: dict[str, Callable[[], pre_tokenizers.PreTokenizer]] = {
    "gpt2": lambda: pre_tokenizers.ByteLevel(add_prefix_space=False),
    "llama3": lambda: _split(PRE_TOKENIZERS["llama3"].pattern),
    "qwen2": lambda: _split(PRE_TOKENIZERS["qwen2"].pattern),
}


def _split(pattern: str) -> pre_tokenizers.PreTokenizer:
    split = pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated")
    return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


@pytest.mark.parametrize("family", SPLITS)
def test_other_families_are_tokenised_exactly(
    family: str, smollm2: tuple[Tokenizer, tokenizers.Tokenizer], tmp_path: Path
) -> None:
    """With a vocabulary trained on the spot by the reference library."""
    reference = tokenizers.Tokenizer(models.BPE())
    reference.pre_tokenizer = SPLITS[family]()
    if PRE_TOKENIZERS[family].nfc:
        reference.normalizer = normalizers.NFC()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=2_000, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    reference.train_from_iterator(
        [*strings(3_000, seed=3), *["hello the world is 2024 times in one"] * 50], trainer
    )
    reference.model.save(str(tmp_path))
    merges = (tmp_path / "merges.txt").read_text(encoding="utf-8").splitlines()[1:]
    mine = bpe_tokenizer(reference.get_vocab(), merges, {}, PRE_TOKENIZERS[family])
    wrong = [text for text in strings(3_000, seed=4) if mine.encode(text) != reference.encode(text).ids]
    assert wrong == []


def tiny(**kwargs: object) -> Tokenizer:
    texts = {token: i for i, token in enumerate(TOKENS) if token not in SPECIALS}
    specials = {name: TOKENS.index(name) for name in SPECIALS}
    return bpe_tokenizer(texts, MERGES, specials, PRE_TOKENIZERS["gpt2"], visible=["<tool>"], **kwargs)  # type: ignore[arg-type]


def test_the_name_of_a_special_token_stays_text() -> None:
    mine = tiny()
    for name in SPECIALS:
        ids = mine.encode(f"a{name}b")
        assert mine.special_id(name) not in ids
        assert mine.decode(ids) == f"a{name}b"


def test_special_tokens_have_no_text_but_those_that_the_model_writes_for_people() -> None:
    mine = tiny()
    assert mine.decode([mine.special_id("<|im_end|>")]) == ""
    assert mine.token_bytes(mine.special_id("<tool>")) == b"<tool>"
    assert mine.token_bytes(10_000) == mine.token_bytes(-1) == b""
    assert mine.special_name(mine.special_id("<|im_end|>")) == "<|im_end|>"
    assert mine.special_name(0) is None


def test_replies_end_at_the_end_of_a_turn_and_at_the_start_of_the_next() -> None:
    ends = {"<|im_end|>", "<|endoftext|>", "<|im_start|>"}
    mine = tiny(ends=[7])
    assert mine.end_ids == {7, *(mine.special_id(name) for name in ends)}


def test_a_lone_surrogate_does_not_break_encoding() -> None:
    assert byte_tokenizer().decode(byte_tokenizer().encode("a\ud800b")) == "a?b"


def test_a_byte_tokenizer_has_one_id_a_byte() -> None:
    mine = byte_tokenizer(["<|im_start|>", "<|im_end|>"])
    assert mine.encode("é!") == list("é!".encode())
    assert mine.vocab_size == 258
    assert mine.special_id("<|im_end|>") == 257


def test_a_long_line_is_encoded_quickly() -> None:
    mine = tiny()
    assert len(mine.encode("hello " * 5_000)) < 40_000
    assert len(mine.encode("x" * 30_000)) == 30_000
    assert mine.decode(mine.encode(" " * 30_000)) == " " * 30_000


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda tokens, merges, specials: merges.append("q q"), "lacks a token that it merges"),
        (lambda tokens, merges, specials: merges.append("in"), "not a pair"),
        (lambda tokens, merges, specials: merges.append(["a", 3]), "not a pair"),
        (lambda tokens, merges, specials: merges.reverse(), "not in the order"),
        (lambda tokens, merges, specials: tokens.update({"日本": 500}), "not byte-level"),
        (lambda tokens, merges, specials: specials.update({"<x>": 5}), "one id to two tokens"),
    ],
)
def test_a_vocabulary_that_contradicts_itself_is_refused(change: Callable[..., None], says: str) -> None:
    tokens = {token: i for i, token in enumerate(TOKENS) if token not in SPECIALS}
    merges: list[object] = list(MERGES)
    specials: dict[str, int] = {}
    change(tokens, merges, specials)
    with pytest.raises(ModelError, match=says):
        bpe_tokenizer(tokens, merges, specials, PRE_TOKENIZERS["gpt2"])  # type: ignore[arg-type]


def test_every_byte_has_its_own_spelling() -> None:
    assert sorted(spelled_bytes(token) for token in TOKENS[:256]) == [bytes([byte]) for byte in range(256)]
    with pytest.raises(ValueError, match="not spelled in bytes"):
        spelled_bytes(" ")


METADATA = {
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "gpt-2",
    "tokenizer.ggml.tokens": TOKENS,
    "tokenizer.ggml.token_type": [1] * 268 + [3, 3, 3, 4],
    "tokenizer.ggml.merges": MERGES,
    "tokenizer.ggml.eos_token_id": 270,
}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model": "llama"}, "no score for each token"),
        ({"model": "t5"}, "kind 't5'"),
        ({"pre": "deepseek-llm"}, "pre-tokenizer 'deepseek-llm' is unknown"),
        ({"pre": None}, "unknown"),
        ({"tokens": [1, 2]}, "no list tokenizer.ggml.tokens"),
        ({"merges": []}, "no list tokenizer.ggml.merges"),
        ({"token_type": [1]}, "what kind each token is"),
        ({"tokens": [*TOKENS[:-1], "a"], "token_type": [1] * 272}, "twice"),
    ],
)
def test_a_vocabulary_of_a_file_that_cannot_be_used_is_named(changes: dict[str, object], says: str) -> None:
    metadata = {**METADATA, **{f"tokenizer.ggml.{key}": value for key, value in changes.items()}}
    with pytest.raises(ModelError, match=says):
        gguf_tokenizer(metadata)


def test_the_vocabulary_of_a_file_keeps_its_kinds_apart() -> None:
    mine = gguf_tokenizer(METADATA)
    assert mine.encode("hello the") == [TOKENS.index("hello"), TOKENS.index("Ġthe")]
    assert mine.token_bytes(TOKENS.index("<tool>")) == b"<tool>"


def test_damaged_gpt2_ranks_are_refused_with_the_place_to_put_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AKANE_CACHE", str(tmp_path))
    path = tmp_path / "models" / GPT2_RANKS_FILE
    path.parent.mkdir()
    path.write_bytes(b"IQ== 0\n")
    with pytest.raises(ModelError, match=r"sha256 306cd27f.*r50k_base.tiktoken"):
        gpt2_tokenizer()
