"""Teach a model how she speaks: LoRA or full fine-tuning on dialogues, loss on her turns alone.

python -m training.finetune --preset akane-135m
torchrun --nproc-per-node 2 -m training.finetune --preset akane-135m
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from torch import nn
from torch.utils.checkpoint import checkpoint

from shared.config import ROOT, ConfigError, Section
from shared.model.adapter import NAME, TARGETS, Adapter, AdapterInfo, save_adapter
from shared.model.checkpoint import save_checkpoint
from shared.model.device import pick_device, pick_dtype, set_threads
from shared.model.errors import ModelError
from shared.model.gpt import GPT
from shared.model.loading import LoadedModel, load_model
from shared.model.progress import terminal_progress
from shared.model.saved_tokenizer import describe_tokenizer
from shared.persona import Persona, load_persona
from training.allocator import keep_freed_memory
from training.arguments import parse
from training.checkpoints import newest, read_tensors
from training.dialogues import Dialogue, dialogue_files, messages, read_dialogues
from training.distributed import World, joined
from training.errors import TrainingError
from training.lora import add_lora, load_values
from training.loop import Run, State, fit, resume
from training.mixture import Mixture, split
from training.optimiser import cosine_rate, make_optimiser
from training.packing import Row, row_loss
from training.progress import CsvLog, Display, display
from training.rendering import Sample, render

COLUMNS = ("loss", "heldout_loss", "rate", "gradient_norm", "tokens", "tokens_per_s")


class Arguments(Section):
    """One run of fine-tuning."""

    data: list[str] = Field(min_length=1, description="dialogues to learn: .jsonl files or folders of them")
    heldout: list[str] = Field([], description="dialogues to judge by; without them, some of the data")
    heldout_share: float = Field(0.05, gt=0, lt=1, description="of the data, where no --heldout is given")
    replay: list[str] = Field([], description="general chat, mixed in so that less is forgotten")
    replay_share: float = Field(0.1, ge=0, lt=1, description="of general chat among all dialogues")
    model: str = Field("smollm2-135m", description="preset, hub name or path of the model to teach")
    persona: str = Field("akane", description="persona whose instructions head the dialogues")
    examples_share: float = Field(0.3, ge=0, le=1, description="of dialogues headed by worked examples too")
    out: str = Field("runs/finetune", description="folder of the run: log, checkpoint, result")
    name: str = Field("akane", pattern=NAME.pattern, description="of the adapter or checkpoint that is made")
    resume: bool = Field(False, description="go on with the run in --out")
    full: bool = Field(False, description="change all weights instead of learning an adapter")
    rank: int = Field(16, ge=1, le=64, description="of the adapter's matrices")
    alpha: float = Field(32.0, gt=0, description="the adapter counts alpha / rank times")
    targets: list[Literal[TARGETS]] = Field(
        list(TARGETS), min_length=1, description="layers that are adapted"
    )  # type: ignore[valid-type]
    dropout: float = Field(0.0, ge=0, lt=1, description="of the adapter's input")
    lr: float = Field(1e-3, gt=0, le=1, description="peak learning rate")
    warmup: float = Field(0.05, ge=0, lt=1, description="share of the steps until the peak")
    floor: float = Field(0.1, ge=0, le=1, description="share of the peak that is left at the end")
    weight_decay: float = Field(0.0, ge=0, description="of matrices, by AdamW")
    clip: float = Field(1.0, gt=0, description="largest gradient norm")
    epochs: float = Field(4.0, gt=0, le=1000, description="passes over the data")
    batch: int = Field(32, ge=1, description="dialogues a step, of all processes together")
    row_tokens: int = Field(2048, ge=64, description="tokens at once: fewer take less memory")
    max_tokens: int = Field(1024, ge=16, description="longest dialogue; longer ones are left out")
    evaluate_every: int = Field(25, ge=1, description="steps between evaluations, each with a checkpoint")
    patience: int = Field(4, ge=0, description="evaluations without gain until the run ends; 0: never")
    samples: int = Field(2, ge=0, description="replies shown at each evaluation")
    checkpointing: bool = Field(False, description="recompute activations: less memory, a third slower")
    seed: int = Field(0, ge=0, lt=2**31, description="of order, heads and first weights")
    device: str = Field("auto", description="auto, cuda, mps or cpu")
    dtype: Literal["auto", "float32", "bfloat16"] = Field("auto", description="that is computed in")
    threads: int = Field(0, ge=0, description="of the CPU; 0 takes the physical cores")


FREE = {"out", "resume", "samples", "device", "threads"}
"""What may change when a run is taken up again."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 2 and one sentence for wrong arguments or data, 1 for a run that broke, 130 for Ctrl-C."""
    try:
        arguments = parse(Arguments, "python -m training.finetune", __doc__ or "", argv)
        with joined(arguments.device) as world:
            return finetune(arguments, world)
    except (ConfigError, ModelError, TrainingError) as error:
        print(error, file=sys.stderr)
        return 2
    except torch.OutOfMemoryError:
        print("The device has too little memory: lower --row-tokens or add --checkpointing.", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error.filename or 'A file'} cannot be used: {error.strerror or error}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped. The same command with --resume goes on.", file=sys.stderr)
        return 130


