"""What a pre-training step takes, before it is taken: a run that cannot fit says so, and what would."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from shared.model.config import GPTConfig
from training.errors import TrainingError
from training.loss import chunk_logits
from training.muon import SLICE_BYTES, SLICE_BYTES_ON_CARDS

PROCESS_BYTES = 350_000_000
"""Python, torch and what it keeps for itself."""
TURNED_COPIES = 5
"""Of the matrices that Muon orthogonalises at once."""
HOLES = 1.15
"""A heap that keeps what was freed takes so much more than what is in use."""


@dataclass(frozen=True)
class Needs:
    """Of one step, in bytes."""

    fixed: int
    """Weights, moments, gradients and copies that are there while a pass goes on."""
    row: int
    """Kept for the backward pass, for each row of a pass."""
    row_logits: int
    """Of the head, for each row, as long as they fit into `chunk`."""
    chunk: int
    """The most that logits take."""
    update: int
    """All that is there when nothing of a pass is: gradients and what the optimiser works with."""

    def total(self, rows: int) -> int:
        """The most at any moment, with passes of so many rows."""
        learning = self.fixed + rows * self.row + min(self.chunk, rows * self.row_logits)
        return PROCESS_BYTES + round(HOLES * max(self.update, learning))


def step_needs(
    config: GPTConfig,
    context: int,
    muon: bool,
    autocast: bool,
    checkpointing: bool,
    device_type: str,
    *,
    passes: int = 1,
    documents: bool = False,
    shares: int = 1,
) -> Needs:
    """Estimated from the tensors that a pass keeps; a test holds it to within a fifth of what is measured.

    `passes` make a step; `documents` have a mask; `shares` are the ranks over which FSDP spreads the model.
    """
    count, table = config.parameter_count, config.vocab_size * config.n_embd
    block = sum(out * into for out, into in config.linear_shapes.values())
    matrices = config.n_layer * block
    held = (4 * count + 8 * count - (4 * matrices if muon else 0)) // shares
    gradients = 4 * count // shares
    if shares > 1:
        # Whole while they are used: embedding, head and two blocks; and gradients until the last pass.
        held += 4 * (2 * table + 2 * block)
        gradients = 4 * count if passes > 1 else gradients + 4 * 2 * table
    # Autocast keeps its copies of the blocks' matrices until the pass is over, the loss that of the head.
    halves = 2 * (matrices + table) if autocast else 0
    # The head's gradient is made in the forward pass; the embedding's when little else is left of the pass.
    width = 2 if autocast else 4
    fixed = held + halves + (4 + width) * table + (gradients if passes > 1 else 0)
    last = 4 * table * (2 if passes > 1 else 1)
    update = held + gradients + max(last, _turning(config, device_type, shares) if muon else 0)
    update = max(update, 4 * count)  # each rank begins with the whole model
    layer = _layer(config, context, autocast, documents, device_type)
    blocks = 4 * config.n_embd * config.n_layer + layer if checkpointing else config.n_layer * layer
    # The backward pass of a block works with about as much again as the block has kept.
    row = blocks + layer + 6 * 4 * config.n_embd + width * 3 * (config.hidden_size + config.n_embd)
    return Needs(
        fixed=fixed,
        row=context * (row + (context if documents else 0)),
        row_logits=context * config.vocab_size * (6 + width),
        chunk=(6 + width) * chunk_logits(device_type, True),
        update=update,
    )


def _layer(config: GPTConfig, context: int, autocast: bool, documents: bool, device_type: str) -> int:
    """Bytes that a block keeps of a token."""
    query, key = config.n_head * config.head_size, config.n_kv_head * config.head_size
    width, hidden = config.n_embd, config.hidden_size
    normed = 2 * (query + key) * (config.qk_norm != "none")
    # The residual stream before each norm and its normed copy; then what each product reads.
    if autocast:  # each product casts its own copy
        full, half = 4 * width + normed, 5 * width + 4 * query + 3 * key + 4 * hidden
    else:
        full, half = 6 * width + normed + 4 * query + 3 * key + 4 * hidden, 0
    kept = 4 * full + 2 * half
    if documents:  # the mask as numbers to add; on a card each key head is repeated
        repeated = 2 * (query - key) if device_type == "cuda" else 0
        kept += (2 if autocast else 4) * (context + repeated)
    return kept


def _turning(config: GPTConfig, device_type: str, ranks: int) -> int:
    """What Muon works with: some alike matrices at once on each rank, and those of all ranks gathered."""
    largest = 4 * max(out * into for out, into in config.linear_shapes.values())
    at_once = max(largest, SLICE_BYTES if device_type == "cpu" else SLICE_BYTES_ON_CARDS)
    together = min(ranks * at_once, 2 * config.n_layer * largest)
    return TURNED_COPIES * together // ranks + (2 * together if ranks > 1 else 0)


def free_bytes(device: torch.device) -> int:
    """Memory that a run could still take there, the limit of a container counted."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return min(int(psutil.virtual_memory().available), *groups_free())


def groups_free(
    described: Path = Path("/proc/self/cgroup"), mounted: Path = Path("/sys/fs/cgroup")
) -> Iterator[int]:
    """What each control group above this process leaves below its limit, in versions 2 and 1 of them.

    Cached files count as free: they give way.
    """
    try:
        lines = described.read_text().splitlines()
    except OSError:  # no Linux
        return
    for line in lines:
        number, controllers, place = line.split(":", 2)
        if number == "0":
            base, limit, used, total = mounted, "memory.max", "memory.current", ""
        elif "memory" in controllers.split(","):
            base, total = mounted / "memory", "total_"
            limit, used = "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        here = base / place.lstrip("/")
        for group in (here, *here.parents):
            if not group.is_relative_to(base):
                break
            # The group of all has no limit, and of a container's the folder may be hidden.
            with suppress(OSError, ValueError):
                most = int((group / limit).read_text())
                facts = dict(one.split() for one in (group / "memory.stat").read_text().splitlines())
                cached = sum(int(facts.get(f"{total}{kind}_file", 0)) for kind in ("active", "inactive"))
                yield max(0, most - int((group / used).read_text()) + cached)


def require_memory(needs: Needs, rows: int, free: int, processes: int) -> None:
    """Raise TrainingError, with what would fit, when passes of so many rows do not.

    `processes` divide the memory among them.
    """
    mine = free // processes
    if needs.total(rows) <= mine:
        return
    fitting = max((fewer for fewer in range(1, rows) if needs.total(fewer) <= mine), default=0)
    advice = f"--batch {fitting} fits"
    if fitting < 1:
        advice = "take a smaller model or --context, --checkpointing, or --parallel fsdp on more processes"
    takes, free_gb = needs.total(rows) / 1e9, mine / 1e9
    raise TrainingError(
        f"A pass of {rows} rows takes about {takes:.1f} GB and {free_gb:.1f} GB are free: {advice}."
    )
