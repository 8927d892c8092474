"""The data side of pre-training: tokens a minute and core, and how far the loader is ahead of a step.

`python -m benchmarks.pretrain_data --nano 5000 --large 300` takes the steps' own rates, in tokens/s.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import torch

from benchmarks.figures import Figure
from shared.model.errors import ModelError
from shared.model.progress import plain_progress
from shared.model.tokenizer import Tokenizer
from training import tokenise
from training.shards.documents import pieces_of
from training.shards.loader import TokenLoader, prefetch
from training.shards.ranks import end_of_text, find_tokenizer
from training.shards.sources import CHITCHAT, find_source
from training.shards.tokenising import Rules
from training.shards.tokenising import tokenise as tokenise_piece

PIECES = 4
"""Of about a megabyte each that are timed, of which the best counts."""
NANO_TOKENS_PER_S, LARGE_TOKENS_PER_S = 5000.0, 300.0
"""What a step of the presets `nano` and `akane-124m` takes in on two CPU cores."""
SHAPES = {"nano": (16, 256), "akane-124m": (4, 1024)}
STEPS = 200
STEP_S, WATCHED_STEPS = 0.01, 100


def run(nano: float = NANO_TOKENS_PER_S, large: float = LARGE_TOKENS_PER_S) -> Iterator[Figure]:
    """Figures of this machine; the text is fetched once."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="akane-data-") as name:
        scratch = Path(name)
        chosen, tokenizer = _tokenizer()
        yield _tokenising(scratch, chosen, tokenizer)
        out = scratch / "shards"
        flags = ["--limit", "1_000_000", "--processes", "1", "--tokenizer", chosen]
        if tokenise.main(["--source", CHITCHAT, "--out", str(out), *flags]):
            raise SystemExit("The text could not be tokenised.")
        for preset, rate in (("nano", nano), ("akane-124m", large)):
            loader = TokenLoader(out, "train", *SHAPES[preset])
            yield _loading(preset, loader, rate)
        yield _waiting(TokenLoader(out, "train", *SHAPES["nano"]))


def _tokenizer() -> tuple[str, Tokenizer]:
    """GPT-2's, or where its ranks cannot be had that of the default model."""
    quiet = plain_progress(lambda line: None)
    try:
        return "gpt2", find_tokenizer("gpt2", quiet)
    except ModelError:
        return "smollm2-135m", find_tokenizer("smollm2-135m", quiet)


def _tokenising(scratch: Path, chosen: str, tokenizer: Tokenizer) -> Figure:
    """All that a process does with a piece: read it, hash its documents, encode them. The best of some."""
    source = find_source(CHITCHAT, scratch, plain_progress(lambda line: None))
    rules = Rules(field="text", eot=end_of_text(tokenizer), dtype="uint16", validation=0.005)
    pieces = list(pieces_of(source.fetch(source.files[0]), source.files[0].format, "text"))
    tokenise_piece(pieces[0], rules, tokenizer)
    best = 0.0
    for piece in pieces[1 : 1 + PIECES]:
        began = time.perf_counter()
        result = tokenise_piece(piece, rules, tokenizer)
        minutes = (time.perf_counter() - began) / 60
        best = max(best, sum(map(len, result.tokens.values())) / minutes)
    return Figure(
        f"pretrain_data.tokenise ({chosen})", best, "tokens/min", target="at least 2,000,000 a core"
    )


def _loading(preset: str, loader: TokenLoader, step_rate: float) -> Figure:
    loader.batch_at(0)
    began = time.perf_counter()
    for step in range(STEPS):
        loader.batch_at(step)
    rate = STEPS * loader.batch * loader.context / (time.perf_counter() - began)
    return Figure(
        f"pretrain_data.loader ({preset})", rate, "tokens/s", "step", step_rate, "ratio at least 20"
    )


def _waiting(loader: TokenLoader) -> Figure:
    """Of a loop whose steps take `STEP_S`, far faster ones than here, the share that it waits for data."""
    a = torch.randn(256, 256)
    waited = worked = 0.0
    with closing(prefetch(loader, 0)) as batches:
        next(batches)
        for _ in range(WATCHED_STEPS):
            began = time.perf_counter()
            while (done := time.perf_counter()) - began < STEP_S:
                a = torch.tanh(a @ a)
            next(batches)
            worked += done - began
            waited += time.perf_counter() - done
    share = 100 * waited / (waited + worked)
    return Figure("pretrain_data.waiting", share, "%", target="at most 1 at 400,000 tokens/s")


def main() -> None:
    """Prints a line a figure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pretrain_data", description=__doc__)
    parser.add_argument("--nano", type=float, default=NANO_TOKENS_PER_S, help="tokens/s of its step")
    parser.add_argument("--large", type=float, default=LARGE_TOKENS_PER_S, help="of akane-124m's")
    arguments = parser.parse_args()
    for figure in run(arguments.nano, arguments.large):
        print(figure.line(), flush=True)


if __name__ == "__main__":
    main()
