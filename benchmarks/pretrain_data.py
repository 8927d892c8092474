"""The data side of pre-training: tokens a minute and core, and how far the loader is ahead of a step."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import torch

from benchmarks.figures import Figure
from benchmarks.pretrain import Worker
from benchmarks.pretrain_worker import preset
from shared.model.device import pick_device
from shared.model.errors import ModelError
from shared.model.progress import plain_progress
from shared.model.tokenizer import Tokenizer
from training import tokenise
from training.device_rate import quickest_dtype
from training.pretrain import AHEAD
from training.shards.loader import TokenLoader, prefetch
from training.shards.ranks import end_of_text, find_tokenizer
from training.shards.sources import CHITCHAT, find_source
from training.shards.tokenising import Rules
from training.shards.tokenising import tokenise as tokenise_piece

PIECES = 4
"""Of about a megabyte each that are timed, of which the best counts."""
MEASURED_ROWS = 4
"""Of a pass whose rate is measured: the preset's own, as far as two cores have the time for them."""
STEPS = 200
STEP_S, WATCHED_STEPS = 0.01, 50


def run() -> Iterator[Figure]:
    """Figures of this machine; the text is fetched once."""
    rates = {name: _step_rate(name) for name in ("nano", "akane-124m")}
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="akane-data-") as folder:
        scratch = Path(folder)
        chosen, tokenizer = _tokenizer()
        yield _tokenising(scratch, chosen, tokenizer)
        out = scratch / "shards"
        flags = ["--limit", "1_000_000", "--processes", "1", "--tokenizer", chosen]
        if tokenise.main(["--source", CHITCHAT, "--out", str(out), *flags]):
            raise SystemExit("The text could not be tokenised.")
        for name, rate in rates.items():
            asked, _ = preset(name)
            yield _loading(name, TokenLoader(out, "train", asked.batch, asked.context), rate)
        asked, _ = preset("nano")
        loader = TokenLoader(out, "train", asked.batch, asked.context)
        yield _waiting(loader, asked.step_tokens // (asked.batch * asked.context))


def _step_rate(name: str) -> float:
    """Tokens a second of a preset's own step, the second of two."""
    asked, _ = preset(name)
    dtype = quickest_dtype(pick_device())
    rows = min(asked.batch, MEASURED_ROWS)
    worker = Worker(asked.optimiser, dtype, rows, asked.context, name)
    try:
        return rows * asked.context / [worker.seconds() for _ in range(2)][1]
    finally:
        worker.close()


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
    pieces = list(source.pieces(source.files[0], "text", 0))
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


def _loading(name: str, loader: TokenLoader, step_rate: float) -> Figure:
    loader.batch_at(0)
    began = time.perf_counter()
    for step in range(STEPS):
        loader.batch_at(step)
    rate = STEPS * loader.batch * loader.context / (time.perf_counter() - began)
    return Figure(f"pretrain_data.loader ({name})", rate, "tokens/s", "step", step_rate, "ratio at least 20")


def _waiting(loader: TokenLoader, passes: int) -> Figure:
    """Of a loop whose passes take `STEP_S`, far faster ones than here, the share that it waits for data."""
    a = torch.randn(256, 256)
    waited = worked = 0.0
    with closing(prefetch(loader, 0, passes + AHEAD)) as batches:
        next(batches)
        for _ in range(WATCHED_STEPS):
            began = time.perf_counter()
            while (done := time.perf_counter()) - began < STEP_S * passes:
                a = torch.tanh(a @ a)
            for _ in range(passes):
                next(batches)
            worked += done - began
            waited += time.perf_counter() - done
    tokens_per_s = loader.batch * loader.context / STEP_S
    return Figure(
        "pretrain_data.waiting",
        100 * waited / (waited + worked),
        "%",
        target=f"at most 1 at {tokens_per_s:,.0f} tokens/s",
    )


def main() -> None:
    """Prints a line a figure."""
    for figure in run():
        print(figure.line(), flush=True)


if __name__ == "__main__":
    main()
