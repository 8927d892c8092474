"""Byte-level BPE tokenizers on tiktoken; text from people never turns into special tokens."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import regex  # type: ignore[import-untyped]
import tiktoken

from shared.model.config import MAX_SIZES
from shared.model.errors import ModelError


@dataclass(frozen=True)
class PreTokenizer:
    """How text is cut into pieces before merging, one per family."""

    pattern: str
    nfc: bool = False
    """Text is first brought to Unicode's composed form."""
    whole_pieces: bool = False
    """A piece that is a token is taken even if no merge leads to it (the library's `ignore_merges`)."""


_WORDS = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+"
_REST = r"| ?[^\s\p{L}\p{N}]+"
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PRE_TOKENIZERS = {
    "gpt2": PreTokenizer(rf"{_WORDS}| ?\p{{N}}+{_REST}|\s+(?!\S)|\s+"),
    # Digits are split off before white space is looked at, hence white space before a digit is whole.
    "smollm": PreTokenizer(rf"\p{{N}}|{_WORDS}{_REST}|\s+(?=\p{{N}})|\s+(?!\S)|\s+"),
    "llama3": PreTokenizer(_LLAMA3 % "{1,3}", whole_pieces=True),
    "qwen2": PreTokenizer(_LLAMA3 % "", nfc=True),
}

