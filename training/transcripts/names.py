"""Names of real people out of dialogues: the streamer becomes the persona, each viewer an invented handle."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from shared.persona import Persona
from training.transcripts.function_words import FUNCTION_WORDS
from training.wording import words

_FIRST = words(
    """
    amber aqua berry biscuit bramble breezy bubble cactus candle cedar cherry clover cocoa comet
    copper cosmic cotton cozy crayon dapper dizzy ember fable feather fern fizzy fuzzy ginger
    glimmer honey indigo ivory jelly juniper kettle lemon lilac lucky lunar maple marble mellow
    minty misty mossy nimble noodle nutmeg olive opal paper peach pebble pepper pickle plum pocket
    rusty salty silver snowy sunny tofu velvet
    """
)
_SECOND = words(
    """
    acorn badger bagel beetle bison button cabin camel canoe crane cricket dolphin drummer falcon
    ferret finch fox gecko goblin goose hamster heron hopper kite kiwi koala lantern lark lynx mango
    marten mole moth muffin newt otter owl panda parrot penguin pigeon pilot piper puffin quail
    rabbit raccoon raven robin rocket sailor scone seal sparrow squid stork teapot tiger toad turtle
    walrus wombat wren yak
    """
)
MIN_APART = 7
"""Letters of a handle that is known in two words, too: `gravel pit` is gravelpit_7."""
MIN_NAME, MIN_PART = 3, 4
"""Letters of a name that can be told from other words, and of a part of one: `Noodle` of `xXNoodleXx`."""
_WORD = re.compile(r"[^\W_]+")
_HANDLE = re.compile(r"\w[\w.-]*")
_MAX_WORDS, _MAX_SIGN = 4, 8
_SIGN = re.compile(r"@_*\Z")


def name_parts(name: str) -> list[str]:
    """Longer words of a name, in small letters: noodle and king of NoodleKing42."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return [part.lower() for part in re.findall(r"[^\W\d_]+", spaced) if len(part) >= MIN_PART]


def called(name: str) -> set[str]:
    """Single words that a person of that name may be called by."""
    found = {*plain_name(name).split(), *name_parts(name)} - FUNCTION_WORDS
    return {word for word in found if len(word) >= MIN_NAME and not word.isdigit()}


def plain_name(name: str) -> str:
    """A name as it is compared: its words in small letters."""
    return " ".join(_WORD.findall(name.casefold()))


class Names:
    """Replaces names, each always by the same. A handle depends on the real name, so that runs agree."""

    def __init__(self, streamer: Iterable[str], persona: Persona) -> None:
        self._her = persona.name
        self._table = {plain_name(name): persona.name for name in streamer}
        self._apart: dict[str, str] = {}
        self._her_parts = {part for name in streamer for part in called(name)} - set(self._table)
        self._taken = {persona.name.lower()}
        self._common: frozenset[str] = FUNCTION_WORDS

    def meet(self, people: Iterable[str], common: Iterable[str]) -> None:
        """Learn who is there, and which words of their texts are too frequent to be a name of one of them."""
        self._common = self._common.union(common)
        for name in people:
            self.viewer(name)

    def viewer(self, name: str) -> str:
        """The invented handle of a viewer or guest."""
        key = plain_name(name) or name
        if key not in self._table:
            number = int.from_bytes(hashlib.sha256(key.encode("utf-8", "replace")).digest()[:8], "big")
            base = f"{_FIRST[number % len(_FIRST)]}_{_SECOND[number // 997 % len(_SECOND)]}"
            handle, year = base, number // 1009 % 100
            while handle in self._taken:
                handle, year = f"{base}{year}", year + 1
            self._taken.add(handle)
            self._table[key] = handle
            if len(letters := _letters(key)) >= MIN_APART:
                self._apart.setdefault(letters, handle)
        return self._table[key]

    def replaced(
        self, text: str, viewers: Iterable[str] = (), others: Iterable[str] = (), aloud: bool = False
    ) -> str:
        """The text with names replaced: full names everywhere, of `viewers` also short ones.

        A part of a name that one of the texts `others` has as a word is a word here, too: pizza_lover may
        talk of pizza. `aloud` gives short names instead of handles.
        """
        ordinary = {word for other in others for word in _WORD.findall(other.casefold())} | self._common
        short = {part: self.viewer(name) for name in viewers for part in called(name) - ordinary}
        spans = list(_WORD.finditer(text))
        parts: list[str] = []
        at, done = 0, 0
        while at < len(spans):
            start = spans[at].start()
            sign = _SIGN.search(text[max(0, start - _MAX_SIGN) : start])
            addressed = sign is not None
            end, name = self._found(text, spans, at, short, addressed)
            if end:
                if aloud and name != self._her:
                    name = name.split("_")[0].title()
                before = text[done : start - len(sign[0] if sign else "")]
                if not (parts and parts[-1] == name and before == " "):  # both words of pizza lover
                    parts += [before, name]
                done = end
                while at < len(spans) and spans[at].start() < end:
                    at += 1
            else:
                at += 1
        return "".join(parts) + text[done:]

    def _found(
        self, text: str, spans: list[re.Match[str]], at: int, short: dict[str, str], addressed: bool
    ) -> tuple[int, str]:
        """Where the name ends that begins at a word, and what stands for it; 0 when it begins no name."""
        for n_words in range(min(_MAX_WORDS, len(spans) - at), 0, -1):
            end = spans[at + n_words - 1].end()
            key = plain_name(text[spans[at].start() : end])
            name = self._table.get(key)
            if name and (addressed or name == self._her or self._is_telling(key)):
                return end, name
            name = self._apart.get(_letters(key)) if n_words > 1 else None
            if name:
                return end, name
        word = spans[at][0]
        if addressed:
            handle = _HANDLE.match(text, spans[at].start())
            assert handle is not None
            return handle.end(), self.viewer(handle[0].rstrip(".-"))
        if word.casefold() in short:
            return spans[at].end(), short[word.casefold()]
        if word.casefold() in self._her_parts and word[0].isupper():
            return spans[at].end(), self._her
        return 0, ""

    def _is_telling(self, key: str) -> bool:
        """A name of one common word, of two letters or of digits alone is all over the texts."""
        return len(key) >= MIN_NAME and not key.isdigit() and key not in self._common


def _letters(key: str) -> str:
    return re.sub(r"[\W\d_]", "", key)
