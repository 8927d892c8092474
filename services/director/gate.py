"""Every chunk passes here before the voice: one table of rules, each with a name for the log."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from services.director import phrases
from shared.blocklist import Blocklist
from shared.persona import Persona

LOOP_WORDS = 5
"""As many words in a row, said twice in one reply, are a loop."""
COPY_WORDS = 4
"""A sentence of at least so many words that she said in an earlier reply is a loop too."""
ECHO_WORDS = 6
"""As many words in a row that stood in an earlier reply."""
OPENING_WORDS = 4
OPENINGS = 4
"""So many replies in a row must not begin with the same words, unless she is asked again who she is."""


@dataclass(frozen=True)
class Scene:
    """What the gate must know beside the chunk."""

    said: str = ""
    """What passed of this reply so far."""
    recent: tuple[str, ...] = ()
    """Her last replies."""
    asked: str = ""
    """The message that is being answered."""
    names: frozenset[str] | None = None
    """Viewers whom she may address; None when the words are not the model's but the operator's."""
    others: frozenset[str] = frozenset()
    """Viewers who spoke before and do not now: a small model mixes them up."""


@dataclass(frozen=True)
class Verdict:
    """`rule` names what was broken and `found` shows where; both are empty when the chunk may be voiced."""

    rule: str = ""
    found: str = ""

    def __bool__(self) -> bool:
        return not self.rule


PASSED = Verdict()

_ENDED = re.compile(r"[.!?…。！？]\W*$")

Rule = Callable[[str, str, Scene], str]
"""(chunk, the reply with the chunk at its end, scene) -> what was found, empty when nothing."""


class Gate:
    """The rules for one persona."""

    def __init__(self, persona: Persona, blocklist: Blocklist) -> None:
        self.persona = persona
        self._blocklist = blocklist
        words = " ".join([persona.system, *(example.reply for example in persona.example)])
        self._scripts = frozenset(_scripts(words))
        forbidden = "|".join(rf"(?<!\w){re.escape(phrase)}(?!\w)" for phrase in persona.forbidden)
        own = re.compile(forbidden or r"(?!)", re.IGNORECASE)
        third = re.compile(rf"\b{re.escape(persona.name)} {phrases.THIRD_PERSON}")
        self._rules: tuple[tuple[str, Rule], ...] = (
            ("role_leak", lambda chunk, whole, scene: _found(phrases.ROLE, chunk)),
            ("markup", lambda chunk, whole, scene: _found(phrases.MARKUP, chunk)),
            ("assistant", lambda chunk, whole, scene: _found(phrases.ASSISTANT, whole) or _found(own, whole)),
            ("wrong_name", self._wrong_name),
            ("human", lambda chunk, whole, scene: _found(phrases.HUMAN, whole)),
            ("third_person", lambda chunk, whole, scene: _found(third, whole)),
            ("personal_data", lambda chunk, whole, scene: _found(phrases.PERSONAL, whole)),
            ("url", lambda chunk, whole, scene: _found(phrases.URL, whole)),
            ("invented_viewer", self._invented_viewer),
            ("language", self._language),
            ("loop", _loop),
        )

    def check(self, chunk: str, scene: Scene) -> Verdict:
        """Judge `chunk` as the continuation of `scene.said`, so that no phrase slips through at a cut."""
        whole = f"{scene.said} {chunk.strip()}".strip()
        blocked = self._blocklist.rule_for(whole)
        if blocked:
            return Verdict(blocked, chunk.strip())
        for name, rule in self._rules:
            found = rule(chunk, whole, scene)
            if found:
                return Verdict(name, found)
        return PASSED

    def without_strangers(self, text: str, scene: Scene) -> str:
        """`text` without a name at the end or the start of a sentence that nobody here has."""
        known = self._known(scene)

        def keep_known(match: re.Match[str]) -> str:
            return match.group() if self._is_no_stranger(match.group(1), known) else ""

        if scene.names is None:
            return text
        text = phrases.ADDRESSED.sub(keep_known, text)
        greeted = phrases.GREETED.search(text)
        if greeted and greeted.group(1).casefold() == self.persona.name.casefold():
            # "Hello, Akane!" is the viewer's line: without the name it is hers.
            text = text[: greeted.start(1)].rstrip(", ") + text[greeted.end(1) :]
        first, comma, rest = text.partition(", ")
        if comma and rest and first.casefold() in scene.others and first.casefold() not in known:
            return rest[0].upper() + rest[1:]
        return text

    def refuses(self, text: str) -> str | None:
        """The rule by which a viewer's message is not answered, or None."""
        return self._blocklist.rule_for(text)

    def _wrong_name(self, chunk: str, whole: str, scene: Scene) -> str:
        own = self.persona.name.casefold()
        for match in phrases.NAMED.finditer(whole):
            if match.group(1).casefold() not in (own, *phrases.AFTER_CALL_ME):
                return match.group()
        for match in phrases.I_AM.finditer(whole):
            if match.group(1).casefold() not in (own, *phrases.NOT_NAMES):
                return match.group()
        for match in (*phrases.GREETED.finditer(whole), *phrases.ADDRESSED.finditer(whole)):
            if scene.names is not None and match.group(1).casefold() == own:
                return match.group()
        return ""

    def _invented_viewer(self, chunk: str, whole: str, scene: Scene) -> str:
        if scene.names is None:
            return ""
        known = self._known(scene)
        for match in (*phrases.GREETED.finditer(whole), *phrases.ADDRESSED.finditer(whole)):
            if not self._is_no_stranger(match.group(1), known):
                return match.group()
        for word in _words(chunk):
            if word in scene.others and word not in known:
                return word
        return ""

    def _known(self, scene: Scene) -> str:
        return " ".join([*(scene.names or ()), scene.asked, self.persona.name]).casefold()

    def _is_no_stranger(self, name: str, known: str) -> bool:
        return name.casefold() in phrases.NOT_NAMES or name.casefold() in known

    def _language(self, chunk: str, whole: str, scene: Scene) -> str:
        letters = [_script(character) for character in chunk if character.isalpha()]
        known = self._scripts | _scripts(scene.asked)
        foreign = sum(script not in known for script in letters)
        return chunk.strip() if letters and foreign > 0.3 * len(letters) else ""


