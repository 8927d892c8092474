"""What a viewer tells about themself, as a short sentence of the third person, or nothing.

A clause must fit one of the forms below from its beginning to its end, and its nouns must be of
`fact_words.py`; only the names of animals and what is collected are free, in plain letters. So instructions,
jokes and insults cannot come in, and whatever was not thought of is not remembered.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from services.director import fact_words as words

MAX_CHARS = 300
"""Longer messages are pasted or told about others more often than about oneself."""
MAX_FACTS = 3
"""Of one message."""
MAX_FACT_CHARS = 60


@dataclass(frozen=True)
class Fact:
    """`says` is what follows the name: `has a parrot called Kiwi`. `day` is when an event takes place."""

    says: str
    day: date | None = None


def _one_of(*lists: Iterable[str]) -> str:
    """Longest first, since an alternation takes the first that fits."""
    return "|".join(sorted((re.escape(word) for part in lists for word in part), key=len, reverse=True))


def _plural(noun: str) -> str:
    return words.ALL_BUT_ONE.get(noun, f"{noun}es" if noun.endswith(("s", "x", "ch")) else f"{noun}s")


_SINGULAR = {_plural(noun): noun for noun in (*words.PETS, *words.EATEN)}
_MATERIAL = rf"(?P<kind>(?:(?:{_one_of(words.MATERIAL)}) )*)"
_KEPT_ONES = _one_of(words.PETS, words.EATEN)
_KEPT_MANY = _one_of(_SINGULAR)
_NAME = r"(?P<name>[a-z]+(?:['-][a-z]+)?)"
_SECOND = r"(?P<second>[a-z]+(?:['-][a-z]+)?)"
_I_HAVE = r"(?:i have|i ?'?ve got|i(?: just| finally)? got|i own|i(?: just)? adopted|we have|we ?'?ve got)"
_I_AM = r"(?:i am|i'm|im)"
_MANY = rf"(?P<number>{_one_of(words.NUMBERS)}|\d{{1,2}})"
_CALLED = r"(?:,? (?:called|named)|,? whose name is|,? (?:his|her|its) name is|and (?:his|her|its) name is)"
_DAY = rf"(?:(?:on |this )?(?P<day>{_one_of(words.WEEKDAYS)})|(?P<soon>tomorrow|tmrw|tmr))"
_AN_EVENT = rf"(?P<what>(?:(?:{_one_of(words.SUBJECTS, words.LANGUAGES)}) )?(?:{_one_of(words.EVENTS)}))"
_OF_KIN = r"(?P<kind>(?:(?:little|big|older|younger|baby) )?)"

_PLAIN = r"(?:[a-z]{2,12})"
_WORKED = "nights|weekends|night shifts|shifts|early shifts|late shifts|from home|saturdays|sundays"
_PLACE = rf"(?:[a-z]{{3,12}} )?(?:{_one_of(words.PLACES)})"
_JOB = rf"(?:(?:retired|freelance|part-time|night) )?(?:{_one_of(words.JOBS)})"
_SUBJECT = _one_of(words.SUBJECTS)
_INSTRUMENT = _one_of(words.INSTRUMENTS)
_LEARNING = rf"(?:{_I_AM} (?:currently |still |finally )?learning|i started learning|i ?'?ve been learning)"
_PET_DOES = (
    "(?:just |always |also |still )?(?:is|ate|eats|stole|steals|loves|likes|hates|sleeps|snores|sits|barks"
    "|bites|screams|sings|meows|purrs|stares|learned|learnt|caught|wakes|jumped|knocked|chewed|keeps|wants|thinks|opened|walks|howls|watches|looks|can"
    "|has|fell asleep|does|brought|hid|hides|refuses|follows)"
)

_OPENING = re.compile(
    r"(?:(?:hi+|hey+|hello|akane|akane-chan|well|so|ok|okay|yes|yeah|yep|yup|no|nope|nah|btw|by the way|also"
    r"|and|oh|lol|haha+|fun fact|actually|because|cause|bc|me too|same|hm+|guess what|sure|honestly|tbh|ooh"
    r"|true|right|thanks|good (?:morning|evening)|same here|anyway|plus|you know|today|now|true story"
    r"|i told you(?: that)?|remember|did you know(?: that)?)(?:[\s,:]+|$))+",
    re.IGNORECASE,
)
_ENDING = (
    r"(?: (?:now|too|as well|also|btw|lol|lmao|haha+|irl|actually|these days|at home|at the moment|right now"
    r"|currently|for a living|every day|by the way|though|again|yay|hehe+|and|but|so|because|bc|cause|since"
    r"|who|that|which|when|while|with|from|for|he|she|they|it|i|about|at|as|here|on)(?: .*)?)?"
)
"""What may follow a form: either it adds nothing, or it opens something else."""
_VETO = re.compile(
    rf"\b(?:{_one_of(words.NOT_SO)}|game(?! (?:developer|designer))|toy(?! shop)"
    r"|(?<!horror )(?<!puzzle )(?<!board )games)\b"
    r"|\d{3,}|[\"“”«»‘<>{}\[\]|\\^~`@#_=*/]|(?:^|\s)'|'(?:\s|$)|https?:|www\.",
    re.IGNORECASE,
)
"""A message in which it stands gives nothing; so do quotation marks, markup, links and long numbers."""
_DAY_NAMED = re.compile(rf"\b{_DAY}\b", re.IGNORECASE)
_OF_ONESELF = re.compile(r"(?:i|im|i'm|i've|my|we|as|the name)\b", re.IGNORECASE)
"""How every form begins that is no event's: looked at first, since most of what is said is something else."""
_SENTENCE = re.compile(r"[^.!?…\n]+[.!?…]*")
_CLAUSES = re.compile(
    r"[,;:()–—]|\s-\s|\band (?=i\b|im\b|i'm\b|my\b)|\bbut (?=i\b|im\b|i'm\b|my\b)|\bso (?=i\b)", re.IGNORECASE
)
_WITHOUT_I = re.compile(r"\band (work|play|collect|drive|study|keep|bake|knit|grow|live)\b", re.IGNORECASE)
"""`… and work nights`: the clause is given its subject back."""
_DIGITS = {str(number): word for number, word in enumerate(words.NUMBERS, 2)}
_AN = re.compile(r"\ba (?=[aei]|o(?!ne))")
_PROPER = re.compile(
    rf"\b(?:{_one_of(words.LANGUAGES, words.WEEKDAYS, ('japan', 'norway', 'iceland', 'lego', 'python'))})s?\b"
)

