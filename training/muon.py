"""Muon: momentum turned into the nearest half-orthogonal matrix, so that all directions are learned alike.

https://kellerjordan.github.io/posts/muon/, at AdamW's learning rates and decay: https://arxiv.org/abs/2502.16982.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from training.distributed import World, placed_like, whole
from training.optimiser import SLOW, SLOW_SHARE, make_optimiser

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
STEPS = 5
"""Of the iteration, as published: singular values end between 0.7 and 1.2."""
ADAMW_RMS = 0.2
"""Size of an entry of AdamW's update, which Muon's is scaled to."""
SLICE_BYTES = 1 << 25
"""Of alike matrices turned at once on a CPU, which gains nothing by more; each takes five times its size."""
SLICE_BYTES_ON_CARDS = 1 << 29


def orthogonalised(matrices: Tensor) -> Tensor:
    """U V^T of each U S V^T, roughly, by Newton-Schulz; (N, rows, columns), in bfloat16 off the CPU."""
    a, b, c = COEFFICIENTS
    x = matrices if matrices.device.type == "cpu" else matrices.bfloat16()
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """For matrices only. Each rank orthogonalises its share of them and tells the others."""

    def __init__(
        self, parameters: Iterable[nn.Parameter], weight_decay: float, world: World, momentum: float = 0.95
    ) -> None:
        defaults = {"lr": 0.0, "share": 1.0, "weight_decay": weight_decay, "momentum": momentum}
        super().__init__(list(parameters), defaults)
        self._world = world

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:
        """W -= lr (0.2 sqrt(max(rows, columns)) O + weight_decay W), O of Nesterov's momentum."""
        for group in self.param_groups:
            alike: dict[tuple[int, ...], list[nn.Parameter]] = {}
            for parameter in (one for one in group["params"] if one.grad is not None):
                alike.setdefault(tuple(parameter.shape), []).append(parameter)
            for members in alike.values():
                for few in _slices(members, self._world.size):
                    self._update(few, group)

    def _update(self, members: list[nn.Parameter], group: dict[str, Any]) -> None:
        """Matrices of one shape."""
        turned = self._turned([self._momentum(one, group["momentum"]) for one in members])
        scale = -group["lr"] * ADAMW_RMS * max(members[0].shape) ** 0.5
        for parameter, update in zip(members, turned, strict=True):
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            parameter.add_(placed_like(parameter, update.to(parameter.dtype)), alpha=scale)

    def _momentum(self, parameter: nn.Parameter, share: float) -> Tensor:
        """The whole of what a matrix is pushed by."""
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        held = state["momentum"].lerp_(parameter.grad, 1 - share)
        return whole(parameter.grad.lerp(held, share))

    def _turned(self, updates: list[Tensor]) -> Tensor:
        """The updates orthogonalised, (N, rows, columns); every rank does each `size`-th."""
        rank, size = self._world.rank, self._world.size
        if size == 1:
            return orthogonalised(torch.stack(updates))
        mine = updates[rank::size]
        own = orthogonalised(torch.stack(mine)) if mine else None
        dtype = torch.float32 if updates[0].device.type == "cpu" else torch.bfloat16
        found = torch.zeros(len(updates), *updates[0].shape, dtype=dtype, device=updates[0].device)
        if own is not None:
            found[rank::size] = own
        # The others hold zeros there, so that a sum only copies.
        return self._world.sum(found)


def _slices(members: list[nn.Parameter], ranks: int) -> Iterator[list[nn.Parameter]]:
    """So many at once as memory allows: the same on each rank, and work for all of them."""
    most = SLICE_BYTES if members[0].device.type == "cpu" else SLICE_BYTES_ON_CARDS
    count = ranks * max(1, most // (4 * members[0].numel()))
    for start in range(0, len(members), count):
        yield members[start : start + count]


def muon_and_adamw(
    parameters: Mapping[str, nn.Parameter], weight_decay: float, world: World, slow_share: float = SLOW_SHARE
) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the blocks, AdamW with Akane's groups for all else."""
    matrices = {name: one for name, one in parameters.items() if one.ndim == 2 and not name.startswith(SLOW)}
    rest = {name: one for name, one in parameters.items() if name not in matrices}
    return [
        Muon(matrices.values(), weight_decay, world),
        make_optimiser(rest, weight_decay, slow_share=slow_share),
    ]
