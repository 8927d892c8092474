"""Text of subtitles and chat without what is not speech: markup, sounds, stutters, shouting."""

from __future__ import annotations

import html
import re

from shared.sanitize import clean_text

MAX_CHARS = 2000
_TAG = re.compile(r"</?[a-zA-Z0-9][^<>\n]{0,200}>|\{\\[^{}\n]{0,100}\}")
"""WebVTT's and SRT's tags, times of words among them, and the overrides of ASS that SRT files carry."""
CENSORED = re.compile(r"\[\s*_+\s*\]")
_SOUND = re.compile(r"\[[^\[\]\n]{0,80}\]|\([^()\n]{0,80}\)|（[^（）\n]{0,80}）|\*[a-z ]{2,40}\*|[♪♫🎵🎶]+")
_SUNG = re.compile(r"[♪♫][^♪♫]{1,300}[♪♫]")
_FILLER = re.compile(r"\b(?:u+h*m+|u+h+|e+r+m+|h+m+)\b[,.…]*\s*", re.IGNORECASE)
_SMALL = "i|a|an|the|and|to|of|in|it|it's|is|i'm|you|we|he|she|they|that's|but|so|my|your|or|for|with|if|what"
_STUTTER = re.compile(rf"\b({_SMALL})(?:[,…]?\s+\1\b)+", re.IGNORECASE)
_REPEATED = re.compile(r"\b([\w']{1,30})((?:[,.!…]*\s+\1\b){2,})", re.IGNORECASE)
_PAIR = re.compile(r"\b([\w']{1,30} [\w']{1,30} [\w']{1,30})(?:[,…]?\s+\1\b)+", re.IGNORECASE)
_ASKS = re.compile(
    r"(?:who|what|where|when|why|how|which|do|does|did|are|is|can|could|would|should|will|have) \w",
    re.IGNORECASE,
)
SENTENCE_END = (".", "!", "?", "…", "。", "！", "？", "~")


def unmarked(text: str) -> str:
    """Lines without tags and entities, each one printable; empty lines fall away."""
    # Twice: subtitles that went through two tools have &amp;gt; in them.
    lines = html.unescape(html.unescape(_TAG.sub("", text))).split("\n")
    return "\n".join(line for one in lines if (line := clean_text(_TAG.sub("", one), MAX_CHARS)))


def unsounded(text: str) -> str:
    """Without [Music], (laughs), *sighs*, notes and what is sung between notes."""
    return " ".join(_SOUND.sub(" ", _SUNG.sub(" ", text)).split())


def fluent(text: str) -> str:
    """Without um and uh, words said over and over once or twice, and a sentence's beginning and end.

    All capitals, as captions for the deaf have them, become small letters.
    """
    text = _FILLER.sub("", text)
    text = _PAIR.sub(r"\1", _REPEATED.sub(_twice, _STUTTER.sub(r"\1", text)))
    text = re.sub(r"\s+([,.!?…])", r"\1", " ".join(text.split())).strip(" -–,;")
    if is_shouted(text):
        text = re.sub(r"([.!?…]\s+)(\w)", lambda found: found[1] + found[2].upper(), text.lower())
    text = re.sub(r"\bi\b(?=$|[\s,.!?'])", "I", text)
    if not re.search(r"\w", text):
        return ""
    text = text[0].upper() + text[1:]
    if text.isascii() and not text.endswith((*SENTENCE_END, '"', ")")):
        text += "?" if _ASKS.match(text) and len(text) < 80 else "."
    return text


def is_shouted(text: str) -> bool:
    """More than four of five letters are capitals, in at least two words."""
    letters = [character for character in text if character.isalpha() and character.isascii()]
    return (
        len(letters) >= 8 and len(text.split()) >= 2 and sum(map(str.isupper, letters)) > 0.8 * len(letters)
    )


def _twice(found: re.Match[str]) -> str:
    """A word said three times or more: twice, with the first one's punctuation between."""
    first = re.match(r"[,.!…]*\s+\S+", found[2])
    assert first is not None
    return found[1] + re.sub(r"[,.!…]+$", "", first[0])
