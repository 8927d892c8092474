"""Kokoro-82M: several English and Japanese speakers, slower than the default voice by far."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from services.tts.bending import factor, repitched
from services.tts.rendering import Part
from services.tts.voices import SpeakerError, VoiceError
from services.tts.voices.japanese import LATIN, as_said, is_japanese, japanese
from services.tts.voices.phonemes import Phonemes, Token, english, stretches, timed_part, with_output
from shared.model.progress import Progress

DEFAULT_SPEAKER = "af_heart"
DURATIONS = "/encoder/Clip_output_0"
"""Inner value of the graph: the length of each phoneme at any rate."""
MAX_THREADS = 4
_RUNS = {
    1: ";:,.!?", 9: '—…"()“” \u0303ʣʥʦʨᵝꭧAI', 31: "O", 33: "Q", 35: "ST", 39: "W", 41: "Yᵊabcdef",
    50: "hijklmnopqrstuvwxyzɑɐɒæ", 75: "βɔɕç", 80: "ɖðʤə", 85: "ɚɛɜ", 90: "ɟ", 92: "ɡ", 99: "ɥ", 101: "ɨɪʝ",
    110: "ɯɰŋɳɲɴø", 118: "ɸθœ", 123: "ɹ", 125: "ɾɻ", 128: "ʁɽʂʃʈʧ", 135: "ʊʋ", 138: "ʌɣɤ", 142: "χʎ",
    147: "ʒʔ", 156: "ˈˌː", 162: "ʰ", 164: "ʲ", 169: "↓", 171: "→↗↘", 177: "ᵻ",
}  # fmt: skip
VOCABULARY = {sign: first + at for first, signs in _RUNS.items() for at, sign in enumerate(signs)}
"""Sign and its number in the model."""
_SENTENCE = re.compile(r"(?<=[。！？])(?=.)")


class KokoroVoice:
    """One speaker, 24 kHz, with the time of each phoneme; the language follows each sentence."""

    def __init__(self, speaker: str, report: Progress) -> None:
        try:
            self._load(speaker or DEFAULT_SPEAKER, report)
        except VoiceError:
            raise
        except Exception as error:  # no network, a full disk, a broken install
            reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
            raise VoiceError(f"the kokoro voice cannot be loaded ({reason})") from error

    def _load(self, speaker: str, report: Progress) -> None:
        import onnxruntime
        from hibari import Hibari
        from hibari.g2p import G2P

        from services.tts.voices.kokoro_files import kokoro_files, model_bytes, style_of
        from shared.cores import physical_cores

        files = kokoro_files()
        if speaker not in files.speakers:
            raise SpeakerError(speaker, files.speakers)
        self._frontend: Any = None
        if importlib.util.find_spec("pyopenjtalk"):
            import pyopenjtalk

            self._frontend = pyopenjtalk
        elif speaker.startswith("j"):
            raise VoiceError('a Japanese speaker needs pyopenjtalk-plus: pip install -e ".[kokoro]"')
        self._style = style_of(files, speaker, report)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = min(MAX_THREADS, physical_cores())
        options.log_severity_level = 3
        # Threads that wait must not burn the core that the model thinks with.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            with_output(model_bytes(files, report), DURATIONS), options, providers=["CPUExecutionProvider"]
        )
        self._g2p = G2P(british=speaker.startswith("b"))
        self._split = Hibari.split_sentences

    def synthesize(self, text: str, rate: float, semitones: float = 0.0) -> Iterator[Part]:
        """One part a sentence."""
        for piece in self._split(text):
            for sentence in _SENTENCE.split(piece):
                for stretch in stretches(self._tokens(sentence), frozenset(VOCABULARY)):
                    if any(sign.isalpha() for sign in stretch.signs):
                        yield self._say(stretch, rate, semitones)

    def _tokens(self, sentence: str) -> list[Token]:
        if not is_japanese(sentence):
            return english(self._g2p, sentence)
        tokens: list[Token] = []
        for run in _runs(as_said(sentence)):
            if LATIN.fullmatch(run):
                *spoken, (text, phonemes, _) = english(self._g2p, run)
                tokens += [*spoken, (text, phonemes, True)]
            elif self._frontend and run.strip():
                tokens += japanese(self._frontend.run_frontend(run, use_sudachi_kanji_yomi=False))
        return tokens

    def _say(self, stretch: Phonemes, rate: float, semitones: float) -> Part:
        ids = [VOCABULARY[sign] for sign in stretch.signs]
        feeds = {
            "tokens": np.asarray([[0, *ids, 0]], np.int64),
            "style": self._style[min(len(ids), len(self._style)) - 1][None],
            "speed": np.asarray([rate / factor(semitones)], np.float32),
        }
        samples, durations = self._session.run(None, feeds)
        return repitched(timed_part(stretch, samples, durations), semitones)


def _runs(sentence: str) -> list[str]:
    """English words, and what stands between them."""
    edges = [edge for found in LATIN.finditer(sentence) for edge in found.span()]
    return [sentence[begin:end] for begin, end in pairwise([0, *edges, len(sentence)]) if end > begin]
