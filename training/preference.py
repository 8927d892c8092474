"""Teach an adapter which of two replies is better: direct preference optimisation on pairs.

python -m training.preference --preset akane-135m
torchrun --nproc-per-node 2 -m training.preference --preset akane-135m
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from shared.config import ROOT
from shared.model.adapter import load_adapter
from shared.model.gpt import GPT
from shared.persona import load_persona
from training.arguments import PRESETS, parse
from training.corpus import Corpus, replies
from training.dialogues import dialogue_files, read_records
from training.distributed import World, joined
from training.errors import TrainingError
from training.guard import leave
from training.loop import measured
from training.lora import add_adapter
from training.packing import Row, row_likelihoods
from training.pairs import Pair, Rendered, drawn, n_steps, pair_rows, render_pair, split_pairs
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


class Arguments(RunArguments):
    """One run of preference optimisation."""

    pairs: list[str] = Field(min_length=1, description="pairs to learn: .jsonl files or folders of them")
    adapter: str = Field(description="of training.finetune: where it begins, and what it is held close to")
    heldout_share: float = Field(0.1, gt=0, lt=1, description="of the pairs, where no --heldout is given")
    out: str = Field("runs/preference", description="folder of the run: log, checkpoint, result")
    beta: float = Field(0.1, gt=0, description="of DPO: higher stays closer to the adapter it began with")
    per_token: bool = Field(
        False, description="divide by the replies' lengths, so that long ones gain nothing"
    )
    sft: float = Field(0.0, ge=0, description="weight of the chosen reply's own loss, in nats a token")
    lr: float = Field(5e-5, gt=0, le=1, description="peak learning rate")
    epochs: float = Field(2.0, gt=0, le=1000, description="passes over the pairs")
    batch: int = Field(16, ge=1, description="pairs a step, of all processes together")


MEASURES = ("heldout_wrong", "heldout_loss", "heldout_margin")
"""Of held-out pairs: the share whose rejected reply gained more than the chosen, which decides what is best;
the loss a pair; the mean margin, in nats times beta."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: see `guarded`."""

    def job() -> int:
        presets = PRESETS / "preference"
        arguments = parse(Arguments, "python -m training.preference", __doc__ or "", argv, presets)
        with joined(arguments.device) as world:
            return prefer(arguments, world)

    return guarded(job, STOPPED)


def margins(policy: Tensor, reference: Tensor, lengths: Tensor | None, beta: float) -> Tensor:
    """Implicit reward of chosen above rejected, beta (log p - log p_ref) each, (N,).

    `policy` and `reference` are log p of chosen and rejected, (N, 2), in nats; `lengths` their tokens, by
    which the rewards are divided, or None. https://arxiv.org/abs/2305.18290, equation 7.
    """
    rewards = beta * (policy - reference)
    if lengths is not None:
        rewards = rewards / lengths
    return rewards[:, 0] - rewards[:, 1]


def preference_loss(
    policy: Tensor, reference: Tensor, lengths: Tensor, beta: float, per_token: bool, sft: float
) -> Tensor:
    """-log sigmoid of each margin, plus `sft` times the chosen reply's loss a token (N,), as of `margins`.

    The second term keeps the chosen reply from losing likelihood along with the rejected one
    (https://arxiv.org/abs/2404.19733, equation 2).
    """
    loss = -F.logsigmoid(margins(policy, reference, lengths if per_token else None, beta))
    return loss - sft * policy[:, 0] / lengths[:, 0] if sft else loss


@dataclass(frozen=True)
class Batch:
    """A row of pairs with what the reference thinks of them; tensors are (N, 2), chosen and rejected."""

    row: Row
    reference: Tensor
    lengths: Tensor


