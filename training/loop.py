"""The loop of every kind of training: steps, held-out loss, best weights, checkpoints, an end."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import nn

from shared.model.checkpoint import save_tensors
from training import checkpoints
from training.distributed import World, whole
from training.errors import Diverged, TrainingError
from training.optimiser import set_rate
from training.progress import Display, Log

Batch = TypeVar("Batch")
RECENT = 64
"""Steps whose losses say what is a spike."""


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
    recent: list[float] = field(default_factory=list)
    """Losses of the last steps."""


@dataclass
class Run(Generic[Batch]):
    """What is trained, on what, and how."""

    folder: Path
    world: World
    parameters: Mapping[str, nn.Parameter]
    optimisers: Sequence[torch.optim.Optimizer]
    """Each parameter in one of them."""
    steps: int
    rate_at: Callable[[int], float]
    batches_at: Callable[[int], tuple[Sequence[Batch], int, int]]
    """For a step: this rank's batches, and of all ranks what their losses are divided by, and the tokens."""
    gradients_of: Callable[[Sequence[Batch], int], float]
    """Leaves the gradients of all ranks' batches in the parameters; returns their mean loss. The number is
    what losses are divided by."""
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
    patience: int = 0
    """Evaluations without a better one before the run ends; 0: never."""
    save_every: int = 0
    """Steps between checkpoints; 0: one at each evaluation."""
    rule: checkpoints.Rule = field(default_factory=checkpoints.Rule)
    keep_best: bool = True
    """Write the weights of the best evaluation beside the checkpoint."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Of the weights' files."""
    peak_tokens_per_s: float = 0.0
    """What all devices would reach if they never waited; 0: not known."""
    spike: float = 0.0
    """Nats above the median of the last losses that end the run; 0: none do."""
    keep_broken: Callable[[Sequence[Batch], Path], None] | None = None
    """Writes this rank's batches of a step that broke into a folder."""


def resume(run: Run[Any]) -> State:
    """Where the run's newest checkpoint left off. Raises TrainingError when that was a different run."""
    checkpoint = checkpoints.newest(run.folder)
    if checkpoint is None:
        return State()
    saved = checkpoints.read_state(checkpoint)
    described = saved.pop("run", {})
    for key, value in run.described.items():
        held = described.get(key, value)  # what an older version did not ask is as it was
        if held != value:
            is_hash = key.endswith("_sha256")
            what = f"another {key.removesuffix('_sha256')}" if is_hash else f"{key} = {held!r}, not {value!r}"
            raise TrainingError(
                f"{run.folder} holds a run with {what}: "
                "go on with the same arguments and data, or give another --out."
            )
    checkpoints.restore(checkpoint, run.parameters, run.optimisers)
    return State(**saved)


def fit(run: Run[Batch], state: State, logs: Sequence[Log], display: Display) -> State:
    """Train until the steps are done or the held-out measure no longer falls. Raises Diverged.

    Every step is a row in each of the `logs`.
    """
    while state.step < run.steps and not (run.patience and state.worse >= run.patience):
        began = time.perf_counter()
        rate = run.rate_at(state.step)
        loss, norm, n_tokens = one_step(run, state, rate)
        took = time.perf_counter() - began
        state.step += 1
        state.tokens += n_tokens
        state.seconds += took
        state.recent = [*state.recent, loss][-RECENT:]
        tokens_per_s = n_tokens / took
        row: dict[str, object] = {
            "loss": f"{loss:.5f}",
            "rate": f"{rate:.3g}",
            "gradient_norm": f"{norm:.4f}",
        }
        row |= {"tokens": state.tokens, "tokens_per_s": f"{tokens_per_s:.0f}"}
        facts = f"loss {loss:.3f} · {tokens_per_s:,.0f} tokens/s"
        if run.peak_tokens_per_s:
            used = tokens_per_s / run.peak_tokens_per_s
            row["mfu"] = f"{used:.4f}"
            facts += f" · MFU {100 * used:.0f} %"
        ends = state.step == run.steps
        due = ends or state.step % run.evaluate_every == 0
        if due:
            heldout = run.evaluate()
            row |= {name: f"{value:.5f}" for name, value in heldout.items()}
            _judge(run, state, heldout)
        # Before the checkpoint: a resumed run drops rows behind it, but cannot find lost ones.
        with run.world.agreed():
            for log in logs:
                log.add(state.step, row)
        if due if not run.save_every else ends or state.step % run.save_every == 0:
            kept = {**asdict(state), "run": run.described}
            with run.world.agreed():
                checkpoints.save(
                    run.folder,
                    state.step,
                    run.parameters,
                    run.optimisers,
                    kept,
                    run.rule,
                    run.metadata,
                    run.world.leads,
                )
        if due:
            display.say(f"step {state.step}: {measured(heldout)}{'' if state.worse else ', the best so far'}")
            run.tell(state)
        display.step(state.step, facts)
    return state


