"""The loop of every kind of training: steps, held-out loss, best weights, checkpoints, an end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from training import checkpoints
from training.distributed import World, sum_gradients
from training.errors import Diverged, TrainingError
from training.optimiser import set_rate
from training.progress import CsvLog, Display

Batch = TypeVar("Batch")


@dataclass
class State:
    """All of a run beside weights and optimiser: data position and random numbers follow from `step`."""

    step: int = 0
    """Steps done."""
    tokens: int = 0
    """Tokens that went through the model, of all ranks."""
    seconds: float = 0.0
    """Spent in steps, pauses left out."""
    best: dict[str, float] = field(default_factory=dict)
    """What the best evaluation measured."""
    best_file: str = ""
    """Its weights, in the run's folder."""
    worse: int = 0
    """Evaluations since then."""


@dataclass
class Run(Generic[Batch]):
    """What is trained, on what, and how."""

    folder: Path
    world: World
    parameters: Mapping[str, nn.Parameter]
    optimiser: torch.optim.Optimizer
    steps: int
    rate_at: Callable[[int], float]
    batches_at: Callable[[int], tuple[Sequence[Batch], int, int]]
    """For a step: this rank's batches, and of all ranks what their losses are divided by, and the tokens."""
    loss_of: Callable[[Batch], Tensor]
    """Sum over what the batch learns from: tokens, pairs."""
    evaluate: Callable[[], dict[str, float]]
    """Held-out measures by their column in the log, on every rank the same: the first is to fall, the next
    decide between equals."""
    tell: Callable[[State], None]
    """Called after every evaluation."""
    described: Mapping[str, Any]
    """Kept in the checkpoint: whoever takes the run up again must describe it so."""
    seed: int
    clip: float
    evaluate_every: int
    patience: int
    """Evaluations without a better one before the run ends; 0: never."""


def resume(run: Run[Any]) -> State:
    """Where the run's newest checkpoint left off. Raises TrainingError when that was a different run."""
    checkpoint = checkpoints.newest(run.folder)
    if checkpoint is None:
        return State()
    saved = checkpoints.read_state(checkpoint)
    described = saved.pop("run", {})
    for key, value in run.described.items():
        if described.get(key) != value:
            raise TrainingError(
                f"{run.folder} holds a run with {key} = {described.get(key)!r}, not {value!r}: "
                "go on with the same arguments and data, or give another --out."
            )
    checkpoints.restore(checkpoint, run.parameters, run.optimiser)
    return State(**saved)


def fit(run: Run[Batch], state: State, log: CsvLog | None, display: Display) -> State:
    """Train until the steps are done or the held-out measure no longer falls. Raises Diverged."""
    while state.step < run.steps and not (run.patience and state.worse >= run.patience):
        began = time.perf_counter()
        rate = run.rate_at(state.step)
        loss, norm, n_tokens = _step(run, state.step, rate)
        took = time.perf_counter() - began
        state.step += 1
        state.tokens += n_tokens
        state.seconds += took
        tokens_per_s = n_tokens / took
        row: dict[str, object] = {
            "loss": f"{loss:.5f}",
            "rate": f"{rate:.3g}",
            "gradient_norm": f"{norm:.4f}",
        }
        row |= {"tokens": state.tokens, "tokens_per_s": f"{tokens_per_s:.0f}"}
        due = state.step % run.evaluate_every == 0 or state.step == run.steps
        if due:
            heldout = run.evaluate()
            row |= {name: f"{value:.5f}" for name, value in heldout.items()}
            _judge(run, state, heldout)
        # Before the checkpoint: a resumed run drops rows behind it, but cannot find lost ones.
        if log is not None:
            log.add(state.step, row)
        if due:
            if run.world.leads:
                kept = {**asdict(state), "run": run.described}
                checkpoints.save(run.folder, state.step, run.parameters, run.optimiser, kept)
            run.world.wait()
            display.say(f"step {state.step}: {measured(heldout)}{'' if state.worse else ', the best so far'}")
            run.tell(state)
        display.step(state.step, f"loss {loss:.3f} · {tokens_per_s:,.0f} tokens/s")
    return state


def measured(values: Mapping[str, float]) -> str:
    """Measures as people read them: `heldout_loss` as `held-out loss 1.2345`."""
    return ", ".join(
        f"{name.replace('heldout', 'held-out').replace('_', ' ')} {value:.4f}"
        for name, value in values.items()
    )


def _step(run: Run[Batch], step: int, rate: float) -> tuple[float, float, int]:
    """One update of the weights: mean loss of its learned tokens, gradient norm before clipping, tokens."""
    # Everything random is a function of the step, so that a run taken up again draws the same numbers.
    torch.manual_seed((run.seed << 32) + step * run.world.size + run.world.rank)
    batches, n_learned, n_tokens = run.batches_at(step)
    set_rate(run.optimiser, rate)
    run.optimiser.zero_grad(set_to_none=True)
    total = 0.0
    for batch in batches:
        loss = run.loss_of(batch) / n_learned
        loss.backward()
        total += float(loss.detach())
    sum_gradients(run.world, run.parameters.values())
    mean = run.world.total(total)
    norm = float(nn.utils.clip_grad_norm_(run.parameters.values(), run.clip))
    if not (math.isfinite(mean) and math.isfinite(norm)):
        raise Diverged(
            f"The loss is no longer a number at step {step + 1} (loss {mean}, gradient {norm}): it "
            "was not kept. Start again with a lower learning rate."
        )
    run.optimiser.step()
    return mean, norm, n_tokens


def _judge(run: Run[Any], state: State, heldout: dict[str, float]) -> None:
    """Keep the weights if they are the best so far. A measure that is no number never is."""
    best = tuple(state.best.values()) or (math.inf,) * len(heldout)
    if not (tuple(heldout.values()) < best and all(map(math.isfinite, heldout.values()))):
        state.worse += 1
        return
    state.best, state.worse = heldout, 0
    state.best_file = f"best-{state.step:08d}.safetensors"
    if run.world.leads:
        checkpoints.write_tensors(run.folder / state.best_file, run.parameters)
