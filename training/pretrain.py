"""Train Akane's GPT from nothing, on shards of tokens that `python -m training.tokenise` made.

python -m training.pretrain --preset nano --data shards
torchrun --nproc-per-node 8 -m training.pretrain --preset akane-124m --data shards
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field

from shared.model.checkpoint import checkpoint_metadata, save_checkpoint
from shared.model.config import GPTConfig
from shared.model.gpt import GPT
from shared.model.saved_tokenizer import describe_tokenizer
from training.arguments import PRESETS, parse
from training.batches import keep_batches, moved
from training.checkpoints import Rule, gathered
from training.continuing import continued
from training.device_rate import flops_per_token, peak_flops
from training.distributed import World, joined
from training.errors import TrainingError
from training.forward import NextToken
from training.guard import leave
from training.loop import Run, State, fit
from training.memory import free_bytes, require_memory, step_needs
from training.muon import muon_and_adamw
from training.optimiser import make_optimiser
from training.parallel import mean_gradients, spread
from training.progress import Log, display
from training.running import (
    STOPPED,
    LoopArguments,
    asked,
    begin,
    guarded,
    prepare,
    ready_to_learn,
    require_free,
    result_path,
)
from training.shards.loader import Batch, TokenLoader, prefetch
from training.shards.manifest import MANIFEST_FILE, Split, load_tokenizer, read_manifest

VOCABULARY_MULTIPLE = 128
"""Rows of embedding and head are filled up to it: 50,257 tokens become 50,304, which cards multiply best."""


class Arguments(LoopArguments):
    """One run of pre-training. The model's shape is named as in its config."""

    data: str = Field(description="folder of shards and their manifest")
    out: str = Field("runs/pretrain", description="folder of the run: log, checkpoints, result")
    name: str = Field("base", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="of the result")

    n_layer: int = Field(12, ge=1, description="blocks")
    n_head: int = Field(12, ge=1, description="query heads")
    n_kv_head: int = Field(6, ge=1, description="key and value heads")
    n_embd: int = Field(768, ge=2, description="width")
    context: int = Field(
        1024, ge=8, description="tokens of a row, and the most that the model will ever read"
    )
    qk_norm: Literal["after_rope", "before_rope", "none"] = Field("after_rope", description="of attention")
    tied_head: bool = Field(False, description="head and embedding are one matrix")
    documents: bool = Field(False, description="no token sees another document of its row; slower")

    steps: int = Field(5000, ge=1, description="updates of the weights")
    step_tokens: int = Field(524_288, ge=8, description="tokens of an update, of all processes together")
    batch: int = Field(8, ge=1, description="rows of a pass of one process; passes add up to --step-tokens")
    optimiser: Literal["muon", "adamw"] = Field("muon", description="of the matrices; adamw has the rest")
    slow_share: float = Field(0.1, gt=0, le=1, description="of the learning rate for embedding and head")
    decay: Literal["cosine", "linear"] = Field("cosine", description="of the learning rate")
    weight_decay: float = Field(0.1, ge=0, description="of matrices")
    spike: float = Field(2.0, ge=0, description="nats above the last losses that end the run; 0: none do")

    evaluate_every: int = Field(250, ge=1, description="steps between evaluations")
    evaluate_tokens: int = Field(1_048_576, ge=1, description="held-out tokens of each")
    save_every: int = Field(250, ge=1, description="steps between checkpoints")
    keep: int = Field(2, ge=1, description="newest checkpoints that stay")
    keep_every: int = Field(0, ge=0, description="checkpoints of steps that this divides stay too; 0: none")
    samples: int = Field(2, ge=0, description="openings that are continued at each evaluation")
    openings: list[str] = Field(["The", "Once upon a time", "She said that"], description="what is continued")

    parallel: Literal["ddp", "fsdp"] = Field("ddp", description="of many processes: whole models, or parts")
    compile: bool = Field(False, description="compile the blocks: a minute first, then faster")
    bus: bool = Field(False, description="publish each step as `train.step`")
    tensorboard: bool = Field(False, description="write TensorBoard's files into --out")


