"""Personal data out of texts: what could reach or charge a person is replaced by words for it.

Words, not brackets: a placeholder in brackets would be learned and said.
"""

from __future__ import annotations

import re

from training.transcripts.function_words import FUNCTION_WORDS
from training.transcripts.report import Counted

_TOP = "com|net|org|io|tv|gg|de|fr|es|nl|pl|uk|jp|ru|br|eu|info|dev|xyz|ly"
"""Endings that make an address even without http; those that are words (me, it, be) need a path."""
_EMAIL = re.compile(
    r"\b[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}\b"
    rf"|\b[\w.+-]{{1,64}} @ [\w-]{{1,63}}\.(?:{_TOP})\b"
    rf"|\b[\w.+-]{{1,64}} ?[\[(]?\bat\b[\])]? ?(?!the\b)[\w-]{{1,63}} ?[\[(]?\bdot\b[\])]? ?(?:{_TOP})\b",
    re.IGNORECASE,
)
_URL = re.compile(
    rf"\b(?:https?://|www\.)\S+|\b(?:[\w-]{{1,63}}\.){{1,4}}(?:(?:{_TOP})\b(?:/\S*)?|[a-z]{{2,6}}/\S+)"
    rf"|\b(?!the\b)[\w-]{{2,63}} dot (?:com|net|org|tv|gg)\b(?: slash [\w-]+)*",
    re.IGNORECASE,
)
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b", re.IGNORECASE)
_CARD = re.compile(r"(?<![\d.])\d(?:[ -]?\d){12,18}(?![\d.])")
_IP = re.compile(
    r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])|\b(?:[0-9a-f]{1,4}:){5,7}[0-9a-f]{1,4}\b", re.IGNORECASE
)
_PHONE = re.compile(r"(?<![\w.,])(?:\+|00)?\(?\d(?:[ ()./-]{0,2}\d){6,18}(?!\w)")
_STREET = (
    "street|st|avenue|ave|road|rd|boulevard|blvd|lane|ln|(?-i:Drive|Dr|Court|Square|Terrace|Crescent|Place)"
)
_ADDRESS = re.compile(
    rf"\b\d{{1,5}}[a-z]?,? (?:[A-Za-z][\w'.-]{{1,25}} ){{1,3}}(?:{_STREET})\b(?:,? \d{{4,6}}\b)?"
    r"|\b[A-Z][\w'-]{1,30}(?:straße|strasse|str\.|weg|gasse|platz|allee) \d{1,4}[a-z]?\b"
    r"(?:,? \d{5}\b(?: [A-Z]\w+)?)?"
    r"|\b\d{1,4},? (?:rue|avenue|boulevard) (?:[\w'-]{1,25} ?){1,4}(?:,? \d{5}\b)?",
    re.IGNORECASE,
)


def _is_iban(text: str) -> bool:
    """ISO 13616: the first four characters moved behind, letters as 10 to 35, the number is 1 modulo 97."""
    packed = re.sub(r"\W", "", text).upper()
    moved = packed[4:] + packed[:4]
    return 15 <= len(packed) <= 34 and int("".join(str(int(one, 36)) for one in moved)) % 97 == 1


def _is_card(text: str) -> bool:
    """ISO/IEC 7812: Luhn's check digit."""
    digits = [int(one) for one in re.sub(r"\D", "", text)][::-1]
    return (sum(digits[::2]) + sum(sum(divmod(2 * one, 10)) for one in digits[1::2])) % 10 == 0


def _is_phone(text: str) -> bool:
    """Written like what is dialled: seven digits or more, and no amount, date, score or counting."""
    groups = re.findall(r"\d+", text)
    digits = "".join(groups)
    if re.fullmatch(
        r"\d{4}[./-]\d{1,2}[./-]\d{1,2}|\d{1,2}[./-]\d{1,2}[./-]\d{4}|\d{4} ?[-–/] ?\d{4}", text.strip()
    ):
        return False
    if digits.endswith("000000") or re.fullmatch(r"\d{1,3}(?:[ .]000)+", text.strip()):
        return False
    longest = max(map(len, groups))
    if longest == 1:  # read out one by one, unless it is a count
        return (
            len(digits) >= 9 and digits not in "01234567890123456789" and digits not in "98765432109876543210"
        )
    if text.lstrip().startswith(("+", "(", "0")):
        return True
    if len(groups) == 1:
        return 9 <= len(digits) <= 15
    return longest >= 3


def _is_address(text: str) -> bool:
    """`3 cars on the road` is none: the words between number and street are its name."""
    between = re.findall(r"[^\W\d]+", text)[:-1]
    return not any(word.lower() in FUNCTION_WORDS and not word[0].isupper() for word in between)


_KINDS = (
    ("e-mail address", _EMAIL, None, "an e-mail address"),
    ("address of the web", _URL, None, "a link"),
    ("account number", _IBAN, _is_iban, "an account number"),
    ("network address", _IP, None, "a network address"),
    ("card number", _CARD, _is_card, "a card number"),
    ("street address", _ADDRESS, _is_address, "an address"),
    ("phone number", _PHONE, _is_phone, "a phone number"),
)


def scrubbed(text: str, count: Counted) -> str:
    """The text without personal data; `count` is told the kind of each that was found."""
    for kind, pattern, holds, words in _KINDS:

        def instead(found: re.Match[str], kind: str = kind, holds=holds, words: str = words) -> str:  # type: ignore[no-untyped-def]
            if holds is not None and not holds(found[0]):
                return found[0]
            count(kind)
            return words

        text = pattern.sub(instead, text)
    return text