_FORMS: tuple[tuple[str, str], ...] = (
    (rf"{_I_HAVE} an? {_MATERIAL}(?P<pet>{_KEPT_ONES}){_CALLED} {_NAME}", "has a {kind}{pet} called {name}"),
    (
        rf"my {_MATERIAL}(?P<pet>{_KEPT_ONES})(?:'?s name is| is called| is named) {_NAME}",
        "has a {kind}{pet} called {name}",
    ),
    (
        rf"(?:the name of my|i (?:named|called) my) {_MATERIAL}(?P<pet>{_KEPT_ONES})(?: is)? {_NAME}",
        "has a {kind}{pet} called {name}",
    ),
    (
        rf"{_I_HAVE} {_MANY} {_MATERIAL}(?P<pets>{_KEPT_MANY}),? (?:called|named) {_NAME} and {_SECOND}",
        "has {number} {kind}{pets} called {name} and {second}",
    ),
    (
        rf"my (?:two )?{_MATERIAL}(?P<pets>{_KEPT_MANY}) are (?:called|named) {_NAME} and {_SECOND}",
        "has two {kind}{pets} called {name} and {second}",
    ),
    (rf"{_I_HAVE} an? {_MATERIAL}(?P<pet>{_KEPT_ONES})", "has a {kind}{pet}"),
    (rf"{_I_HAVE} {_MANY} {_MATERIAL}(?P<pets>{_KEPT_MANY})", "has {number} {kind}{pets}"),
    (
        rf"my {_MATERIAL}(?P<pet>{_one_of(words.PETS)}) (?:{_PET_DOES})(?: .*)?",
        "has a {kind}{pet}",
    ),
    (rf"i work (?P<x>{_WORKED}|(?:in|at|on) (?:an?|the|my) (?:{_PLACE}))", "works {x}"),
    (r"i(?: only)? work (?:the )?night ?shifts?", "works night shifts"),
    (rf"i work as an? (?P<x>{_JOB})", "is a {x}"),
    (rf"{_I_AM} (?:also )?(?:just )?an? (?P<x>{_JOB})", "is a {x}"),
    (rf"as an? (?P<x>{_JOB}),? i\b.*", "is a {x}"),
    (rf"i drive an? (?P<x>{_one_of(words.VEHICLES)})", "drives a {x}"),
    (rf"(?:i study|{_I_AM} studying|i major in|{_I_AM} majoring in) (?P<x>{_SUBJECT})", "studies {x}"),
    (rf"{_I_AM} an? (?P<x>{_SUBJECT}) student", "studies {x}"),
    (rf"{_LEARNING} (?:how )?to (?P<x>{_one_of(words.TO_LEARN)})", "is learning to {x}"),
    (rf"{_LEARNING} (?:how )?to play (?:the )?(?P<x>{_INSTRUMENT})", "is learning the {x}"),
    (rf"{_LEARNING} (?:the )?(?P<x>{_INSTRUMENT})", "is learning the {x}"),
    (rf"{_LEARNING} (?P<x>{_one_of(words.SKILLS, words.LANGUAGES)})", "is learning {x}"),
    (rf"i(?: really)? want to learn (?:how )?to (?P<x>{_one_of(words.TO_LEARN)})", "wants to learn to {x}"),
    (rf"i(?: really)? want to learn (?:to play )?(?:the )?(?P<x>{_INSTRUMENT})", "wants to learn the {x}"),
    (rf"i(?: really)? want to learn (?P<x>{_one_of(words.SKILLS, words.LANGUAGES)})", "wants to learn {x}"),
    (
        rf"i play (?:the )?(?P<x>{_INSTRUMENT})(?: in (?P<in>an orchestra|a band|a brass band))?",
        "plays the {x}{in_}",
    ),
    (rf"i play (?P<x>{_one_of(words.SPORTS)})", "plays {x}"),
    (
        rf"i (?P<does>{_one_of(words.ACTIVITIES)})(?: every (?P<every>{_one_of(words.WEEKDAYS)}))?",
        "{does_}{every_}",
    ),
    (rf"i collect {_MATERIAL}(?P<things>(?:{_PLAIN} )?{_PLAIN}s)", "collects {kind}{things}"),
    (rf"i keep (?P<x>{_one_of(words.KEPT)})", "keeps {x}"),
    (rf"i grow (?P<x>{_one_of(words.GROWN)})", "grows {x}"),
    (rf"{_I_AM} building an? (?P<x>{_one_of(words.BUILT)})", "is building a {x}"),
    (rf"{_I_AM} writing an? (?P<x>{_one_of(words.WRITTEN)})", "is writing a {x}"),
    (
        rf"{_I_AM} training for (?:an?|my|my first) (?P<x>{_one_of(words.TRAINING_FOR)})",
        "is training for a {x}",
    ),
    (
        rf"{_I_AM} saving(?: money)?(?: up)? for an? (?P<x>{_one_of(words.SAVED_FOR)})",
        "is saving up for a {x}",
    ),
    (
        rf"{_I_AM} (?:so |really |very )?(?:afraid|scared|terrified) of (?P<x>{_one_of(words.FEARS)})",
        "is afraid of {x}",
    ),
    (rf"i live (?P<x>{_one_of(words.HOMES)})", "lives {x}"),
    (rf"{_I_HAVE} an? {_OF_KIN}(?P<x>{_one_of(words.RELATIVES)})", "has a {kind}{x}"),
    (rf"{_I_HAVE} {_MANY} {_OF_KIN}(?P<x>{_one_of(words.RELATIVES)})s", "has {number} {kind}{x}s"),
    (rf"(?:i have|i own|i ?'?ve got) an? {_MATERIAL}(?P<x>{_one_of(words.OWNED)})", "has a {kind}{x}"),
    (rf"(?:i run|i own) an? (?P<x>{_one_of(words.RUN)})", "runs a {x}"),
    (rf"{_I_AM} (?P<x>left-handed|left handed|a night owl|retired)", "is {x}"),
    (
        r"i(?: just| finally)? moved (?:in)?to (?:a|my) new (?P<x>flat|apartment|house)",
        "moved into a new {x}",
    ),
    (rf"i(?: really| absolutely| just)? love (?P<x>{_one_of(words.LIKED)})", "loves {x}"),
    (rf"i(?: really| absolutely)? hate (?P<x>{_one_of(words.HATED)})", "hates {x}"),
    (
        rf"my favou?rite (?:food|drink|animals|music|season|thing) (?:is|are) (?P<x>{_one_of(words.LIKED)})",
        "loves {x}",
    ),
    (rf"my favou?rite colou?r is (?P<x>{_one_of(words.COLOURS)})", "loves the colour {x}"),
)
"""What a clause may be, and what is then known; the first that fits counts."""
_EVENTS: tuple[str, ...] = (
    rf"(?:i have|i ?'?ve got|i got) (?:an?|my|my first|another) {_AN_EVENT} {_DAY}",
    rf"my {_AN_EVENT} is {_DAY}",
    rf"{_AN_EVENT} {_DAY}",
)
_COMPILED = [(re.compile(form + f"(?P<rest>{_ENDING})", re.IGNORECASE), says) for form, says in _FORMS]
_COMPILED_EVENTS = [re.compile(form + f"(?P<rest>{_ENDING})", re.IGNORECASE) for form in _EVENTS]


