"""English as it is said: signs, units and numbers written out, hibari's normaliser in the middle.

The neural voices and espeak get it, which read signs as signs; `timing.align` leads back to what is written.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

Rule = tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]

_ROMAN = re.compile(r"X{0,3}(?:IX|IV|V?I{0,3})")
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10}
_FRACTIONS = {
    "½": "one half", "⅓": "one third", "⅔": "two thirds", "¼": "one quarter", "¾": "three quarters",
    "⅕": "one fifth", "⅖": "two fifths", "⅗": "three fifths", "⅘": "four fifths", "⅙": "one sixth",
    "⅚": "five sixths", "⅛": "one eighth", "⅜": "three eighths", "⅝": "five eighths", "⅞": "seven eighths",
}  # fmt: skip
_POWERS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_SIGNS = {
    "≈": "about", "~": "about", "≤": "at most", "≥": "at least", "≠": "is not", "∞": "infinity",
    "√": "root of", "№": "number", "→": "to", "←": "from", "−": "minus", "‰": "per mille", "∑": "sum of",
    "∆": "delta",
}  # fmt: skip
SPOKEN_SIGNS = "".join(_SIGNS) + "".join(_FRACTIONS) + "⁰¹²³⁴⁵⁶⁷⁸⁹⁻×÷±°^<>*§µ"
"""Signs with a reading, here or in hibari's table; all others are left out before."""
_UNITS = {
    "m": "meter", "g": "gram", "l": "liter", "L": "liter", "h": "hour", "dB": "decibel",
    "px": "pixel", "kcal": "calorie", "m²": "square meter", "km²": "square kilometer",
    "cm²": "square centimeter",
    "m³": "cubic meter", "cm³": "cubic centimeter", "KiB": "kibibyte", "MiB": "mebibyte", "GiB": "gibibyte",
}  # fmt: skip
"""Said in the plural after any number but one; hibari knows the commoner ones."""
_RATES = {
    "m/s": "meters per second", "MB/s": "megabytes per second", "GB/s": "gigabytes per second",
    "kB/s": "kilobytes per second", "KB/s": "kilobytes per second", "Mbit/s": "megabits per second",
    "Gbit/s": "gigabits per second", "tok/s": "tokens per second", "FPS": "frames per second",
    "bpm": "beats per minute", "BPM": "beats per minute", "rpm": "turns per minute",
    "RPM": "turns per minute",
}  # fmt: skip
_MULTIPLES = {"k": "thousand", "K": "thousand", "M": "million", "B": "billion", "x": "times", "X": "times"}
_RESOLUTIONS = frozenset(("2K", "4K", "5K", "8K", "3B"))
_CURRENCIES = {
    "$": ("dollar", "dollars", "cent"), "€": ("euro", "euros", "cent"), "£": ("pound", "pounds", "penny"),
}  # fmt: skip
_SHOUTED = frozenset((
    "A", "AM", "AN", "AND", "ARE", "AS", "AT", "BE", "BUT", "BY", "CAN", "DID", "DO", "FOR", "GET", "GO",
    "GOT", "HAD", "HAS", "HE", "HER", "HI", "HIM", "HIS", "HOW", "IF", "IN", "IS", "IT", "ITS", "LET",
    "MAY", "ME", "MY", "NO", "NOT", "NOW", "OF", "OH", "ON", "ONE", "OR", "OUR", "OUT", "SAY", "SEE", "SHE",
    "SO", "THE", "TO", "TOO", "TRY", "TWO", "UP", "WAS", "WAY", "WE", "WHO", "WHY", "WIN", "WON", "YES",
    "YOU",
))  # fmt: skip
"""Short words; in capitals among capitals they are shouted, not spelled."""
_DOMAINS = "(?:com|net|org|io|tv|gg|jp|uk|de|fr|edu|gov|dev|xyz)"
_NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?"
_AFTER_NUMBER = rf"(?<![\w.$£€¥₹₩])({_NUMBER})\s?"


