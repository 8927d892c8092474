"""What every program that trains has in common: arguments, the model, a run out of its parts, the result."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from shared.config import Section
from shared.model.adapter import NAME, Adapter, AdapterInfo, save_adapter
from shared.model.device import pick_dtype, set_threads
from shared.model.gpt import GPT
from shared.model.loading import LoadedModel, load_model
from shared.model.progress import terminal_progress
from training.allocator import keep_freed_memory
from training.checkpoints import newest, read_state, read_tensors
from training.device_rate import quickest_dtype
from training.distributed import World, summed_gradients
from training.errors import Diverged, TrainingError
from training.guard import ended
from training.loop import Run, State, fit, measured, resume
from training.lora import load_values
from training.optimiser import make_optimiser, scheduled_rate
from training.progress import CsvLog, Display, Log

Batch = TypeVar("Batch")
Asked = TypeVar("Asked", bound="LoopArguments")
Taught = TypeVar("Taught", bound="RunArguments")


class LoopArguments(Section):
    """What every run of the loop is asked."""

    out: str = Field("runs/finetune", description="folder of the run: log, checkpoint, result")
    name: str = Field("akane", pattern=NAME.pattern, description="of the adapter or checkpoint that is made")
    resume: bool = Field(False, description="go on with the run in --out")
    lr: float = Field(1e-3, gt=0, le=1, description="peak learning rate")
    warmup: float = Field(0.05, ge=0, lt=1, description="share of the steps until the peak")
    floor: float = Field(0.1, ge=0, le=1, description="share of the peak that is left at the end")
    weight_decay: float = Field(0.0, ge=0, description="of matrices")
    clip: float = Field(1.0, gt=0, description="largest gradient norm")
    evaluate_every: int = Field(25, ge=1, description="steps between evaluations, each with a checkpoint")
    samples: int = Field(2, ge=0, description="replies shown at each evaluation")
    checkpointing: bool = Field(False, description="recompute activations: less memory, a third slower")
    seed: int = Field(0, ge=0, lt=2**31, description="of order, heads and first weights")
    device: str = Field("auto", description="auto, cuda, mps or cpu")
    dtype: Literal["auto", "float32", "bfloat16"] = Field("auto", description="that is computed in")
    threads: int = Field(0, ge=0, description="of the CPU; 0 takes the physical cores")


class RunArguments(LoopArguments):
    """One run that teaches a model which is there already."""

    model: str = Field("smollm2-135m", description="preset, hub name or path of the model to teach")
    persona: str = Field("akane", description="persona whose instructions head the dialogues")
    heldout: list[str] = Field([], description="files to judge by; without them, some of the data")
    heldout_share: float = Field(0.05, gt=0, lt=1, description="of the data, where no --heldout is given")
    epochs: float = Field(4.0, gt=0, le=1000, description="passes over the data")
    batch: int = Field(32, ge=1, description="dialogues or pairs a step, of all processes together")
    row_tokens: int = Field(2048, ge=64, description="tokens at once: fewer take less memory")
    max_tokens: int = Field(1024, ge=16, description="longest dialogue; longer ones are left out")
    patience: int = Field(4, ge=0, description="evaluations without gain until the run ends; 0: never")


FREE = {"out", "name", "resume", "samples", "device", "threads"}
"""What may change when a run is taken up again; files may move too, of them the content counts."""


GOES_ON = "The same command with --resume goes on."
STOPPED = f"Stopped. {GOES_ON}"


def guarded(
    job: Callable[[], int], stopped: str, smaller: str = "lower --row-tokens or add --checkpointing"
) -> int:
    """As `ended`; a disk that fails is 1, and so is too little memory: it says that `smaller` helps."""

    def within_memory() -> int:
        try:
            return job()
        except (MemoryError, RuntimeError) as error:
            # On a CPU it is an error like any other.
            if type(error) is RuntimeError and "can't allocate memory" not in str(error):
                raise
            print(f"The device has too little memory: {smaller}.", file=sys.stderr)
            return 1

    return ended(within_memory, stopped, disk_status=1, full=f"The disk is full: make room. {GOES_ON}")


def require_free(arguments: LoopArguments) -> None:
    """Raise TrainingError when there is a run in --out that is not to be gone on with, or only its result."""
    folder = Path(arguments.out).expanduser()
    if newest(folder) is not None:
        if not arguments.resume:
            raise TrainingError(
                f"{folder} holds a run: add --resume to go on with it, or give another --out."
            )
    elif result_path(arguments).exists():
        raise TrainingError(
            f"{result_path(arguments)} is there, but no checkpoint to go on from: give another --out, "
            "or move it and log.csv away."
        )


def result_path(arguments: LoopArguments) -> Path:
    """The file that a run makes."""
    return Path(arguments.out).expanduser() / f"{arguments.name}.safetensors"


def prepare(arguments: Asked, world: World) -> tuple[Asked, bool]:
    """Set threads and allocator; whether the device is to compute in bfloat16, as `dtype` says from here on.

    It is the same on all ranks, and a resumed run keeps its own. Raises TrainingError.
    """
    set_threads(arguments.threads or None)
    keep_freed_memory()
    if arguments.dtype == "auto":
        checkpoint = newest(Path(arguments.out).expanduser()) if arguments.resume else None
        if checkpoint is not None:
            dtype = read_state(checkpoint).get("run", {}).get("dtype", "auto")
        else:
            in_half = world.leads and quickest_dtype(torch.device(world.device)) == "bfloat16"
            dtype = "bfloat16" if world.total(in_half) else "float32"
        arguments = arguments.model_copy(update={"dtype": dtype})
    # float16 would need its loss scaled: where there is no bfloat16, all is float32.
    return arguments, pick_dtype(torch.device(world.device), arguments.dtype) == torch.bfloat16


def load(arguments: Taught, world: World, full: bool = False) -> tuple[Taught, LoadedModel, bool]:
    """The arguments as `prepare` leaves them, the model, and whether float32 weights compute in bfloat16.

    They are with `full` fine-tuning.
    """
    arguments, in_bfloat16 = prepare(arguments, world)
    with terminal_progress() as progress:
        loaded = load_model(
            arguments.model,
            device=world.device,
            dtype="bfloat16" if in_bfloat16 and not full else "float32",
            progress=progress if world.leads else None,
        )
    return arguments, loaded, full and in_bfloat16


def ready_to_learn(model: GPT, checkpointing: bool) -> None:
    """Training mode; with `checkpointing` each block is computed again in the backward pass."""
    if checkpointing:
        for block in model.transformer["h"]:
            block.forward = partial(checkpoint, block.forward, use_reentrant=False)
    model.train()


def content_hash(paths: Sequence[Path]) -> str:
    """SHA-256 of the files' bytes, one behind the other."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def train(
    arguments: RunArguments,
    world: World,
    loaded: LoadedModel,
    parameters: Mapping[str, nn.Parameter],
    files: Mapping[str, Sequence[Path]],
    *,
    steps: int,
    batches_at: Callable[[int], tuple[Sequence[Batch], int, int]],
    loss_of: Callable[[Batch], Tensor],
    evaluate: Callable[[], dict[str, float]],
    measures: Sequence[str],
    sampled: Callable[[], Sequence[str]],
    screen: Display,
    intro: str,
) -> State:
    """Begin the run or go on with it, until it ends.

    `files` are what the arguments of these names mean, `loss_of` sums over what a batch learns from,
    `measures` are the keys of what `evaluate` returns, and `sampled` makes the replies to show after each
    evaluation; for the others see `Run`.
    """
    described: dict[str, Any] = arguments.model_dump(exclude=FREE | set(files))
    described |= {f"{key}_sha256": content_hash(paths) for key, paths in files.items()}
    described |= {"model_sha256": loaded.sha256, "processes": world.size}

    def tell(_: State) -> None:
        if world.leads:
            for line in sampled():
                screen.say(f"    {line}")

    run = Run(
        world=world,
        parameters=parameters,
        optimisers=[make_optimiser(parameters, arguments.weight_decay)],
        steps=steps,
        batches_at=batches_at,
        gradients_of=partial(summed_gradients, world, list(parameters.values()), loss_of),
        evaluate=evaluate,
        tell=tell,
        described=described,
        patience=arguments.patience,
        **asked(arguments, steps),
    )
    n_learning = sum(parameter.numel() for parameter in parameters.values())
    intro += f"; {steps} steps; {n_learning:,} of {loaded.parameters:,} parameters learn on {loaded.device}"
    columns = ("loss", *measures, "rate", "gradient_norm", "tokens", "tokens_per_s")
    state, logs = begin(run, columns, screen, intro)
    return fit(run, state, logs, screen)