def finetune(arguments: Arguments, world: World) -> int:
    """The whole run, on this rank."""
    folder = Path(arguments.out).expanduser()
    if not arguments.resume and newest(folder) is not None:
        raise TrainingError(f"{folder} holds a run: add --resume to go on with it, or give another --out.")
    persona = load_persona(arguments.persona)
    files = dialogue_files(arguments.data, ROOT)
    learned, heldout = read_dialogues(files), []
    if arguments.heldout:
        held_files = dialogue_files(arguments.heldout, ROOT)
        heldout = read_dialogues(held_files)
    else:
        learned, heldout = split(learned, arguments.heldout_share)
    replay = read_dialogues(dialogue_files(arguments.replay, ROOT)) if arguments.replay else []
    if not learned or not heldout:
        raise TrainingError(
            f"{len(learned) + len(heldout)} dialogues are too few to learn from and to hold some out."
        )
    loaded, autocast = _load(arguments, world)
    model = loaded.model
    assert isinstance(model, GPT)
    if arguments.full:
        describe_tokenizer(loaded.tokenizer)  # refused now rather than after the training
    parameters = _learnable(model, arguments)
    data = _Rendered(loaded, persona, min(arguments.max_tokens, model.config.block_size))
    mixture = Mixture(
        data.fitting(learned, True),
        data.fitting(replay, False),
        data,
        arguments.examples_share,
        arguments.replay_share,
        arguments.batch,
        arguments.row_tokens,
        arguments.seed,
    )
    steps = max(1, round(mixture.steps * arguments.epochs))
    kept = data.fitting(heldout, True)
    heldout_rows = mixture.heldout_rows(kept)
    folder.mkdir(parents=True, exist_ok=True)

    @torch.no_grad()
    def evaluate() -> float:
        model.eval()
        mine = heldout_rows[world.rank :: world.size]
        losses = [row_loss(model, row, autocast).double() for row in mine]
        total = world.sum(torch.stack(losses).sum() if losses else torch.zeros((), dtype=torch.double))
        model.train()
        return float(total) / sum(len(row.targets) for row in heldout_rows)

    def batches_at(step: int) -> tuple[list[Row], int, int]:
        rows = mixture.rows(step)
        n_learned = sum(len(row.targets) for row in rows)
        return rows[world.rank :: world.size], n_learned, sum(len(row.ids) for row in rows)

    hashes = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
    described: dict[str, Any] = arguments.model_dump(exclude=FREE)
    described |= {"data_sha256": hashes, "model_sha256": loaded.sha256, "processes": world.size}
    with display(steps, world.leads) as screen:
        run = Run(
            folder=folder,
            world=world,
            parameters=parameters,
            optimiser=make_optimiser(parameters, arguments.weight_decay),
            steps=steps,
            rate_at=partial(
                cosine_rate,
                total=steps,
                peak=arguments.lr,
                warmup=round(arguments.warmup * steps),
                floor=arguments.floor,
            ),
            batches_at=batches_at,
            loss_of=partial(row_loss, model, autocast=autocast),
            evaluate=evaluate,
            tell=lambda state: _show_replies(data, kept[: arguments.samples], arguments.seed, screen, world),
            described=described,
            seed=arguments.seed,
            clip=arguments.clip,
            evaluate_every=arguments.evaluate_every,
            patience=arguments.patience,
        )
        state = resume(run)
        log = CsvLog(folder / "log.csv", COLUMNS, state.step) if world.leads else None
        screen.say(
            f"{len(mixture.dialogues)} dialogues, {mixture.n_replayed} of general chat an epoch, {len(kept)} held "
            f"out, {data.left_out} too long; {steps} steps; {sum(p.numel() for p in parameters.values()):,} "
            f"of {loaded.parameters:,} parameters learn on {loaded.device} in {'bfloat16' if autocast else loaded.dtype}"
        )
        if state.step:
            screen.say(f"going on behind step {state.step}")
        state = fit(run, state, log, screen)
        if world.leads:
            screen.say(_save_result(arguments, loaded, parameters, folder, state, hashes))
    return 0


