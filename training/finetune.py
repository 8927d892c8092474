"""Teach a model how she speaks: LoRA or full fine-tuning on dialogues, loss on her turns alone.

python -m training.finetune --preset akane-135m
torchrun --nproc-per-node 2 -m training.finetune --preset akane-135m
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import torch
from pydantic import AfterValidator, Field
from torch import nn

from shared.config import ROOT
from shared.model.adapter import TARGETS, AdapterInfo, load_adapter
from shared.model.checkpoint import save_checkpoint
from shared.model.gpt import GPT
from shared.model.loading import LoadedModel
from shared.model.saved_tokenizer import describe_tokenizer
from shared.persona import load_persona
from training.arguments import parse
from training.corpus import Corpus, replies
from training.dialogues import dialogue_files, read_dialogues
from training.distributed import World, joined
from training.errors import TrainingError
from training.guard import leave
from training.loop import State
from training.lora import add_adapter, add_lora
from training.mixture import Mixture
from training.packing import Row, row_loss
from training.progress import display
from training.running import (
    STOPPED,
    RunArguments,
    content_hash,
    guarded,
    load,
    ready_to_learn,
    require_free,
    save_best,
    train,
    write_adapter,
)
from training.splitting import split


def _known_target(name: str) -> str:
    if name not in TARGETS:
        raise ValueError(f"use some of {', '.join(TARGETS)}")
    return name


Target = Annotated[str, AfterValidator(_known_target)]


class Arguments(RunArguments):
    """One run of fine-tuning."""

    data: list[str] = Field(min_length=1, description="dialogues to learn: .jsonl files or folders of them")
    replay: list[str] = Field([], description="general chat, mixed in so that less is forgotten")
    replay_share: float = Field(0.1, ge=0, lt=1, description="of general chat among all dialogues")
    examples_share: float = Field(0.3, ge=0, le=1, description="of dialogues headed by worked examples too")
    begin: str = Field("", description="adapter to go on from; its rank, alpha and targets hold then")
    full: bool = Field(False, description="change all weights instead of learning an adapter")
    rank: int = Field(16, ge=1, le=64, description="of the adapter's matrices")
    alpha: float = Field(32.0, gt=0, description="the adapter counts alpha / rank times")
    targets: list[Target] = Field(list(TARGETS), min_length=1, description="layers that are adapted")
    dropout: float = Field(0.0, ge=0, lt=1, description="of the adapter's input")
    keep: float = Field(
        1.0,
        gt=0,
        le=1,
        description="share at which the result counts: with less, other text suffers less",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: see `guarded`."""

    def job() -> int:
        arguments = parse(Arguments, "python -m training.finetune", __doc__ or "", argv)
        with joined(arguments.device) as world:
            return finetune(arguments, world)

    return guarded(job, STOPPED)


