"""One process or many (torchrun): who am I, and sums over all of us."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from shared.model.device import pick_device
from shared.model.errors import ModelError
from training.errors import BrokenElsewhere

Batch = TypeVar("Batch")
PATIENCE = timedelta(seconds=5)
_KEPT: list[object] = []
"""The group of this process, until its end (`training.guard.leave`). Who lets go of it last waits for gloo's
threads; DDP's reducer, in the traceback of an error, does so with Python's lock, which they may want."""
_ELSEWHERE = "Another process of this run could not go on: see what it said."


@dataclass(frozen=True)
class World:
    """This process among all of the run."""

    rank: int = 0
    size: int = 1
    device: str = "cpu"
    """Where this process computes."""

    @property
    def leads(self) -> bool:
        """Rank 0 alone writes files and talks to people."""
        return self.rank == 0

    def total(self, value: float) -> float:
        """`value` of all ranks added."""
        return float(self.sum(torch.tensor(value, dtype=torch.float32, device=self.device)))

    def sum(self, value: Tensor) -> Tensor:
        """`value` of all ranks added, in place; the same on each."""
        if self.size > 1:
            dist.all_reduce(value)
        return value

    @contextmanager
    def agreed(self) -> Iterator[None]:
        """Around what may fail on one rank alone, as writing does: all wait for each other, and none goes on.

        Raises what went wrong where it did, BrokenElsewhere on the others.
        """
        failure: Exception | None = None
        try:
            yield
        except Exception as error:
            if self.size == 1:
                raise
            failure = error
        if self.size > 1 and self.total(failure is not None):
            raise failure or BrokenElsewhere(_ELSEWHERE)


@contextmanager
def joined(device: str) -> Iterator[World]:
    """The world that torchrun describes in the environment, else one of a single process.

    `device` is that of `pick_device`; of several GPUs each process takes its own. Raises ModelError, and
    BrokenElsewhere when another process is gone.
    """
    size, local = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_RANK", "0"))
    try:
        where = str(pick_device(f"cuda:{local}" if size > 1 and _on_gpu(device) else device))
    except ValueError as error:
        raise ModelError(f"The model cannot be trained here: {error}.") from None
    if size == 1:
        yield World(device=where)
        return
    world = World(int(os.environ["RANK"]), size, where)
    on_gpu = where.startswith("cuda")
    if on_gpu:
        torch.cuda.set_device(where)
    store, rank, size = next(dist.rendezvous("env://"))
    dist.init_process_group("nccl" if on_gpu else "gloo", store=store, rank=rank, world_size=size)
    _KEPT.append(dist.group.WORLD)
    try:
        yield world
    except RuntimeError as error:
        if isinstance(error, dist.DistError) or "gloo" in str(error):
            raise BrokenElsewhere(_ELSEWHERE) from None
        raise
    finally:
        dist.destroy_process_group()
        _part(store, world)


def _part(store: dist.Store, world: World) -> None:
    """The first rank holds what the others read to find each other: it stays until they left, or a while."""
    with suppress(RuntimeError):  # one that is dead leaves no word
        store.set(f"akane/left/{world.rank}", "")
        if world.leads:
            store.wait([f"akane/left/{rank}" for rank in range(world.size)], PATIENCE)


def _on_gpu(device: str) -> bool:
    return device == "cuda" or (device == "auto" and torch.cuda.is_available())


def summed_gradients(
    world: World,
    parameters: Iterable[nn.Parameter],
    loss_of: Callable[[Batch], Tensor],
    batches: Sequence[Batch],
    n_learned: int,
) -> float:
    """Leave in the parameters the gradients of the mean loss of all ranks' batches, and return that mean.

    `n_learned` is what the losses' sum is divided by. Ranks may have different numbers of batches, or none.
    """
    mean = backward(world, loss_of, batches, 1 / n_learned)
    _sum_gradients(world, parameters)
    return mean


def backward(
    world: World,
    loss_of: Callable[[Batch], Tensor],
    batches: Sequence[Batch],
    scale: float,
    within: Callable[[bool], AbstractContextManager[None]] = lambda last: nullcontext(),
) -> float:
    """Run the backward pass of each batch's loss times `scale`; return the sum of these over all ranks.

    Each pass is made `within` a context, which is told whether it is this rank's last.
    """
    total: Tensor | float = 0.0
    for number, batch in enumerate(batches):
        with within(number == len(batches) - 1):
            loss = loss_of(batch) * scale
            loss.backward()
        total = total + loss.detach()
        del loss  # with it goes the head's gradient, before the next pass makes its own
    return world.total(float(total))


def _sum_gradients(world: World, parameters: Iterable[nn.Parameter]) -> None:
    """Add the gradients of all ranks in one message; a rank that had nothing to do counts as zero."""
    if world.size == 1:
        return
    members = list(parameters)
    for member in members:
        if member.grad is None:
            member.grad = torch.zeros_like(member)
    flat = world.sum(torch.cat([member.grad.flatten() for member in members if member.grad is not None]))
    for member, part in zip(members, flat.split([member.numel() for member in members]), strict=True):
        member.grad = part.view_as(member)


def whole(tensor: Tensor) -> Tensor:
    """A tensor that FSDP has spread over the ranks, gathered on each of them; any other is itself."""
    gather = getattr(tensor, "full_tensor", None)
    return gather() if gather is not None else tensor


def placed_like(parameter: Tensor, value: Tensor) -> Tensor:
    """A whole tensor where and how `parameter` is: the same on each rank, or this rank's shard."""
    value = value.to(parameter.device)
    if not hasattr(parameter, "full_tensor"):
        return value
    from torch.distributed.tensor import DTensor, Replicate

    mesh = parameter.device_mesh
    replicated = DTensor.from_local(value, mesh, [Replicate()] * mesh.ndim, run_check=False)
    return replicated.redistribute(placements=parameter.placements)
