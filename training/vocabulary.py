"""A vocabulary of one's own: byte-level BPE learned from text, as a file of tiktoken ranks.

python -m training.vocabulary --source books/ --size 8192 --out books.tiktoken
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from shared.config import Section
from shared.model.progress import terminal_progress
from shared.model.tokenizer import spelled_bytes
from training.arguments import parse
from training.errors import TrainingError
from training.guard import ended
from training.shards.documents import Bad, read_documents
from training.shards.ranks import SUFFIX, read_ranks, write_ranks
from training.shards.sources import NAMES, Source, find_source
from training.shards.tokenising import encode

CHECKED_CHARS = 1_000_000
"""Of the text that is encoded by both libraries before a vocabulary is written."""


class Arguments(Section):
    """One vocabulary."""

    source: str = Field(
        min_length=1,
        description=f"file or folder of text, JSONL, parquet; hub:ORG/DATASET/FOLDER; {', '.join(NAMES)}",
    )
    out: str = Field(pattern=rf"\{SUFFIX}$", description=f"file to write, {SUFFIX}")
    size: int = Field(8192, ge=258, le=1 << 20, description="tokens in all, the end of a text counted")
    field: str = Field("text", min_length=1, description="that holds the text, in JSONL and parquet")
    limit_mb: int = Field(200, ge=1, description="text to learn from, the first of the source")


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 2 and one sentence for wrong arguments or text, 130 for Ctrl-C."""

    def job() -> int:
        return run(parse(Arguments, "python -m training.vocabulary", __doc__ or "", argv, presets=None))

    return ended(job, "Stopped; nothing is written.")


def run(arguments: Arguments) -> int:
    """Learn it, compare it with the library, write it. Raises TrainingError, ModelError, OSError."""
    out = Path(arguments.out).expanduser()
    if out.exists():
        raise TrainingError(f"{out} is there already: give another --out.")
    with tempfile.TemporaryDirectory(prefix="akane-vocabulary-") as scratch, terminal_progress() as progress:
        source = find_source(arguments.source, Path(scratch), progress)
        sample: list[str] = []
        try:
            library = train(_kept(_texts(source, arguments), sample), arguments.size - 1)
        finally:
            source.stopping.set()
    if not sample:
        raise TrainingError(f"There is no text in {source.name}: nothing was written.")
    ranks = ranks_of(library)
    if (reached := len(ranks) + 1) < arguments.size:
        raise TrainingError(
            f"{source.name} has text for {reached} tokens only: give more text, or --size {reached}."
        )
    with tempfile.TemporaryDirectory(prefix="akane-vocabulary-") as scratch:
        part = Path(scratch) / out.name
        write_ranks(part, ranks)
        tokenizer = read_ranks(part)
    for text in sample:
        if encode(tokenizer, text) != library.encode(text).ids:
            raise TrainingError(
                f"tiktoken and tokenizers disagree about {text[:40]!r}: nothing was written; "
                "another --size or --source may do."
            )
    write_ranks(out, ranks)
    n_bytes = sum(len(text.encode("utf-8", "replace")) for text in sample)
    n_tokens = sum(len(encode(tokenizer, text)) for text in sample)
    print(
        f"{out}: {tokenizer.vocab_size:,} tokens, {n_bytes / max(1, n_tokens):.2f} bytes each in the source"
    )
    return 0


def train(texts: Iterator[str], size: int) -> Any:
    """A `tokenizers.Tokenizer` of `size` tokens, all bytes among them; text is cut as GPT-2 cuts it.

    Raises TrainingError when the library is not installed.
    """
    try:
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    except ImportError:
        raise TrainingError("Vocabularies need tokenizers: pip install -e '.[pretrain]'.") from None
    library = Tokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        show_progress=sys.stderr.isatty(),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=[],
    )
    library.train_from_iterator(texts, trainer)
    return library


def ranks_of(library: Any) -> dict[bytes, int]:
    """Bytes and id of every token of a byte-level `tokenizers.Tokenizer`."""
    vocabulary = json.loads(library.to_str())["model"]["vocab"]
    return {spelled_bytes(token): number for token, number in vocabulary.items()}


def _texts(source: Source, arguments: Arguments) -> Iterator[str]:
    """Texts in order until there is enough. Raises TrainingError for what cannot be read."""
    room = arguments.limit_mb * 1_000_000
    for file in source.files:
        for piece in source.pieces(file, arguments.field, 0):
            for text in read_documents(piece, arguments.field):
                if isinstance(text, Bad):
                    raise TrainingError(f"{text.reason}: mend it or take it away.")
                # What JSON may hold and UTF-8 may not.
                data = text.encode("utf-8", "replace")
                yield data.decode("utf-8")
                room -= len(data)
                if room <= 0:
                    return
        source.release(file)


def _kept(texts: Iterator[str], sample: list[str]) -> Iterator[str]:
    """The same texts; the first of them stay in `sample`."""
    room = CHECKED_CHARS
    for text in texts:
        if room > 0 and text.strip():
            sample.append(text[:room])
            room -= len(text)
        yield text


if __name__ == "__main__":
    sys.exit(main())