def _found(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return match.group().strip() or "?" if match else ""


def _loop(chunk: str, whole: str, scene: Scene) -> str:
    said, words = _words(scene.said), _words(whole)
    repeated = _first_repeated(words, LOOP_WORDS)
    if repeated or _stutters(_words(chunk)):
        return repeated or chunk.strip()
    spoken = {_key(sentence) for sentence in _sentences(scene.said)}
    for sentence in _sentences(chunk):
        key = _key(sentence)
        if key and key in spoken:
            return sentence
        spoken.add(key)
    # To stop in the middle of a sentence would be worse than to say again what was said in another reply.
    return "" if said and not _ENDED.search(scene.said) else _echo(chunk, said, words, scene)


def _echo(chunk: str, said: list[str], words: list[str], scene: Scene) -> str:
    """What stood in an earlier reply already: a sentence, a long run of words, or the way it begins."""
    if phrases.ASKS_WHO.search(scene.asked):
        return ""
    earlier = {_key(sentence) for reply in scene.recent for sentence in _sentences(reply)}
    for sentence in _sentences(chunk):
        if len(_words(sentence)) >= COPY_WORDS and _key(sentence) in earlier:
            return sentence
    # "Olive, you're the best" and "Grace, you're the best" are the same habit.
    named = scene.others | {name.casefold() for name in scene.names or ()}
    words = [word for word in words if word not in named]
    said = [word for word in said if word not in named]
    replies = [[word for word in _words(reply) if word not in named] for reply in scene.recent]
    echoes = {gram for reply in replies for gram in _grams(reply, ECHO_WORDS)}
    for gram in _grams(words[max(0, len(said) - ECHO_WORDS + 1) :], ECHO_WORDS):
        if gram in echoes:
            return " ".join(gram)
    opening = words[:OPENING_WORDS]
    openings = [reply[:OPENING_WORDS] for reply in replies[-OPENINGS:]]
    return " ".join(opening) if not said and len(opening) == OPENING_WORDS and opening in openings else ""


def _first_repeated(words: list[str], size: int) -> str:
    seen: set[tuple[str, ...]] = set()
    for gram in _grams(words, size):
        if gram in seen:
            return " ".join(gram)
        seen.add(gram)
    return ""


def _stutters(words: list[str]) -> bool:
    """The same word four times in a row."""
    return any(len(set(gram)) == 1 for gram in _grams(words, 4))


def _grams(words: list[str], size: int) -> list[tuple[str, ...]]:
    return [tuple(words[at : at + size]) for at in range(len(words) - size + 1)]


def _sentences(text: str) -> list[str]:
    return [part for part in re.split(r"(?<=[.!?…。！？])\s*", text) if part.strip()]


def _words(text: str) -> list[str]:
    return re.findall(r"[\w'’]+", text.casefold())


def _key(sentence: str) -> str:
    return " ".join(_words(sentence))


def _script(letter: str) -> str:
    name = unicodedata.name(letter, "?").split()[0]
    return (
        "EAST ASIAN" if name in ("CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "IDEOGRAPHIC") else name
    )


def _scripts(text: str) -> set[str]:
    return {_script(character) for character in text if character.isalpha()}