def _alternatives(words: dict[str, str]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


def _unit(found: re.Match[str]) -> str:
    return f"{found[1]} {_UNITS[found[2]]}{'' if found[1] == '1' else 's'}"


def _seconds(found: re.Match[str]) -> str:
    """ "5s", but not the 90s nor a flight of 747s."""
    count = found[1].rstrip()
    return f"{count} second{'' if count == '1' else 's'}"


def _multiple(found: re.Match[str]) -> str:
    return found[0] if found[0] in _RESOLUTIONS else f"{found[1]} {_MULTIPLES[found[2]]}"


def _power(found: re.Match[str]) -> str:
    power = found[0].translate(_POWERS)
    return {"2": " squared", "3": " cubed"}.get(power, f" to the power of {power}")


def _digits(found: re.Match[str]) -> str:
    """ "(555) 123-4567" -> "5 5 5, 1 2 3, 4 5 6 7"."""
    groups = ", ".join(" ".join(digits) for digits in re.findall(r"\d+", found[0]))
    return ("plus " if found[0].startswith("+") else "") + groups


def _address(found: re.Match[str]) -> str:
    """An e-mail address or a site; what follows a site is left out."""
    user, at, site = found[0].rpartition("@")
    site = site.split("/")[0]
    return f"{user} at {site}".replace(".", " dot ") if at else site.replace(".", " dot ")


def _price(found: re.Match[str]) -> str:
    """The sign goes to the front, where hibari looks for it: "3,50 €" -> "€3.50"."""
    whole, comma, cents = found[1].rpartition(",")
    return found[2] + (f"{whole}.{cents}" if comma and len(cents) == 2 else found[1])


def _money(found: re.Match[str]) -> str:
    one, more, cent = _CURRENCIES[found[1]]
    whole = f"{found[2]} {one if found[2] == '1' else more}"
    if not found[3] or found[3] == "00":
        return whole
    count = found[3].removeprefix("0")
    small = cent if count == "1" else {"cent": "cents", "penny": "pence"}[cent]
    return f"{count} {small}" if found[2] == "0" else f"{whole} and {count} {small}"


def _decimals(found: re.Match[str]) -> str:
    return f"{found[1]} point {' '.join(found[2])}"


def _numeral(found: re.Match[str]) -> str:
    """ "Elden Ring II" -> "Elden Ring 2"; a single letter only after capitals ("GTA V")."""
    roman = found[2]
    if not _ROMAN.fullmatch(roman) or (len(roman) == 1 and not (roman == "V" and found[1][1:].isupper())):
        return found[0]
    values = [_ROMAN_VALUES[letter] for letter in roman]
    following = [*values[1:], 0]
    total = sum(-one if one < more else one for one, more in zip(values, following, strict=True))
    return f"{found[1]} {total}"


def _shouted(found: re.Match[str]) -> str:
    words = found[0].split(" ")
    if not any(len(word.strip("'")) > 3 for word in words) and not all(word in _SHOUTED for word in words):
        return found[0]
    return " ".join(word.lower() if word in _SHOUTED else word for word in words)


_BEFORE: list[Rule] = [
    (re.compile(r"[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64})+"), _address),
    (re.compile(rf"(?<![\w@.-])(?:[\w-]{{1,63}}\.){{1,4}}{_DOMAINS}\b(?![.-]\w)(?:/\S*[\w/])?"), _address),
    (re.compile(r"(?<![\w@])@(?=\w)"), ""),
    (re.compile(r"\b(\d{1,2})\.(\d{1,2})\.(\d{4})\b"), lambda d: f"{d[3]}-{d[2]:0>2}-{d[1]:0>2}"),
    (re.compile(r"\b(\d{4})/(\d{1,2})/(\d{1,2})\b"), lambda d: f"{d[1]}-{d[2]:0>2}-{d[3]:0>2}"),
    (re.compile(r"(?<![\w.])(?:\+\d{1,3}[ -]?)?(?:\(\d{3}\)|\d{3})[ .-]\d{3}[ .-]\d{4}(?![\w-])"), _digits),
    (re.compile(r"\d{13,}"), lambda number: " ".join(number[0])),  # beyond billions digit by digit
    (re.compile(r"\b[vV](?=\d+\.\d)"), "version "),
    (re.compile(r"(?<![\w.])\d+(?:\.\d+){2,3}(?![\w.]\w)"), lambda number: number[0].replace(".", " point ")),
    (re.compile(r"(?<![\d/])24/7(?![\d/])"), "24 7"),
    (re.compile(r"\bw/(?!o\b)(?=\w)"), "with "),
    (re.compile(r"\b([A-G])#(?!\w)"), r"\1 sharp"),
    (re.compile(r"\b([A-HJ-LNP-TV-Y])\1\1\b(?!!)"), r"triple \1"),
    (re.compile(r"(?<![\w.])([2-8])'(1?\d)\"?(?!\w)"), r"\1 foot \2"),
    (re.compile(rf"(?<![\w.,])({_NUMBER}|\d+,\d\d)\s?([$€£¥₹₩])(?![\d\w])"), _price),
    (re.compile(r"([$€£])(\d[\d,]*)[-–]\1?(?=\d)"), r"\1\2 to \1"),
    (re.compile(rf"{_AFTER_NUMBER}({_alternatives(_RATES)})(?!\w)"), lambda m: f"{m[1]} {_RATES[m[2]]}"),
    (re.compile(rf"{_AFTER_NUMBER}({_alternatives(_UNITS)})(?![\w²³/'])"), _unit),
    (re.compile(r"(?<![\w.$£€¥'’])(\d{1,3} (?=s)|\d?[1-9]|\d+\.\d+ ?)s(?!\w)"), _seconds),
    (re.compile(r"(?<=\d) %"), "%"),
    (re.compile(r"(?<![\w/.])(\d+(?:\.\d+)?)/(100?|\1)(?![\w/])"), r"\1 out of \2"),
    (re.compile(r"(?<=[\w)])/(month|week|day|year|hour|minute|second)\b"), r" per \1"),
    (re.compile(r"(?<![\w$£€¥₹₩.])(\d+(?:[.,]\d+)*)([kKMBxX])(?!\w)"), _multiple),
    (re.compile(r"(?<=\d{3})\s?[×x]\s?(?=\d{3})"), " by "),
    (re.compile(r"(?<=\d)(?=[½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞])"), " and "),
    (re.compile(f"[{''.join(_FRACTIONS)}]"), lambda sign: f" {_FRACTIONS[sign[0]]} "),
    (re.compile(r"\^2(?!\d)"), "²"),
    (re.compile(r"\^3(?!\d)"), "³"),
    (re.compile(r"(?<=\d) - (?=\d[\d.,]* ?=)"), " minus "),
    (re.compile(r"⁻?[⁰¹²³⁴⁵⁶⁷⁸⁹]+"), _power),
    (re.compile(f"[{''.join(_SIGNS)}]"), lambda sign: f" {_SIGNS[sign[0]]} "),
    (re.compile(r"\b[A-Z][A-Z']*(?: [A-Z][A-Z']*)+\b"), _shouted),
]  # fmt: skip
_BEHIND: list[Rule] = [
    (re.compile(r"(?<![\w.-])(\d{1,4})[-–](\d{1,4})(?=[.,!?;:]*(?:[\s)]|$))"), r"\1 to \2"),
    (re.compile(r"([$€£])(\d+(?:,\d{3})*)(?:\.(\d\d))?(?![\d.]\d|\d)"), _money),
    (re.compile(r"(?<![\d.,])(\d+)\.(\d*0)(?![\d.]*\d)"), _decimals),  # hibari would drop the last noughts
    (re.compile(r"(?<![\d:])(\d+):(\d+)(?![\d:])"), r"\1 to \2"),
    (re.compile(r"(?<=[A-Za-z])/(?=[A-Za-z])"), " "),
    (re.compile(r"\b([A-Z][\w'’]*):? ([IVX]{1,6})\b(?!['’.]\w)"), _numeral),
]


def as_said(text: str) -> str:
    """`text` with what no voice reads well written out in English words."""
    for pattern, instead in _BEFORE:
        text = pattern.sub(instead, text)
    text = _normaliser()(text)
    for pattern, instead in _BEHIND:
        text = pattern.sub(instead, text)
    return " ".join(text.split())


@cache
def _normaliser() -> Callable[[str], str]:
    """hibari's; the system's voice must also speak when that package is broken."""
    try:
        from hibari.g2p.normalize import normalize
    except Exception:  # a broken install fails in many ways
        return str
    return normalize