END_NAMES = ("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "</s>")
"""Tokens that end a reply wherever they exist."""
START_NAMES = ("<|im_start|>", "<|start_header_id|>")
"""Tokens that begin someone's turn: when the model writes one, its own reply is over."""


class Tokenizer:
    """Text to ids and back: `ranks` are the mergeable tokens, `specials` those that only templates write.

    Ids from `vocab_size` on, and gaps below it, have no token: they decode to nothing.
    """

    def __init__(
        self,
        ranks: Mapping[bytes, int],
        specials: Mapping[str, int],
        pre: PreTokenizer,
        *,
        decode_only: Mapping[bytes, int] | None = None,
        visible: Iterable[str] = (),
        ends: Iterable[int] = (),
    ) -> None:
        """`decode_only` tokens are never produced; `visible` specials have text; `ends` adds to `end_ids`."""
        self.decode_only = others = dict(decode_only or {})
        ids = [*ranks.values(), *specials.values(), *others.values()]
        if not ids or len(set(ids)) != len(ids) or min(ids) < 0:
            raise ModelError("The model's vocabulary gives one id to two tokens: take another file.")
        self.vocab_size = max(ids) + 1
        if self.vocab_size > MAX_SIZES["vocab_size"]:
            raise ModelError(f"The model's vocabulary has the id {max(ids)}: take another file.")
        self.specials = dict(specials)
        self._bytes = [b""] * self.vocab_size
        for token, number in [*ranks.items(), *others.items()]:
            self._bytes[number] = token
        for name in visible:
            self._bytes[specials[name]] = name.encode("utf-8", "replace")
        known = [specials[name] for name in END_NAMES + START_NAMES if name in specials]
        self.end_ids = frozenset([*known, *ends])
        self.pre = pre
        self._absent = bytes(byte for byte in range(256) if bytes([byte]) not in ranks)
        # tiktoken wants a rank for every byte; those above the vocabulary are filtered out again.
        filler = {bytes([byte]): self.vocab_size + byte for byte in self._absent}
        self._encoding = tiktoken.Encoding(
            "akane", pat_str=pre.pattern, mergeable_ranks={**ranks, **filler}, special_tokens={}
        )

    def encode(self, text: str) -> list[int]:
        """Ids of `text`, in which a special token's name is text like any other."""
        text = text.encode("utf-8", "replace").decode("utf-8")
        if self.pre.nfc:
            text = unicodedata.normalize("NFC", text)
        if not self._absent or not _has_any(text.encode(), self._absent):
            return self._encoding.encode_ordinary(text)
        return [
            number for piece in self._pieces(text) for number in self._encoding._encode_single_piece(piece)
        ]

    def _pieces(self, text: str) -> Iterable[bytes]:
        """Pieces without the bytes that have no token: what is left of a piece merges across the gap."""
        for match in regex.finditer(self.pre.pattern, text):
            piece = match.group().encode().translate(None, self._absent)
            if piece:
                yield piece

    def decode(self, ids: Iterable[int]) -> str:
        """Text of `ids`; specials have none, broken characters become U+FFFD."""
        return b"".join(map(self.token_bytes, ids)).decode("utf-8", "replace")

    def token_bytes(self, token_id: int) -> bytes:
        """Bytes that one id adds to the text: none for a special and for an id without a token."""
        return self._bytes[token_id] if 0 <= token_id < self.vocab_size else b""

    def special_id(self, name: str) -> int:
        """Id of a special token. Raises KeyError when the model has none of that name."""
        return self.specials[name]

    def special_name(self, token_id: int) -> str | None:
        """Name of a special token's id, None for any other id."""
        return next((name for name, number in self.specials.items() if number == token_id), None)


def _has_any(data: bytes, wanted: bytes) -> bool:
    return len(data.translate(None, wanted)) != len(data)


def byte_tokenizer(specials: Sequence[str] = ()) -> Tokenizer:
    """One id a byte, then the specials: for models too small to deserve a vocabulary."""
    ranks = {bytes([byte]): byte for byte in range(256)}
    return Tokenizer(ranks, {name: 256 + i for i, name in enumerate(specials)}, PRE_TOKENIZERS["gpt2"])


def _byte_letters() -> dict[int, int]:
    """GPT-2's spelling of bytes as printable characters, as a `str.translate` table back to Latin-1."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in plain]
    unused = dict.fromkeys(rest, 0xFFFD)
    return {**unused, **{byte: byte for byte in plain}, **{256 + i: byte for i, byte in enumerate(rest)}}


_LETTERS = _byte_letters()


def spelled_bytes(token: str) -> bytes:
    """Bytes of a token in GPT-2's spelling. Raises ValueError when it is not in that spelling."""
    try:
        return token.translate(_LETTERS).encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError(f"{token[:40]!r} is not spelled in bytes") from None


def bpe_tokenizer(
    tokens: Mapping[str, int],
    merges: Sequence[str] | Sequence[Sequence[str]],
    specials: Mapping[str, int],
    pre: PreTokenizer,
    *,
    visible: Iterable[str] = (),
    ends: Iterable[int] = (),
) -> Tokenizer:
    """Tokenizer from a vocabulary in GPT-2's spelling and its merges, best first ("a b" or pairs).

    tiktoken knows no merges: it merges towards the lowest id. That is the same as long as ids grow with the
    merges, which is checked. Raises ModelError when it does not hold or the vocabulary contradicts itself.
    """
    made: set[str] = set()
    last = -1
    for merge in merges:
        left, right = merge_pair(merge)
        number = tokens.get(left + right, -1)
        if number < 0 or left not in tokens or right not in tokens:
            raise ModelError("The model's vocabulary lacks a token that it merges: take another file.")
        if left + right in made and number != last:
            continue
        if number < last:
            raise ModelError("The model's merges are not in the order of its tokens, which is not supported.")
        made.add(left + right)
        last = number
    ranks: dict[bytes, int] = {}
    unreachable: dict[bytes, int] = {}
    try:
        for token, number in tokens.items():
            spelled = spelled_bytes(token)
            reachable = len(spelled) == 1 or token in made or pre.whole_pieces
            (ranks if reachable else unreachable)[spelled] = number
    except ValueError as error:
        raise ModelError(f"The model's vocabulary is not byte-level ({error}): it cannot be used.") from None
    return Tokenizer(ranks, specials, pre, decode_only=unreachable, visible=visible, ends=ends)


def merge_pair(merge: str | Sequence[str]) -> tuple[str, str]:
    """The two sides of a merge, which comes as "a b" or as a pair. Raises ModelError."""
    if isinstance(merge, str) and merge.count(" ") == 1:
        left, _, right = merge.partition(" ")
        return left, right
    if isinstance(merge, (list, tuple)) and len(merge) == 2 and all(isinstance(part, str) for part in merge):
        return merge[0], merge[1]
    raise ModelError(f"The model's vocabulary has the merge {str(merge)[:40]!r}, which is not a pair.")