def facts_of(text: str, today: date) -> list[Fact]:
    """The facts in a viewer's cleaned line, in order; `today` is where the show runs."""
    if len(text) > MAX_CHARS:
        return []
    found: list[Fact] = []
    for sentence in _SENTENCE.findall(text.replace("’", "'")):
        if "?" in sentence:
            continue
        for clause in _CLAUSES.split(_WITHOUT_I.sub(r"and i \1", sentence)):
            fact = _fact(clause.strip(" .!…'"), today)
            if fact is not None and fact not in found:
                found.append(fact)
    return [] if found and _VETO.search(text) else found[:MAX_FACTS]


def _fact(clause: str, today: date) -> Fact | None:
    clause = " ".join(_OPENING.sub("", clause, count=1).split()) if _OPENING.match(clause) else clause
    for event in _COMPILED_EVENTS if _DAY_NAMED.search(clause) else ():
        match = event.fullmatch(clause)
        if match:
            day = _coming(match, today)
            what = match["what"].lower()
            return Fact(_polished(f"has a {what} on {words.WEEKDAYS[day.weekday()]}"), day)
    for form, says in _COMPILED if _OF_ONESELF.match(clause) else ():
        match = form.fullmatch(clause)
        if match:
            line = _filled(says, match)
            return Fact(line) if line and len(line) <= MAX_FACT_CHARS else None
    return None


