"""Our engine as a process of its own, so that its time and memory are measured like the peer's.

One JSON task a line on standard input, the seconds it took back: `context` tokens go into each of `rows` rows
before the clock starts, then `prompt` more tokens into the first, then `tokens` single ones into each.
"""

from __future__ import annotations

import json
import sys
import time

import torch

from shared.model.generate import LanguageModel, decode, prefill
from shared.model.gpt import GPT
from shared.model.kv_cache import KVCache
from shared.model.loading import load_model
from shared.model.packing import pack


def answer(model: LanguageModel, cache: KVCache, held: list[int], task: dict[str, int]) -> float:
    """Seconds of one task; `held` counts the tokens of context that each row has from the last."""
    rows = range(task.get("rows", 1))
    context = [(i * 7919) % 40_000 for i in range(task.get("context", 0))]
    for row in rows:
        held[row] = min(held[row], len(context))
        cache.truncate(row, held[row])
        for begin in range(held[row], len(context), 512):
            prefill(model, cache, row, context[begin : begin + 512])
        held[row] = len(context)
    prompt = [(i * 104_729) % 40_000 for i in range(task.get("prompt", 0))]
    began = time.perf_counter()
    if prompt:
        prefill(model, cache, 0, prompt)
    for step in range(task.get("tokens", 0)):
        decode(model, cache, rows, [1000 + step] * len(rows))
    return time.perf_counter() - began


def main() -> None:
    """Arguments: engine, model, context, threads, rows."""
    engine, model, context, threads, rows = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
    torch.set_num_threads(threads if engine == "torch" else 1)
    loaded = load_model(model, device="cpu", engine=engine, threads=threads, offline=True)  # type: ignore[arg-type]
    if isinstance(loaded.model, GPT):
        pack(loaded.model)
    cache = loaded.model.new_cache(rows, context)
    held = [0] * rows
    for line in sys.stdin:
        print(json.dumps(answer(loaded.model, cache, held, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