def _load(arguments: Arguments, world: World) -> tuple[LoadedModel, bool]:
    """The model, and whether it is computed in bfloat16 with float32 weights (full fine-tuning)."""
    device = (
        f"cuda:{world.local}"
        if arguments.device in ("auto", "cuda") and torch.cuda.is_available()
        else arguments.device
    )
    try:
        where = pick_device(device)
        wanted = pick_dtype(where, arguments.dtype)
    except ValueError as error:
        raise ModelError(f"The model cannot be trained here: {error}.") from None
    # float16 would need its loss scaled.
    in_bfloat16 = wanted == torch.bfloat16
    set_threads(arguments.threads or None)
    keep_freed_memory()
    with terminal_progress() as progress:
        loaded = load_model(
            arguments.model,
            device=str(where),
            dtype="bfloat16" if in_bfloat16 and not arguments.full else "float32",
            progress=progress if world.leads else None,
        )
    return loaded, arguments.full and in_bfloat16


def _learnable(model: GPT, arguments: Arguments) -> dict[str, nn.Parameter]:
    """What is learned, by name; all else is frozen."""
    if arguments.full:
        model.requires_grad_(True)
        parameters = dict(model.named_parameters())
    else:
        parameters = add_lora(
            model, arguments.rank, arguments.alpha, arguments.targets, arguments.dropout, arguments.seed
        )
    if arguments.checkpointing:
        for block in model.transformer["h"]:
            block.forward = partial(checkpoint, block.forward, use_reentrant=False)
    model.train()
    return parameters


class _Rendered:
    """Samples of dialogues, each rendered once for each of its heads."""

    def __init__(self, loaded: LoadedModel, persona: Persona, max_tokens: int) -> None:
        self.loaded, self.persona, self.max_tokens = loaded, persona, max_tokens
        self.left_out = 0
        self._samples: dict[tuple[int, bool, bool], list[Sample]] = {}

    def __call__(self, dialogue: Dialogue, persona: bool, examples: bool) -> list[Sample]:
        key = (id(dialogue), persona, examples)
        if key not in self._samples:
            said, n_head = messages(dialogue, self.persona if persona else None, examples)
            self._samples[key] = render(self.loaded.template, self.loaded.tokenizer, said, n_head)
        return self._samples[key]

    def fitting(self, dialogues: Sequence[Dialogue], persona: bool) -> list[Dialogue]:
        """Those that are short enough; the others are counted."""
        kept = [one for one in dialogues if len(self(one, persona, False)[-1].ids) <= self.max_tokens]
        self.left_out += len(dialogues) - len(kept)
        return kept


def _show_replies(
    data: _Rendered, dialogues: Sequence[Dialogue], seed: int, screen: Display, world: World
) -> None:
    """Her reply, as it would be now, to the beginning of each dialogue."""
    if not world.leads:
        return
    loaded, sampling = data.loaded, data.persona.sampling
    model = loaded.model
    assert isinstance(model, GPT)
    model.eval()
    for dialogue in dialogues:
        said, n_head = messages(dialogue, data.persona, False)
        first = next(i for i in range(n_head, len(said)) if said[i]["role"] == "assistant")
        ids = model.generate(
            loaded.template.render(said[:first]),
            sampling.max_tokens,
            temperature=sampling.temperature,
            top_k=sampling.top_k,
            min_p=sampling.min_p,
            repetition_penalty=sampling.repetition_penalty,
            stop_tokens=loaded.tokenizer.end_ids,
            seed=seed,
        )
        heard = said[first - 1]["content"] if first > n_head else "(silence)"
        screen.say(f"    {heard} -> {loaded.tokenizer.decode(ids).strip()}")
    model.train()


def _save_result(
    arguments: Arguments,
    loaded: LoadedModel,
    parameters: dict[str, nn.Parameter],
    folder: Path,
    state: State,
    data_sha256: str,
) -> str:
    """Write the best weights as an adapter or a checkpoint; says where."""
    if state.best_file:
        load_values(parameters, read_tensors(folder / state.best_file))
    path = folder / f"{arguments.name}.safetensors"
    if arguments.full:
        assert isinstance(loaded.model, GPT)
        tensors = {name: one.detach().bfloat16() for name, one in parameters.items()}
        tokenizer = describe_tokenizer(loaded.tokenizer)
        save_checkpoint(path, loaded.model.config, tensors, tokenizer=tokenizer, **loaded.template.described)
    else:
        info = AdapterInfo(
            name=arguments.name,
            base_name=loaded.name,
            base_hash=loaded.sha256,
            rank=arguments.rank,
            alpha=arguments.alpha,
            targets=tuple(arguments.targets),
            metrics={"heldout_loss": state.best_loss, "steps": state.step},
            dataset_hash=data_sha256,
        )
        save_adapter(path, Adapter(info, {name: one.detach().bfloat16() for name, one in parameters.items()}))
    return f"{path}: {path.stat().st_size / 1e6:.1f} MB, held-out loss {state.best_loss:.4f}"


if __name__ == "__main__":
    sys.exit(main())