def _filled(says: str, match: re.Match[str]) -> str:
    """The sentence of a form; empty when a name in it can be none."""
    groups = {key: (value or "").lower() for key, value in match.groupdict().items()}
    for key in ("name", "second"):
        if key in groups:
            groups[key] = _as_name(groups[key])
            if not groups[key]:
                return ""
    if groups.get("number", "").isdigit():
        groups["number"] = _DIGITS.get(groups["number"], "")
        if not groups["number"]:
            return ""
    groups["in_"] = f" in {groups['in']}" if groups.get("in") else ""
    groups["every_"] = f" every {groups['every']}" if groups.get("every") else ""
    groups["does_"] = words.ACTIVITIES.get(groups.get("does", ""), "")
    if any(word in words.NOT_COLLECTED for word in groups.get("things", "").split()):
        return ""
    names = [groups.pop(key) for key in ("name", "second") if key in groups]
    line = says.format(**groups, name="{0}", second="{1}")
    return _polished(line).format(*names)


def _as_name(word: str) -> str:
    fits = 2 <= len(word) <= 14 and word not in words.NOT_A_NAME
    return word[0].upper() + word[1:] if fits else ""


def _polished(line: str) -> str:
    line = _PROPER.sub(lambda match: match[0].capitalize(), line)
    return " ".join(_AN.sub("an ", line).split())


def _coming(match: re.Match[str], today: date) -> date:
    """The day that is meant: the coming one of that name, never today."""
    if match["soon"]:
        return today + timedelta(days=1)
    ahead = (words.WEEKDAYS.index(match["day"].lower()) - today.weekday() - 1) % 7 + 1
    return today + timedelta(days=ahead)
