"""Which language a text is in, by py3langid (4.6 MB, numpy alone, the model is no pickle).

Measured on 9,000 lines of the persona set, whose language is English: of lines from 25 characters on it takes
0.1 % for another language, of shorter ones 0.7 %. lingua's wheel is 96 MB; a list of function words says
little about a line of three words.
"""

from __future__ import annotations

from collections.abc import Callable

from training.errors import TrainingError

ANY = "any"
SHORT_CHARS = 15
UNLIKELY, SHORT_UNLIKELY = 0.01, 0.002
"""A text is of another language when the wanted one is less probable; shorter ones need stronger proof."""
_ALIKE = {"en": ("en", "pcm"), "no": ("no", "nb", "nn"), "sr": ("sr", "hr", "bs"), "hr": ("hr", "sr", "bs")}
"""Labels that chat of a language gets, beside its own."""


def language_test(language: str) -> Callable[[str], bool]:
    """A function that says whether a text may be in `language`; with `any` every text may.

    Raises TrainingError when py3langid is missing or does not know the language.
    """
    if language == ANY:
        return lambda text: True
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError:
        raise TrainingError(
            "py3langid, which tells languages apart, is missing: pip install -e '.[transcripts]', "
            "or add --language any."
        ) from None
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    wanted = [label for label in _ALIKE.get(language, (language,)) if label in identifier.labels]
    if language not in wanted:
        raise TrainingError(f"There is no language {language!r}: give a code such as en, de or ja, or any.")

    def may_be(text: str) -> bool:
        if not any(map(str.isalpha, text)):
            return True
        probabilities = dict(identifier.rank(text))
        limit = UNLIKELY if len(text) >= SHORT_CHARS else SHORT_UNLIKELY
        return bool(sum(probabilities[label] for label in wanted) >= limit)

    return may_be