AHEAD = 4
"""Passes that are read while a step goes on, beside those of the next step."""
FREE = {"data", "out", "resume", "samples", "openings", "device", "threads", "batch", "keep", "keep_every"}
FREE |= {"parallel", "compile", "checkpointing", "bus", "tensorboard", "name", "spike"}
FREE |= {"evaluate_every", "evaluate_tokens", "save_every"}
"""What may change when a run is taken up again; of the data its hash counts, not its place."""
MEASURES = ("heldout_loss", "bits_per_byte")
SMALLER = "lower --batch, which changes nothing else, or add --checkpointing"


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: see `guarded`."""

    def job() -> int:
        presets = PRESETS / "pretrain"
        arguments = parse(Arguments, "python -m training.pretrain", __doc__ or "", argv, presets)
        with joined(arguments.device) as world:
            return pretrain(arguments, world)

    return guarded(job, STOPPED, SMALLER)


def pretrain(arguments: Arguments, world: World) -> int:
    """The whole run, on this rank."""
    require_free(arguments)
    data = Path(arguments.data).expanduser()
    manifest = read_manifest(data)
    tokenizer = load_tokenizer(data, manifest)
    described = describe_tokenizer(tokenizer)
    config = model_config(arguments, manifest.vocab_size)
    pass_tokens = arguments.batch * arguments.context * world.size
    passes, rest = divmod(arguments.step_tokens, pass_tokens)
    if rest or not passes:
        raise TrainingError(
            f"--step-tokens {arguments.step_tokens} is no multiple of the {pass_tokens} tokens of a pass "
            f"(--batch {arguments.batch} x --context {arguments.context} x {world.size} processes)."
        )
    arguments, autocast = prepare(arguments, world)
    device = torch.device(world.device)
    muon = arguments.optimiser == "muon"
    needs = step_needs(
        config,
        arguments.context,
        muon,
        autocast,
        arguments.checkpointing,
        device.type,
        passes=passes,
        documents=arguments.documents,
        shares=world.size if arguments.parallel == "fsdp" else 1,
    )
    sharing = 1 if device.type == "cuda" else world.size
    require_memory(needs, arguments.batch, free_bytes(device), sharing)

    torch.manual_seed(arguments.seed)
    model = GPT(config).to(device)
    ready_to_learn(model, arguments.checkpointing)
    if arguments.compile:
        for block in model.transformer["h"]:
            block.compile()
    module = spread(NextToken(model, autocast), world, arguments.parallel)
    parameters = dict(model.named_parameters())
    optimisers = (
        muon_and_adamw(parameters, arguments.weight_decay, world, arguments.slow_share)
        if muon
        else [make_optimiser(parameters, arguments.weight_decay, slow_share=arguments.slow_share)]
    )

    def loader(split: Split) -> TokenLoader:
        return TokenLoader(
            data,
            split,
            arguments.batch,
            arguments.context,
            world.rank,
            world.size,
            arguments.seed,
            arguments.documents,
        )

    learned, heldout = loader("train"), loader("validation")

    def batches_at(_: int) -> tuple[list[Batch], int, int]:
        batches = [next(stream) for _ in range(passes)]
        n_learned = arguments.step_tokens
        if arguments.documents:
            n_learned = round(world.total(sum(int((targets >= 0).sum()) for _, targets, _ in batches)))
        return [moved(batch, device) for batch in batches], n_learned, arguments.step_tokens

    widths = torch.tensor([len(tokenizer.token_bytes(number)) for number in range(config.vocab_size)])
    n_judged = max(1, min(arguments.evaluate_tokens // arguments.context, heldout.rows))

    @torch.no_grad()
    def evaluate() -> dict[str, float]:
        """Nats a token; and bits a byte of the text that those tokens are, ends of documents included."""
        module.eval()
        sums = torch.zeros(3, dtype=torch.float64)
        for batch in heldout.first(n_judged):
            targets = batch[1][batch[1] >= 0]
            loss = float(module(*moved(batch, device)))
            sums += torch.tensor([loss, len(targets), int(widths[targets].sum())], dtype=torch.float64)
        module.train()
        nats, count, n_bytes = world.sum(sums.float().to(device)).tolist()
        return dict(zip(MEASURES, (nats / count, nats / math.log(2) / n_bytes), strict=True))

    def tell(_: State) -> None:
        openings = arguments.openings[: arguments.samples]
        if not openings:
            return
        tensors = gathered(parameters, world.leads)
        if world.leads:
            copies = continued(
                config, tensors, tokenizer, manifest.eot, openings, world.device, arguments.seed
            )
            for line in copies:
                screen.say(f"    {line}")

    compute = torch.bfloat16 if autocast else torch.float32
    run = Run(
        world=world,
        parameters=parameters,
        optimisers=optimisers,
        steps=arguments.steps,
        batches_at=batches_at,
        gradients_of=partial(mean_gradients, module, world),
        evaluate=evaluate,
        tell=tell,
        described={
            **arguments.model_dump(exclude=FREE),
            "tokenizer_sha256": manifest.tokenizer_sha256,
            "source": manifest.source,
            "manifest_sha256": hashlib.sha256((data / MANIFEST_FILE).read_bytes()).hexdigest(),
        },
        save_every=arguments.save_every,
        rule=Rule(arguments.keep, arguments.keep_every),
        keep_best=False,
        metadata=checkpoint_metadata(config, tokenizer=described),
        peak_tokens_per_s=peak_flops(device, compute)
        * (world.size if device.type == "cuda" else 1)
        / flops_per_token(config, arguments.context),
        spike=arguments.spike,
        keep_broken=partial(keep_batches, world),
        **asked(arguments, arguments.steps, decay=arguments.decay),
    )
    columns = ("loss", *MEASURES, "rate", "gradient_norm", "tokens", "tokens_per_s", "mfu")
    intro = (
        f"{config.parameter_count:,} parameters learn {manifest.tokens['train']:,} tokens of "
        f"{manifest.source}; {arguments.steps} steps of {passes} x {pass_tokens:,} tokens on "
        f"{world.size} x {world.device}, computed in {'bfloat16' if autocast else 'float32'}"
    )
    with ExitStack() as stack:
        screen = stack.enter_context(display(arguments.steps, world.leads))
        state, logs = begin(run, columns, screen, intro, partial(_other_logs, arguments, stack))
        stream = stack.enter_context(closing(prefetch(learned, state.step * passes, passes + AHEAD)))
        fit(run, state, logs, screen)
        tensors = gathered({name: one.detach().bfloat16() for name, one in parameters.items()}, world.leads)
        path = result_path(arguments)
        with world.agreed():
            if world.leads:
                save_checkpoint(path, config, tensors, tokenizer=described)
        if world.leads:
            screen.say(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
    return 0


def model_config(arguments: Arguments, vocab_size: int) -> GPTConfig:
    """The model's shape, its vocabulary that of the data, filled up. Raises TrainingError."""
    shape = ("n_layer", "n_head", "n_kv_head", "n_embd", "qk_norm", "tied_head")
    try:
        return GPTConfig(
            **{name: getattr(arguments, name) for name in shape},
            block_size=arguments.context,
            vocab_size=VOCABULARY_MULTIPLE * math.ceil(vocab_size / VOCABULARY_MULTIPLE),
            token_limit=vocab_size,
        )
    except ValueError as error:
        raise TrainingError(f"This is no model: {str(error).removeprefix('model config: ')}.") from None


def _other_logs(arguments: Arguments, stack: ExitStack, from_step: int) -> list[Log]:
    """Beside the CSV. Raises TrainingError."""
    if not (arguments.bus or arguments.tensorboard):
        return []
    from training.reporting import other_logs  # brings the bus, which most runs do without

    folder = Path(arguments.out).expanduser()
    return other_logs(
        arguments.name, arguments.steps, folder, arguments.bus, arguments.tensorboard, stack, from_step
    )


if __name__ == "__main__":
    leave(main())