def measured(values: Mapping[str, float]) -> str:
    """Measures as people read them: `heldout_loss` as `held-out loss 1.2345`."""
    return ", ".join(
        f"{name.replace('heldout', 'held-out').replace('_', ' ')} {value:.4f}"
        for name, value in values.items()
    )


def one_step(run: Run[Batch], state: State, rate: float) -> tuple[float, float, int]:
    """One update of the weights: mean loss of its learned tokens, gradient norm before clipping, tokens."""
    # Everything random is a function of the step, so that a run taken up again draws the same numbers.
    torch.manual_seed((run.seed << 32) + state.step * run.world.size + run.world.rank)
    batches, n_learned, n_tokens = run.batches_at(state.step)
    for optimiser in run.optimisers:
        set_rate(optimiser, rate)
        optimiser.zero_grad(set_to_none=True)
    mean = run.gradients_of(batches, n_learned)
    norm = float(whole(nn.utils.clip_grad_norm_(run.parameters.values(), run.clip)))
    wrong, advice = trouble(mean, norm, state.recent, run.spike)
    if wrong:
        kept = ""
        if run.keep_broken is not None:
            folder = run.folder / f"broken-{state.step + 1:08d}"
            run.keep_broken(batches, folder)
            kept = f" What was read is in {folder}."
        raise Diverged(
            f"{wrong} at step {state.step + 1} (loss {mean}, gradient {norm}): it "
            f"was not kept. {advice}.{kept}"
        )
    for optimiser in run.optimisers:
        optimiser.step()
    return mean, norm, n_tokens


def trouble(loss: float, norm: float, recent: Sequence[float], spike: float) -> tuple[str, str]:
    """What is wrong with a step's loss and gradient, and what to do; empty when nothing is.

    A spike is `spike` nats above the median of the `recent` losses, once there are RECENT of them.
    """
    lower = "Start again with a lower learning rate"
    if not (math.isfinite(loss) and math.isfinite(norm)):
        return "The loss is no longer a number", lower
    if spike and len(recent) >= RECENT and loss > statistics.median(recent) + spike:
        return "The loss leaps up", f"{lower}, or go past it with --resume --spike 0"
    return "", ""


def _judge(run: Run[Any], state: State, heldout: dict[str, float]) -> None:
    """Keep the weights if they are the best so far. A measure that is no number never is."""
    best = tuple(state.best.values()) or (math.inf,) * len(heldout)
    if not (tuple(heldout.values()) < best and all(map(math.isfinite, heldout.values()))):
        state.worse += 1
        return
    state.best, state.worse = heldout, 0
    if not run.keep_best:
        return
    state.best_file = f"best-{state.step:08d}.safetensors"
    weights = checkpoints.gathered(run.parameters, run.world.leads)
    with run.world.agreed():
        if run.world.leads:
            save_tensors(run.folder / state.best_file, weights, run.metadata)
