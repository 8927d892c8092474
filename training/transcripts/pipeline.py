"""All steps from the files of one stream to exchanges, and from exchanges to dialogues."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from shared.sanitize import clean_text
from training.dialogues import Dialogue
from training.errors import TrainingError
from training.transcripts.aligning import aligned, without_noise
from training.transcripts.chat import read_chat
from training.transcripts.cleaning import MAX_CHARS, fluent, unmarked
from training.transcripts.conversations import (
    dialogue,
    distinct_dialogues,
    fitting,
    grouped,
    in_language,
)
from training.transcripts.names import Names, plain_name
from training.transcripts.personal import scrubbed
from training.transcripts.reading import clock
from training.transcripts.records import Exchange, Message, Utterance
from training.transcripts.report import Report
from training.transcripts.speech import joined, spoken, unrolled
from training.transcripts.subtitles import read_subtitles
from training.wording import words

COMMON_SHARE, COMMON_COUNT = 0.02, 5
"""Of the texts of a stream, and in number, that have a common word at least."""


def exchanges_of(
    subtitles: Path | None,
    chat: Path | None,
    streamer: Sequence[str],
    window_s: float,
    names: Names,
    report: Report,
) -> list[Exchange]:
    """What she said in one stream and the messages that it answers. Raises TrainingError."""
    her = frozenset(map(plain_name, streamer))
    said, heard = _speech(subtitles, her, report) if subtitles else ([], [])
    if chat:
        typed = [
            replace(one, text=clean_text(unmarked(one.text[:MAX_CHARS]), MAX_CHARS))
            for one in read_chat(chat, report.drop)
        ]
        report.figures["messages read"] += len(typed)
        for one in typed:
            if subtitles and _is_hers(one, her):
                report.drop("typed by her, who speaks", one.text)
        messages = list(without_noise((one for one in typed if not _is_hers(one, her)), report.drop))
        if not subtitles:
            said = [
                Utterance(one.at_s, one.at_s, text)
                for one in typed
                if _is_hers(one, her) and (text := fluent(one.text))
            ]
            if not said:
                raise TrainingError(
                    f"{' or '.join(streamer)} writes nothing in {chat}: give --streamer her name in chat."
                )
        elif said and messages and (messages[0].at_s > said[-1].end_s or messages[-1].at_s < said[0].start_s):
            raise TrainingError(
                f"{chat} ({clock(messages[0].at_s)} to {clock(messages[-1].at_s)}) and {subtitles} "
                f"({clock(said[0].start_s)} to {clock(said[-1].end_s)}) do not meet: are they of one stream?"
            )
        heard = sorted([*heard, *messages], key=lambda one: one.at_s)
    said = [replace(one, text=scrubbed(one.text, report.scrub)) for one in said]
    heard = [replace(one, text=scrubbed(one.text, report.scrub)) for one in heard]
    report.figures["utterances of hers"] += len(said)
    common = common_words([one.text for one in said] + [one.text for one in heard])
    names.meet(dict.fromkeys(one.author for one in heard), common)
    return list(aligned(said, heard, streamer, window_s, subtitles is None, common, report.drop))


def common_words(texts: Sequence[str]) -> frozenset[str]:
    """Words of so many texts that two with one of them need not be about the same."""
    counts = Counter(word for text in texts for word in set(words(text)))
    limit = max(COMMON_COUNT, COMMON_SHARE * len(texts))
    return frozenset(word for word, count in counts.items() if count > limit)


def dialogues_of(
    streams: Iterable[Sequence[Exchange]], names: Names, may_be: Callable[[str], bool], report: Report
) -> list[Dialogue]:
    """Dialogues that are fit to learn from, no two alike."""
    found = [
        dialogue(group, names)
        for exchanges in streams
        for group in grouped(in_language(fitting(exchanges, report.drop), may_be, report.drop))
    ]
    dialogues = distinct_dialogues(found, report.drop)
    report.figures["dialogues"] = len(dialogues)
    report.figures["of them idle talk"] = sum(not one.viewers for one in dialogues)
    report.figures["turns"] = sum(len(one.turns) for one in dialogues)
    return dialogues


def _speech(path: Path, her: frozenset[str], report: Report) -> tuple[list[Utterance], list[Message]]:
    """Her utterances, and those of others as messages."""
    cues = read_subtitles(path)
    report.figures["subtitles read"] += len(cues)
    utterances = list(joined(spoken(list(unrolled(cues, report.drop)), her), report.drop))
    names = {one.speaker for one in utterances if one.speaker}
    if names and not any(plain_name(name) in her for name in names):
        raise TrainingError(
            f"Nobody in {path} speaks as --streamer says: the names there are {', '.join(sorted(names)[:8])}."
        )
    said: list[Utterance] = []
    heard: list[Message] = []
    for one in utterances:
        if one.speaker == "" or (names and one.speaker is None):
            report.drop("nobody knows who speaks", one.text)
        elif one.speaker is None or plain_name(one.speaker) in her:
            said.append(one)
        else:
            heard.append(Message(one.end_s, one.speaker, one.text, spoken=True))
    return said, heard


def _is_hers(message: Message, her: frozenset[str]) -> bool:
    return plain_name(message.author) in her
