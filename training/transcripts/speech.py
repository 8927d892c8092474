"""Subtitles into what each person said: captions unrolled, speakers found, cues joined up to a pause."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from training.transcripts.cleaning import CENSORED, SENTENCE_END, fluent, unmarked, unsounded
from training.transcripts.names import plain_name
from training.transcripts.records import Cue, Drop, Utterance

PAUSE_S = 1.2
"""Silence that ends what somebody says."""
TOUCHING_S = 0.1
"""A rolling caption's next cue starts when the last one ends, or before."""
FULL_CHARS, CUT_CHARS = 200, 320
"""An utterance ends with its next sentence from the first on, and anywhere from the second on."""
NAMED_SHARE = 0.2
"""`Name:` is a speaker when so many cues begin like this; otherwise a colon is only a colon."""
_VOICE = re.compile(r"<v(?:\.[\w.]+)?[ \t]+([^<>\n]{1,60})>")
_LABEL = re.compile(r"(?:>>\s*)?([A-Z][\w.'-]{0,30}(?: [\w.'-]{1,30}){0,2}):\s+(?=\S)")
_CHANGE = re.compile(r"^\s*>>\s*|^\s*[-–]\s+(?=\S)")


def unrolled(cues: Iterable[Cue], drop: Drop) -> Iterator[Cue]:
    """Cues without the lines that the cue before showed already, as YouTube's own captions repeat them.

    A caption that overlaps the next one ends where that begins.
    """
    shown: list[str] = []
    shown_until_s = -1.0
    waiting: Cue | None = None
    for cue in cues:
        lines = [line for line in cue.text.split("\n") if unmarked(line) or _VOICE.search(line)]
        n_old = 0
        if cue.start_s <= shown_until_s + TOUCHING_S:
            plain = [unmarked(line) for line in lines]
            n_old = next((n for n in range(min(len(shown), len(lines)), 0, -1) if shown[-n:] == plain[:n]), 0)
        shown, shown_until_s = [unmarked(line) for line in lines], cue.end_s
        if n_old == len(lines):
            drop("repeated by rolling captions", cue.text)
            continue
        if waiting:
            yield replace(waiting, end_s=min(waiting.end_s, max(cue.start_s, waiting.start_s)))
        waiting = replace(cue, text="\n".join(lines[n_old:]))
    if waiting:
        yield waiting


def spoken(cues: Sequence[Cue], streamer: frozenset[str]) -> Iterator[Cue]:
    """Cues of one speaker each, as `<v Name>`, `Name:` and `>>` tell; without any name the speaker is None.

    A name holds until the next name, or until `>>` says that somebody else speaks. A change without a name
    makes a speaker "" of a file that names others: nobody knows who it is.
    """
    labels = Counter(found[1] for cue in cues if (found := _LABEL.match(unmarked(cue.text))))
    with_labels = sum(labels.values()) >= NAMED_SHARE * len(cues) or any(
        plain_name(label) in streamer for label in labels
    )
    named = with_labels or any(_VOICE.search(cue.text) for cue in cues)
    speaker: str | None = None
    for cue in cues:
        for part, changed in _parts(cue.text):
            voice = _VOICE.search(part)
            text = unmarked(part)
            if changed:
                speaker = "" if named else None
            if voice:
                speaker = unmarked(voice[1]) or None
            elif with_labels and (found := _LABEL.match(text)):
                speaker, text = found[1], text[found.end() :]
            if changed and text:
                text = ">>" + text
            if text:
                yield replace(cue, text=text.replace("\n", " "), speaker=speaker)


def joined(cues: Iterable[Cue], drop: Drop) -> Iterator[Utterance]:
    """What one person says without a pause, cleaned; `>>` ends it, too."""
    parts: list[str] = []
    start_s, end_s = 0.0, -PAUSE_S
    n_chars = 0
    speaker: str | None = None
    whole = True

    def finished() -> Iterator[Utterance]:
        text = " ".join(parts)
        clean = fluent(unsounded(text))
        if CENSORED.search(text):
            drop("with a censored word", clean)
        elif clean:
            yield Utterance(start_s, end_s, clean, speaker, whole)
        elif text:
            drop("no speech", text)

    for cue in cues:
        changed = cue.text.startswith(">>")
        paused = cue.start_s - end_s >= PAUSE_S
        at_end = bool(parts) and parts[-1].endswith(SENTENCE_END)
        cut = n_chars >= CUT_CHARS or (n_chars >= FULL_CHARS and at_end)
        if parts and (changed or paused or cut or cue.speaker != speaker):
            yield from finished()
            parts, n_chars = [], 0
        if not parts:
            whole = changed or paused or at_end or cue.speaker != speaker
            start_s, speaker = cue.start_s, cue.speaker
        text = cue.text.removeprefix(">>").strip()
        parts.append(text)
        n_chars += len(text)
        end_s = max(cue.end_s, start_s)
    if parts:
        yield from finished()


def _parts(text: str) -> Iterator[tuple[str, bool]]:
    """The text at each change of speaker, and whether it starts with one."""
    lines: list[str] = []
    changed = False
    for line in text.replace("&gt;", ">").split("\n"):
        found = _CHANGE.match(line)
        if found or _VOICE.search(line):
            if lines:
                yield "\n".join(lines), changed
            lines, changed = [], bool(found)
        lines.append(line[found.end() :] if found else line)
    yield "\n".join(lines), changed