def prefer(arguments: Arguments, world: World) -> int:
    """The whole run, on this rank."""
    require_free(arguments)
    persona = load_persona(arguments.persona)
    files = {key: dialogue_files(getattr(arguments, key), ROOT, "pairs") for key in ("pairs", "heldout")}
    learned = read_records(files["pairs"], Pair)
    pairs_sha256 = content_hash(files["pairs"])
    heldout = read_records(files["heldout"], Pair) if files["heldout"] else []
    if not heldout:
        learned, heldout = split_pairs(learned, arguments.heldout_share)
    if not learned or not heldout:
        raise TrainingError("The pairs are too few to learn from some and to hold others out.")
    path = Path(arguments.adapter).expanduser()
    adapter = load_adapter(path)
    files["adapter"] = [path]
    arguments, loaded, _ = load(arguments, world)
    model = loaded.model
    assert isinstance(model, GPT)
    info = adapter.info
    parameters = add_adapter(loaded, adapter)
    ready_to_learn(model, arguments.checkpointing)

    longest = min(arguments.max_tokens, model.config.block_size)

    def fitting(pairs: Sequence[Pair]) -> list[Rendered]:
        rendered = [render_pair(loaded, persona, pair) for pair in pairs]
        return [one for one in rendered if max(len(sample.ids) for sample in one.samples) <= longest]

    mine, judges = fitting(learned), fitting(heldout)
    if not mine or not judges:
        raise TrainingError(f"Too many pairs are longer than {longest} tokens: raise --max-tokens.")
    judge_rows = pair_rows(judges, arguments.row_tokens)
    judge_lengths = torch.cat([_lengths(held) for held, _ in judge_rows])
    # The adapter as it is now is the reference: what it thinks is kept, so that no second model is.
    reference = _by_id(pair_rows(mine, arguments.row_tokens), model, world)
    judge_reference = torch.stack(list(_by_id(judge_rows, model, world).values()))
    loss_of = partial(preference_loss, beta=arguments.beta, per_token=arguments.per_token, sft=arguments.sft)

    def batches_at(step: int) -> tuple[list[Batch], int, int]:
        rows = pair_rows(drawn(mine, step, arguments.batch, arguments.seed), arguments.row_tokens)
        batches = [
            Batch(row, torch.stack([reference[one.pair.id] for one in held]), _lengths(held))
            for held, row in rows
        ]
        n_pairs = sum(len(held) for held, _ in rows)
        return batches[world.rank :: world.size], n_pairs, sum(len(row.ids) for _, row in rows)

    def batch_loss(batch: Batch) -> Tensor:
        policy = row_likelihoods(model, batch.row).view(-1, 2)
        where = policy.device
        return loss_of(policy, batch.reference.to(where), batch.lengths.to(where)).sum()

    def evaluate() -> dict[str, float]:
        policy = torch.stack(list(_by_id(judge_rows, model, world).values()))
        lengths = judge_lengths if arguments.per_token else None
        gained = margins(policy, judge_reference, lengths, arguments.beta)
        losses = loss_of(policy, judge_reference, judge_lengths)
        # What changed nothing is half right; what is no number is wrong.
        right = (gained > 0).float() + 0.5 * (gained == 0).float()
        values = (1 - float(right.mean()), float(losses.mean()), float(gained.mean()))
        return dict(zip(MEASURES, values, strict=True))

    corpus = Corpus(loaded, persona, longest)
    asked = {one.pair.message: one.pair.dialogue(one.pair.chosen) for one in judges}
    shown = list(asked.values())[: arguments.samples]
    steps = max(1, round(n_steps(mine, arguments.batch) * arguments.epochs))
    with display(steps, world.leads) as screen:
        state = train(
            arguments,
            world,
            loaded,
            parameters,
            files,
            steps=steps,
            batches_at=batches_at,
            loss_of=batch_loss,
            evaluate=evaluate,
            measures=MEASURES,
            sampled=lambda: list(replies(corpus, shown, arguments.seed)),
            screen=screen,
            intro=f"{len(mine)} pairs, {len(judges)} held out, "
            f"{len(learned) + len(heldout) - len(mine) - len(judges)} too long; computed in {loaded.dtype}",
        )
        with world.agreed():
            if world.leads:
                kept = {key: value for key, value in info.metrics.items() if key not in (*MEASURES, "steps")}
                accuracy = 1 - state.best["heldout_wrong"]
                result = replace(
                    info,
                    name=arguments.name,
                    metrics={**kept, **state.best, "heldout_accuracy": accuracy, "steps": state.step},
                    dataset_hash=pairs_sha256,
                )
                write = partial(write_adapter, info=result, parameters=parameters)
                screen.say(save_best(arguments, parameters, state, write))
                screen.say(measured({"heldout_accuracy": accuracy}))
    return 0


@torch.no_grad()
def _by_id(rows: Sequence[tuple[list[Rendered], Row]], model: GPT, world: World) -> Mapping[str, Tensor]:
    """log p of each pair's chosen and rejected reply in nats, (2,) on the CPU, in the order of the rows."""
    model.eval()
    found = []
    for number, (_, row) in enumerate(rows):
        if number % world.size == world.rank:
            found.append(row_likelihoods(model, row).view(-1, 2))
        else:
            found.append(torch.zeros(len(row.lengths) // 2, 2, device=model.device))
    model.train()
    table = world.sum(torch.cat(found)).cpu()
    pairs = [one.pair.id for held, _ in rows for one in held]
    return dict(zip(pairs, table, strict=True))


def _lengths(pairs: Sequence[Rendered]) -> Tensor:
    """Tokens of chosen and rejected, (N, 2)."""
    return torch.tensor([[float(sample.n_learned) for sample in one.samples] for one in pairs])


if __name__ == "__main__":
    leave(main())