def finetune(arguments: Arguments, world: World) -> int:
    """The whole run, on this rank."""
    require_free(arguments)
    if arguments.full and (arguments.begin or arguments.keep < 1):
        raise TrainingError("--full changes the weights themselves: leave --begin and --keep away.")
    persona = load_persona(arguments.persona)
    files = {key: dialogue_files(getattr(arguments, key), ROOT) for key in ("data", "heldout", "replay")}
    learned = read_dialogues(files["data"])
    data_sha256 = content_hash(files["data"])
    heldout = read_dialogues(files["heldout"]) if files["heldout"] else []
    replay = read_dialogues(files["replay"]) if files["replay"] else []
    if not heldout:
        learned, heldout = split(learned, arguments.heldout_share)
    if not learned or not heldout:
        raise TrainingError("The dialogues are too few to learn from some and to hold others out.")
    arguments, loaded, autocast = load(arguments, world, arguments.full)
    model = loaded.model
    assert isinstance(model, GPT)
    if arguments.full:
        describe_tokenizer(loaded.tokenizer)  # refused now rather than after the training
    if arguments.begin:
        path = Path(arguments.begin).expanduser()
        files["begin"] = [path]
        adapter = load_adapter(path)
        shape = {key: getattr(adapter.info, key) for key in ("rank", "alpha")}
        arguments = arguments.model_copy(update={**shape, "targets": list(adapter.info.targets)})
        parameters = add_adapter(loaded, adapter, arguments.dropout)
    else:
        parameters = _learnable(model, arguments)
    ready_to_learn(model, arguments.checkpointing)
    corpus = Corpus(loaded, persona, min(arguments.max_tokens, model.config.block_size))
    mixture = Mixture(
        corpus.fitting(learned, True),
        corpus.fitting(replay, False),
        corpus.samples,
        arguments.examples_share,
        arguments.replay_share,
        arguments.batch,
        arguments.row_tokens,
        arguments.seed,
    )
    heldout = corpus.fitting(heldout, True)
    if not mixture.dialogues or not heldout:
        raise TrainingError(
            f"Too many dialogues are longer than {corpus.max_tokens} tokens: raise --max-tokens."
        )
    steps = max(1, round(mixture.steps * arguments.epochs))
    heldout_rows = mixture.heldout_rows(heldout)

    def batches_at(step: int) -> tuple[list[Row], int, int]:
        rows = mixture.rows(step)
        n_learned = sum(len(row.targets) for row in rows)
        return rows[world.rank :: world.size], n_learned, sum(len(row.ids) for row in rows)

    @torch.no_grad()
    def evaluate() -> dict[str, float]:
        model.eval()
        mine = heldout_rows[world.rank :: world.size]
        total = world.total(sum(float(row_loss(model, row, autocast)) for row in mine))
        model.train()
        return {"heldout_loss": total / sum(len(row.targets) for row in heldout_rows)}

    with display(steps, world.leads) as screen:
        state = train(
            arguments,
            world,
            loaded,
            parameters,
            files,
            steps=steps,
            batches_at=batches_at,
            loss_of=partial(row_loss, model, autocast=autocast),
            evaluate=evaluate,
            measures=("heldout_loss",),
            sampled=lambda: list(replies(corpus, heldout[: arguments.samples], arguments.seed)),
            screen=screen,
            intro=f"{len(mixture.dialogues)} dialogues, {mixture.n_replayed} of general chat an epoch, "
            f"{len(heldout)} held out, {corpus.left_out} too long; computed in "
            f"{'bfloat16' if autocast else loaded.dtype}",
        )
        with world.agreed():
            if world.leads:
                write = partial(_save, arguments, loaded, parameters, state, data_sha256)
                screen.say(save_best(arguments, parameters, state, write))
    return 0


def _learnable(model: GPT, arguments: Arguments) -> dict[str, nn.Parameter]:
    """What is learned, by name; all else is frozen."""
    if arguments.full:
        model.requires_grad_(True)
        return dict(model.named_parameters())
    return add_lora(
        model, arguments.rank, arguments.alpha, arguments.targets, arguments.dropout, arguments.seed
    )


def _save(
    arguments: Arguments,
    loaded: LoadedModel,
    parameters: dict[str, nn.Parameter],
    state: State,
    data_sha256: str,
    path: Path,
) -> None:
    """Write the parameters as an adapter or a checkpoint."""
    if arguments.full:
        assert isinstance(loaded.model, GPT)
        tensors = {name: one.detach().bfloat16() for name, one in parameters.items()}
        tokenizer = describe_tokenizer(loaded.tokenizer)
        save_checkpoint(path, loaded.model.config, tensors, tokenizer=tokenizer, **loaded.template.described)
        return
    info = AdapterInfo(
        name=arguments.name,
        base_name=loaded.name,
        base_hash=loaded.sha256,
        rank=arguments.rank,
        alpha=arguments.alpha * arguments.keep,
        targets=tuple(arguments.targets),
        metrics={**state.best, "steps": state.step, "keep": arguments.keep},
        dataset_hash=data_sha256,
    )
    write_adapter(path, info, parameters)


if __name__ == "__main__":
    leave(main())
