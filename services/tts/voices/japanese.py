"""Japanese text as phonemes of Kokoro's alphabet: words and readings by Open JTalk, morae by a table."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from services.tts.voices.phonemes import Token

_TABLE = """
    ァ a  ア a  ィ i  イ i  ゥ ɯ  ウ ɯ  ェ e  エ e  ォ o  オ o  カ ka  ガ ɡa  キ kʲi  ギ ɡʲi  ク kɯ
    グ ɡɯ  ケ ke  ゲ ɡe  コ ko  ゴ ɡo  サ sa  ザ ʣa  シ ɕi  ジ ʥi  ス sɨ  ズ zɨ  セ se  ゼ ʣe  ソ so
    ゾ ʣo  タ ta  ダ da  チ ʨi  ヂ ʥi  ツ ʦɨ  ヅ zɨ  テ te  デ de  ト to  ド do  ナ na  ニ ɲi  ヌ nɯ
    ネ ne  ノ no  ハ ha  バ ba  パ pa  ヒ çi  ビ bʲi  ピ pʲi  フ ɸɯ  ブ bɯ  プ pɯ  ヘ he  ベ be
    ペ pe  ホ ho  ボ bo  ポ po  マ ma  ミ mʲi  ム mɯ  メ me  モ mo  ャ ja  ヤ ja  ュ jɯ  ユ jɯ
    ョ jo  ヨ jo  ラ ɾa  リ ɾʲi  ル ɾɯ  レ ɾe  ロ ɾo  ヮ βa  ワ βa  ヰ i  ヱ e  ヲ o  ヴ vɯ  ヵ ka
    ヶ ke  ヷ va  ヸ vʲi  ヹ ve  ヺ vo  イェ je  ウィ βi  ウェ βe  ウォ βo  キェ kʲe  キャ kʲa
    キュ kʲɨ  キョ kʲo  ギャ ɡʲa  ギュ ɡʲɨ  ギョ ɡʲo  クァ kᵝa  クィ kᵝi  クェ kᵝe  クォ kᵝo
    グァ ɡᵝa  グィ ɡᵝi  グェ ɡᵝe  グォ ɡᵝo  シェ ɕe  シャ ɕa  シュ ɕɨ  ショ ɕo  ジェ ʥe  ジャ ʥa
    ジュ ʥɨ  ジョ ʥo  チェ ʨe  チャ ʨa  チュ ʨɨ  チョ ʨo  ヂャ ʥa  ヂュ ʥɨ  ヂョ ʥo  ツァ ʦa
    ツィ ʦʲi  ツェ ʦe  ツォ ʦo  ティ tʲi  テュ tʲɨ  ディ dʲi  デュ dʲɨ  トゥ tɯ  ドゥ dɯ  ニェ ɲe
    ニャ ɲa  ニュ ɲɨ  ニョ ɲo  ヒェ çe  ヒャ ça  ヒュ çɨ  ヒョ ço  ビャ bʲa  ビュ bʲɨ  ビョ bʲo
    ピャ pʲa  ピュ pʲɨ  ピョ pʲo  ファ ɸa  フィ ɸʲi  フェ ɸe  フォ ɸo  フュ ɸʲɨ  フョ ɸʲo  ミャ mʲa
    ミュ mʲɨ  ミョ mʲo  リャ ɾʲa  リュ ɾʲɨ  リョ ɾʲo  ヴァ va  ヴィ vʲi  ヴェ ve  ヴォ vo  ヴュ bʲɨ
    ヴョ bʲo
"""
"""Mora and phonemes, as the model was trained with them (misaki 0.7.4, Apache-2.0)."""
_PAIRS = _TABLE.split()
MORAE = dict(zip(_PAIRS[::2], _PAIRS[1::2], strict=True))
MARKS = dict(zip("、。，．？！：；…～「」", ",.,.?!:;…—“”", strict=True))

_SIGNS = [
    (re.compile(r"\b(\d{1,2}):(\d{2})\b", re.ASCII), r"\1時\2分"),
    (re.compile(r"\$(\d[\d,.]*)"), r"\1ドル"),
    (re.compile(r"€(\d[\d,.]*)"), r"\1ユーロ"),
    (re.compile(r"°C?"), "度"),
    (re.compile(r"(?<=\d)~(?=\d)"), "から"),
    (re.compile(r"[~≈](?=\d)"), "約"),
]
_SIGN_WORDS = str.maketrans({
    "×": "かける", "÷": "わる", "+": "プラス", "=": "イコール", "±": "プラスマイナス", "&": "アンド",
    "−": "マイナス", "½": "二分の一", "¼": "四分の一", "¾": "四分の三", "²": "の二乗", "³": "の三乗",
})  # fmt: skip
"""Open JTalk has no sound for these."""

_WRITTEN = re.compile(r"[\u3005-\u3007\u3040-\u30ff\u3400-\u9fff\uff66-\uff9f]")
LATIN = re.compile(r"[A-Za-z][A-Za-z'’-]*(?:[ ,]+[A-Za-z][A-Za-z'’-]*)*")
"""English words within Japanese text."""
_JOINED = frozenset(
    {("助動詞", "*"), ("助詞", "接続助詞"), ("動詞", "非自立"), ("動詞", "接尾"), ("名詞", "接尾")}
)
"""Kinds of words that are said as one with the word before them."""


def is_japanese(text: str) -> bool:
    """Whether kana or ideographs stand in it."""
    return bool(_WRITTEN.search(text))


def as_said(text: str) -> str:
    """Japanese text with the signs written out that Open JTalk passes over."""
    for pattern, instead in _SIGNS:
        text = pattern.sub(instead, text)
    return text.translate(_SIGN_WORDS)


def japanese(nodes: Iterable[dict[str, Any]]) -> list[Token]:
    """Tokens from what `pyopenjtalk.run_frontend` says of a text."""
    tokens: list[Token] = []
    for node in nodes:
        written = node["string"]
        if node["pos"] == "記号":
            said, joined = "".join(MARKS.get(mark, "") for mark in written), True
        else:
            said = from_kana(node["pron"].replace("’", ""))
            joined = (node["pos"], node["pos_group1"]) in _JOINED
        if joined and tokens:
            tokens[-1] = (*tokens[-1][:2], False)
        tokens.append((written, said, True))
    return tokens


def from_kana(reading: str) -> str:
    """Katakana as it is pronounced -> phonemes."""
    signs = ""
    at = 0
    while at < len(reading):
        length = 2 if reading[at : at + 2] in MORAE else 1
        mora = reading[at : at + length]
        at += length
        if mora == "ー":
            signs += "ː"
        elif mora == "ッ":
            signs += "ʔ"
        elif mora == "ン":
            following = MORAE.get(reading[at : at + 2]) or MORAE.get(reading[at : at + 1], "")
            signs += _nasal(following)
        else:
            signs += MORAE.get(mora, "")
    return signs


def _nasal(following: str) -> str:
    """ん takes its place from the sound after it."""
    for starts, sign in (("mpb", "m"), ("kɡ", "ŋ"), ("ɲʨʥ", "ɲ"), ("ntdɾz", "n")):
        if following[:1] and following[0] in starts:
            return sign
    return "ɴ"
