"""Tokenizer and chat template of a hub folder, from `tokenizer.json` and its companions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from shared.model.chat_template import MAX_SOURCE_CHARS, ChatTemplate, choose_template
from shared.model.errors import ModelError
from shared.model.json_file import read_json
from shared.model.sentencepiece import SPACE, SentencePieceTokenizer, by_merges
from shared.model.tokenizer import PRE_TOKENIZERS, PreTokenizer, Tokenizer, bpe_tokenizer, merge_pair


def hub_tokenizer(folder: Path) -> Tokenizer:
    """Tokenizer of a hub folder, if it is byte-level BPE of a known kind. Raises ModelError."""
    path = folder / "tokenizer.json"
    described = read_json(path)
    model, added = described.get("model"), described.get("added_tokens", [])
    if not isinstance(model, dict) or model.get("type", "BPE") != "BPE":
        raise ModelError(f"{path} is not byte-level BPE: this model's vocabulary cannot be used.")
    vocabulary, merges = model.get("vocab"), model.get("merges")
    if not _ids(vocabulary) or not isinstance(merges, list) or not isinstance(added, list):
        raise ModelError(f"{path} lacks its vocabulary or merges: take another copy.")
    specials: dict[str, int] = {}
    visible: list[str] = []
    for token in added:
        name, number = (token.get("content"), token.get("id")) if isinstance(token, dict) else (None, None)
        if not isinstance(name, str) or not name or type(number) is not int or number < 0:
            raise ModelError(f"{path} has an added token without text or id: take another copy.")
        specials[name] = number
        if not token.get("special", False):
            visible.append(name)
    assert isinstance(vocabulary, dict)
    if model.get("byte_fallback"):
        return SentencePieceTokenizer(
            {token: number for token, number in vocabulary.items() if token not in specials},
            specials,
            by_merges(merge_pair(merge) for merge in merges),
            space_prefix=_space_prefix(described, path),
            visible=visible,
            ends=_end_ids(folder, specials),
        )
    return bpe_tokenizer(
        {token: number for token, number in vocabulary.items() if token not in specials},
        merges,
        specials,
        _pre_tokenizer(described, path),
        visible=visible,
        ends=_end_ids(folder, specials),
    )


def hub_template(folder: Path, tokenizer: Tokenizer) -> ChatTemplate:
    """The folder's chat template (`chat_template.jinja` first), or what suits it. Raises ModelError."""
    config = _optional(folder / "tokenizer_config.json")
    source = config.get("chat_template")
    if isinstance(source, list):
        named = [item for item in source if isinstance(item, dict) and item.get("name") == "default"]
        source = named[0].get("template") if named else None
    file = folder / "chat_template.jinja"
    if file.exists():
        if file.stat().st_size > 4 * MAX_SOURCE_CHARS:
            raise ModelError(f"{file} is too long for a chat template: take another copy.")
        source = file.read_text(encoding="utf-8", errors="replace")
    if source is not None and not isinstance(source, str):
        raise ModelError(f"{folder / 'tokenizer_config.json'} has a chat template that is not a text.")
    bos, eos = _token_text(config.get("bos_token")), _token_text(config.get("eos_token"))
    return choose_template(tokenizer, source, bos_token=bos, eos_token=eos)


def _pre_tokenizer(described: Mapping[str, Any], path: Path) -> PreTokenizer:
    normalizer = described.get("normalizer")
    if normalizer not in (None, {"type": "NFC"}):
        raise ModelError(f"{path} normalises text in a way that is not supported: this model cannot be used.")
    pre = described.get("pre_tokenizer")
    listed = pre.get("pretokenizers") if isinstance(pre, dict) and pre.get("type") == "Sequence" else [pre]
    plain = isinstance(listed, list) and all(isinstance(step, dict) for step in listed)
    steps: list[dict[str, Any]] = listed if plain else []  # type: ignore[assignment]
    kinds = [step.get("type") for step in steps]
    last = steps[-1] if steps else {}
    family = None
    if kinds and kinds[-1] == "ByteLevel" and not last.get("add_prefix_space", True):
        cuts_words = last.get("use_regex", True)
        if kinds == ["ByteLevel"] and cuts_words:
            family = PRE_TOKENIZERS["gpt2"]
        elif kinds == ["Digits", "ByteLevel"] and cuts_words and steps[0].get("individual_digits"):
            family = PRE_TOKENIZERS["smollm"]
        elif kinds == ["Split", "ByteLevel"] and not cuts_words and _isolates(steps[0]):
            pattern = steps[0].get("pattern")
            regex = pattern.get("Regex") if isinstance(pattern, dict) else None
            family = next((known for known in PRE_TOKENIZERS.values() if known.pattern == regex), None)
    if family is None:
        raise ModelError(f"{path} cuts text in a way that is not known here: this model cannot be used.")
    whole_pieces = described["model"].get("ignore_merges") is True
    return replace(family, nfc=normalizer is not None, whole_pieces=whole_pieces)


def _space_prefix(described: Mapping[str, Any], path: Path) -> bool:
    """Whether a space is put before text; SentencePiece files differ in nothing else that is known here."""
    normalizer, pre = described.get("normalizer"), described.get("pre_tokenizer")
    replace_spaces = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
    if pre is None and isinstance(normalizer, dict):
        steps = normalizer.get("normalizers") if normalizer.get("type") == "Sequence" else [normalizer]
        if steps == [{"type": "Prepend", "prepend": SPACE}, replace_spaces]:
            return True
        if steps == [replace_spaces]:
            return False
    if normalizer is None and isinstance(pre, dict) and pre.get("type") == "Metaspace":
        scheme = pre.get("prepend_scheme", "always" if pre.get("add_prefix_space", True) else "never")
        if pre.get("replacement") == SPACE and not pre.get("split", True) and isinstance(scheme, str):
            return scheme != "never"
    raise ModelError(f"{path} cuts text in a way that is not known here: this model cannot be used.")


def _isolates(step: Mapping[str, Any]) -> bool:
    return step.get("behavior") == "Isolated" and not step.get("invert", False)


def _end_ids(folder: Path, specials: Mapping[str, int]) -> list[int]:
    eos = _token_text(_optional(folder / "tokenizer_config.json").get("eos_token"))
    ends = [specials[eos]] if eos in specials else []
    for name in ("generation_config.json", "config.json"):
        given = _optional(folder / name).get("eos_token_id")
        ends += [
            end for end in (given if isinstance(given, list) else [given]) if type(end) is int and end >= 0
        ]
    return ends


def _optional(path: Path) -> dict[str, Any]:
    return read_json(path) if path.exists() else {}


def _token_text(token: object) -> str:
    if isinstance(token, dict):
        token = token.get("content")
    return token if isinstance(token, str) else ""


def _ids(vocabulary: object) -> bool:
    return isinstance(vocabulary, dict) and all(type(n) is int and n >= 0 for n in vocabulary.values())
