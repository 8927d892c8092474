"""llama.cpp as the engine benchmark's peer, in an environment of its own where llama_cpp alone is installed.

One JSON task a line on standard input, one JSON number a line back; see engine_worker.py for the tasks.
"""

from __future__ import annotations

import ctypes
import json
import sys
import time

import llama_cpp as llama

sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]


def quantize(source: str, target: str) -> None:
    """Write `source` again as Q4_0, the quantisation that llama.cpp is fastest with."""
    params = llama.llama_model_quantize_default_params()
    params.ftype, params.allow_requantize, params.nthread = 2, True, 2
    if llama.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(params)):
        raise SystemExit("llama.cpp could not quantise the model")


class Peer:
    """One context with as many sequences as the tasks need."""

    def __init__(self, path: str, context: int, threads: int, rows: int) -> None:
        model = llama.llama_model_load_from_file(path.encode(), llama.llama_model_default_params())
        params = llama.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch = context, 512, 512
        params.n_threads = params.n_threads_batch = threads
        params.n_seq_max, params.kv_unified = rows, True
        self.context = llama.llama_init_from_model(model, params)
        self.memory = llama.llama_get_memory(self.context)
        self.held = [0] * rows

    def _run(self, tokens: list[int], rows: list[int], start: int, wanted: bool = True) -> None:
        batch = llama.llama_batch_init(len(tokens), 0, 1)
        batch.n_tokens = len(tokens)
        one_row = len(set(rows)) == 1
        for i, (token, row) in enumerate(zip(tokens, rows)):  # noqa: B905 - this side may be any Python
            batch.token[i], batch.pos[i] = token, start + (i if one_row else 0)
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, row
            batch.logits[i] = wanted and (not one_row or i == len(tokens) - 1)
        if llama.llama_decode(self.context, batch):
            raise SystemExit("llama.cpp refused a batch")
        llama.llama_get_logits_ith(self.context, -1)
        llama.llama_batch_free(batch)

    def prefill(self, tokens: list[int], row: int = 0, start: int = 0) -> None:
        """Add tokens to a row, in pieces of 512."""
        for begin in range(0, len(tokens), 512):
            part = tokens[begin : begin + 512]
            self._run(part, [row] * len(part), start + begin, begin + 512 >= len(tokens))

    def decode(self, rows: list[int], token: int, position: int) -> None:
        """One token for each row."""
        self._run([token] * len(rows), rows, position)

    def cut(self, row: int, length: int) -> None:
        """Forget all but the first `length` tokens of a row."""
        llama.llama_memory_seq_rm(self.memory, row, length, -1)


def answer(peer: Peer, task: dict[str, int]) -> float:
    """Seconds of one task."""
    prompt = [(i * 7919) % 40_000 for i in range(task.get("context", 0))]
    rows = list(range(task.get("rows", 1)))
    for row in rows:
        held = min(peer.held[row], len(prompt))
        peer.cut(row, held)
        if prompt[held:]:
            peer.prefill(prompt[held:], row, held)
        peer.held[row] = len(prompt)
    extra = [(i * 104_729) % 40_000 for i in range(task.get("prompt", 0))]
    began = time.perf_counter()
    if extra:
        peer.prefill(extra, 0, len(prompt))
    for step in range(task.get("tokens", 0)):
        peer.decode(rows, 1000 + step, len(prompt) + len(extra) + step)
    return time.perf_counter() - began


def main() -> None:
    """Arguments: `quantize SOURCE TARGET`, or model path, context, threads, rows."""
    if sys.argv[1] == "quantize":
        return quantize(sys.argv[2], sys.argv[3])
    peer = Peer(sys.argv[1], *map(int, sys.argv[2:5]))
    for line in sys.stdin:
        print(json.dumps(answer(peer, json.loads(line))))
    return None


if __name__ == "__main__":
    main()