def asked(arguments: LoopArguments, steps: int, **schedule: Any) -> dict[str, Any]:
    """What a `Run` of so many steps takes from the arguments; `schedule` are more of `scheduled_rate`."""
    schedule |= {"peak": arguments.lr, "warmup": round(arguments.warmup * steps), "floor": arguments.floor}
    return {
        "folder": Path(arguments.out).expanduser(),
        "rate_at": partial(scheduled_rate, total=steps, **schedule),
        "seed": arguments.seed,
        "clip": arguments.clip,
        "evaluate_every": arguments.evaluate_every,
    }


def begin(
    run: Run[Any],
    columns: Sequence[str],
    screen: Display,
    intro: str,
    more_logs: Callable[[int], Sequence[Log]] = lambda step: (),
) -> tuple[State, list[Log]]:
    """Where the run stands and, on the rank that leads, where its numbers go; the screen says `intro`.

    `more_logs` are opened for the steps behind the one it is called with. Raises TrainingError and OSError.
    """
    state = resume(run)
    logs: list[Log] = []
    with run.world.agreed():
        if run.world.leads:
            run.folder.mkdir(parents=True, exist_ok=True)
            logs = [*more_logs(state.step), CsvLog(run.folder / "log.csv", columns, state.step)]
    screen.say(intro)
    if state.step:
        screen.say(f"going on behind step {state.step}")
    return state, logs


def save_best(
    arguments: RunArguments,
    parameters: Mapping[str, nn.Parameter],
    state: State,
    save: Callable[[Path], None],
) -> str:
    """Take the run's best weights, let `save` write them to the result's path, and say where that is."""
    path = result_path(arguments)
    if not state.best_file:
        raise Diverged("No held-out measure was a number: start again with a lower learning rate.")
    load_values(parameters, read_tensors(path.with_name(state.best_file)))
    save(path)
    return f"{path}: {path.stat().st_size / 1e6:.1f} MB, {measured(state.best)}"


def write_adapter(path: Path, info: AdapterInfo, parameters: Mapping[str, nn.Parameter]) -> None:
    """LoRA's parameters as an adapter file in bfloat16."""
    save_adapter(path, Adapter(info, {name: one.detach().bfloat16() for name, one in parameters.items()}))
