"""Words and phrases that are neither answered nor voiced, found through capitals, leetspeak and spacing."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from shared.config import ConfigError, Section, load_toml, validate

BUILT_IN = Path(__file__).with_name("blocklist.toml")

_LEET = str.maketrans("013457@$!|€£", "oieastasiiel")
_HOMOGLYPHS = str.maketrans("асеорхуіѕјкмтвнԁɡαοε", "aceopxyisjkmtbhdgaoe")
"""Cyrillic and Greek letters that look like Latin ones."""
_ENDINGS = r"(?:s|es|ed|er|ers|ing|ings)?"
_SPELT_OUT = re.compile(r"\b\w(?:[\s._*\-]+\w\b){2,}")
_CENSORED = re.compile(r"\b\w[\w*#]*[*#][\w*#]*\w\b")


class BlocklistFile(Section):
    """The shape of `blocklist.toml`."""

    words: list[str] = Field(min_length=1)
    stems: list[str]
    allow: list[str]
    lewd: list[str]
    threats: list[str]
    self_harm_urging: list[str]
    self_harm: list[str]


@dataclass(frozen=True)
class Blocklist:
    """Compiled lists; `rule_for` is the only question asked of them."""

    listed: tuple[str, ...]
    words: re.Pattern[str]
    stems: re.Pattern[str]
    allow: re.Pattern[str]
    phrases: tuple[tuple[str, re.Pattern[str]], ...]
    """Rule name and expression, in the order in which they are tried."""

    def rule_for(self, text: str) -> str | None:
        """`lewd`, `threat`, `self_harm` or `profanity` when the text hits the list, else None."""
        spaced = _plain(text.translate(_HOMOGLYPHS))
        leet = _plain(text.casefold().translate(_HOMOGLYPHS).translate(_LEET))
        for rule, pattern in self.phrases:
            if pattern.search(spaced) or pattern.search(leet):
                return rule
        for starred in _CENSORED.findall(text.casefold()):
            hidden = re.compile(re.sub(r"[*#]", r"\\w", starred) + _ENDINGS)
            if any(hidden.fullmatch(word) for word in self.listed):
                return "profanity"
        for plain in {spaced, leet}:
            if self._is_profane(plain):
                return "profanity"
        return None

    def _is_profane(self, plain: str) -> bool:
        plain = self.allow.sub(" ", plain)
        joined = _SPELT_OUT.sub(lambda match: re.sub(r"\W", "", match.group()), plain)
        for candidate in {plain, joined, _squeeze(plain), _squeeze(joined)}:
            if self.words.search(candidate) or self.stems.search(candidate):
                return True
        pairs = zip(plain.split(), plain.split()[1:], strict=False)
        return any(len(a) + len(b) <= 8 and self.stems.fullmatch(a + b) for a, b in pairs)


def load_blocklist(extra: str = "") -> Blocklist:
    """The built-in list and, from the text file `extra`, one word or phrase a line (# starts a comment).

    Raises ConfigError in one sentence when a file cannot be read or an expression is malformed.
    """
    data = validate(BlocklistFile, load_toml(BUILT_IN), str(BUILT_IN))
    words = [_plain(word) for word in [*data.words, *(_read_lines(Path(extra)) if extra else [])]]
    phrases: list[tuple[str, re.Pattern[str]]] = []
    for rule, sources in (
        ("lewd", data.lewd),
        ("threat", data.threats),
        ("threat", data.self_harm_urging),
        ("self_harm", data.self_harm),
    ):
        try:
            phrases.append((rule, re.compile("|".join(sources))))
        except re.error as error:
            raise ConfigError(f"{BUILT_IN} has a malformed expression: {error}.") from None
    return Blocklist(
        listed=tuple(words),
        words=re.compile(rf"\b(?:{_alternatives(words)}){_ENDINGS}\b"),
        stems=re.compile(_alternatives(data.stems)),
        allow=re.compile(rf"\b(?:{_alternatives(data.allow)})\b"),
        phrases=tuple(phrases),
    )


def _read_lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise ConfigError(f"The block-list {path} cannot be read: {reason}.") from None
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def _alternatives(phrases: list[str]) -> str:
    # Longest first: an alternation takes the first that fits.
    escaped = (re.escape(phrase).replace(r"\ ", r"[\s\-]*") for phrase in phrases if phrase)
    return "|".join(sorted(escaped, key=len, reverse=True)) or r"(?!)"


def _plain(text: str) -> str:
    """Lower case, no accents, no invisible characters, apostrophes and punctuation as single spaces."""
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    kept = "".join(c for c in decomposed if unicodedata.category(c) not in ("Mn", "Me", "Cf"))
    kept = re.sub(r"(?<=\w)['’`](?=(?:s|d)\b)", "", kept)
    return " ".join(re.sub(r"[^\w]+|_", " ", kept).split())


def _squeeze(text: str) -> str:
    """`fuuuuck` as `fuck`."""
    return re.sub(r"(\w)\1{2,}", r"\1", text)
