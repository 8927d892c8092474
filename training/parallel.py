"""A model on many processes, by PyTorch's DDP or FSDP2, and the gradients that all of them agree on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from inspect import signature

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from training.distributed import World, backward
from training.errors import TrainingError
from training.forward import NextToken
from training.shards.loader import Batch


def spread(module: NextToken, world: World, kind: str) -> nn.Module:
    """The module for this rank: `ddp` keeps all of it on each, `fsdp` a part of each block.

    Of one process it is the module itself. Raises TrainingError.
    """
    if world.size == 1:
        return module
    if kind == "fsdp":
        try:
            from torch.distributed.device_mesh import init_device_mesh
            from torch.distributed.fsdp import fully_shard
        except ImportError:
            raise TrainingError("--parallel fsdp needs torch 2.6 or newer: take ddp.") from None
        mesh = init_device_mesh(torch.device(world.device).type, (world.size,))
        for part in (*module.model.transformer["h"], module):
            shard = fully_shard(part, mesh=mesh)
            if world.device == "cpu":  # gloo knows no averages
                shard.set_force_sum_reduction_for_comms(True)
        return module
    where = [torch.device(world.device)] if world.device.startswith("cuda") else None
    # The buffers are constants. torch 2.13 warns of the older of the two names.
    known = signature(DistributedDataParallel).parameters
    sent = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    return DistributedDataParallel(module, device_ids=where, gradient_as_bucket_view=True, **{sent: False})


def mean_gradients(module: nn.Module, world: World, batches: Sequence[Batch], n_learned: int) -> float:
    """Leave the gradients of the mean loss of all ranks' batches in the parameters, and return that mean.

    Each rank has equally many batches; only the last one's backward pass sends gradients.
    """
    # Both wrappers average over the ranks; `n_learned` counts those of all.
    scale, sending = world.size / n_learned, partial(_sending, module)
    return backward(world, lambda batch: module(*batch), batches, scale, sending) / world.size


@contextmanager
def _sending(module: nn.Module, sends: bool) -> Iterator[None]:
    hold_back = getattr(module, "set_requires_gradient_sync", None)  # FSDP's
    if hold_back is not None:
        hold_back(sends)
        yield
    elif isinstance(module, DistributedDataParallel) and not sends:
        with module.no_sync():
            yield
    else:
        yield
